"""What merges that drop part of each displacement have in common: finding masks, and replaying.

An element of such a child is ``b + sum_{i in A} e_i d_i`` with a set A of parents of its own. With
one parent left it lies on a line through the base, so the coefficients ``e_i`` are where most
rounding cells of those elements meet. Given them, every element says which sets A it admits, and so
which displacements were kept: whether that is a matter of their size, or of chance, and at what
rate.
"""
