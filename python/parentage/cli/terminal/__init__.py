"""What a person sees: results on stdout, progress and messages on stderr."""
