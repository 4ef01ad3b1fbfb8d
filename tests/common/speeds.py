"""Speeds that were not measured."""

from parentage.bench.speeds import Bench, Case

ABOUT = {
    "cpu": "A CPU of $2 and [red]more[/red]",
    "cpus": 2,
    "level": "avx2",
    "levels": ["scalar", "avx2"],
    "memory_gib": 16,
    "kernel": "6.1",
    "file_system": "ext4",
    "device": "a disk",
}


def case(what, dtype, seconds, warm=True, ceiling=False, parents=None):
    return Case(what, dtype, warm, 10**9, print, parents, ceiling, [seconds])


CASES = [
    case("read mapped", "BF16", 0.125, ceiling=True),
    case("gram", "BF16", 0.25, parents=1),
    case("read direct", "BF16", 1.0, warm=False, ceiling=True),
    case("gram", "BF16", 2.0, warm=False, parents=1),
    case("read mapped", "F32", 0.5, ceiling=True),
    case("sha256", "F32", 0.4),
]
BENCH = Bench(ABOUT, [{"dtype": "BF16"}, {"dtype": "F32"}], CASES, ["cold reads of F32"], 2, 5)
"""Two dtypes on a machine whose name acts on terminals and pictures."""
