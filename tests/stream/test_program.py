"""Programs are told apart by all that they compute."""

import numpy as np
from parentage.stream import Program


def test_a_program_is_told_by_all_that_it_computes():
    def program(weight, *, results=1, matrix=None):
        out = Program(3)
        total = out.column(0) * out.scalar(weight)
        if matrix is not None:
            total = total + out.low_rank([matrix, None, None])
        return out.digest([total, out.column(1)][:results])

    ones = np.ones((2, 1)), np.ones((1, 2))
    found = [
        program(0.5),
        program(0.25),
        program([0.5, 0.5, 0.25]),
        program(0.5, results=2),
        program(0.5, matrix=ones),
        program(0.5, matrix=(ones[0] * 2, ones[1])),
    ]
    assert len(set(found)) == len(found)
    assert program(0.5) == found[0]


def test_a_value_is_rounded_to_the_dtype_of_each_slice():
    program = Program(slices=3)
    value = program.column(0)
    assert program.rounded(value, ["F32"] * 3) == value
    program.rounded(value, ["BF16", "F32", "BF16"])
    assert [name for name, _ in program.operations] == ["column", "round", "scalar", "select"]
    assert program.scalars[0].tolist() == [0.0, 1.0, 0.0]
