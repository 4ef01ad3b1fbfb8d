"""The evidence of a trace by workers, held to that of one machine."""

import parentage
from conftest import family_path
from parentage.stream.backends import executor as module
from parentage.stream.backends import worker


def traced(folder, monkeypatch, executor, **options):
    """Trace the shipped family in many ranges, and return its evidence by name of file."""
    monkeypatch.setattr(module, "LEAST", 1 << 14)
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)
    worker._jobs.clear()
    name = "one" if executor is None else "many"
    parentage.trace(
        family_path("child"),
        base=family_path("base"),
        parents=[family_path("parent")],
        controls=[family_path("sibling")],
        executor=executor,
        output=folder / name,
        seed=7,
        **options,
    )
    return evidence_in(folder / name)


def evidence_in(folder):
    """Return the bytes of all evidence; the custody log is of each time."""
    return {
        each.name: each.read_bytes()
        for each in sorted(folder.iterdir())
        if each.is_file() and each.name != "custody.jsonl"
    }


def same_evidence(folder, monkeypatch, executor, **options):
    """Hold the evidence that workers of an executor make to that of one machine."""
    digest = {"digest": options["digest"]} if "digest" in options else {}
    expected = traced(folder, monkeypatch, None, **digest)
    assert traced(folder, monkeypatch, executor, **options) == expected
    assert {"evidence.json", "slices.parquet", "sums.parquet", "recipe.yaml"} <= set(expected)
