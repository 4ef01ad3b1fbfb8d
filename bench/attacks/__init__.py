"""Attacks and innocents: what a trace says of disguised copies and merges, and of framed models."""
