"""How a sample betrays merges that drop part of each displacement: TIES, DARE, DELLA, breadcrumbs.

An element of such a child is ``b + sum_{i in A} e_i d_i``: the base b plus, of every parent i in a
set A, the displacement d_i from the base times a coefficient e_i. The set differs between elements,
since each parent has a mask, by which its displacements are kept or dropped. Normalised merges have
a weighted mean of the ``e_i d_i`` in place of their sum, and those that elect signs have only
parents of one sign in A: displacements may be kept and yet outvoted.

Where A has one parent, the element's rounding cell is an interval of that parent's coefficient, and
the coefficient is where most of these intervals meet (``view``). Given the coefficients, pairs of
parents say whether they are added up or averaged, and whether signs are elected (``sums``,
``mixture``). Then every element says which sets A it admits, and so which displacements were kept
(``interpreted``): whether that is a matter of their size (``bands``), or of chance, and at what
rate (``chance``). Merges that make up for what they drop have coefficients by slice (``scales``).
"""
