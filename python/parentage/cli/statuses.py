"""Exit statuses of a command that is ended from outside."""

INTERRUPTED = 130
"""After Ctrl-C: 128 and the number of the signal, as shells have it."""
