"""Tensors that a program holds in memory, as they are lent to the core."""
