"""Speeds are shares of ceilings."""

from parentage.bench.speeds import Bench, Case


def test_shares_are_of_the_fastest_ceiling_as_warm_and_of_the_same_dtype():
    def case(what, warm, seconds, dtype="BF16", ceiling=False):
        return Case(what, dtype, warm, 10**9, print, None, ceiling, seconds)

    timed = [
        case("read", True, [1.0, 0.5, 0.4], ceiling=True),
        case("gram", True, [2.0, 1.0, 7.0]),
        case("slow disk", False, [10.0], ceiling=True),
        case("fast disk", False, [4.0], ceiling=True),
        case("cold gram", False, [8.0]),
        case("other", True, [0.1], "F32", ceiling=True),
    ]
    rows = Bench({}, [], timed, [], 1, 1).rows()
    assert [row["gb_per_s"] for row in rows] == [2.0, 0.5, 0.1, 0.25, 0.125, 10.0]
    assert [row["of_ceiling"] for row in rows] == [1.0, 0.25, 0.4, 1.0, 0.5, 1.0]
