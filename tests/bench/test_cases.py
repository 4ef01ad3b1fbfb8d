"""Which cases are timed."""

from conftest import family_path
from parentage.bench import bench, cases


def test_no_direct_reads_leave_the_cold_out_and_say_so(monkeypatch):
    monkeypatch.setattr(cases, "refuses_direct", lambda _: "no such thing")
    found = bench([family_path(n) for n in ("base", "parent", "child")], runs=1)
    assert found.skipped == ["all that is cold: no such thing"]
    assert all(each.warm for each in found.cases)
