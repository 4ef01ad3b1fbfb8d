"""Measures error rates: every true and every false combination that a corpus allows, traced.

    python bench/calibration FOLDER [--record] [--only CLASS ...] [--family NAME ...]

FOLDER holds checkpoints and a MANIFEST.json that says of each its "base", "parents", "family" and
"method". Children are those of the corpus and others made on the fly from them: merges of small
displacements, merges with noise, merges with a share of a real training step on top, disguised
copies and merges, framed fine-tunes. Each is traced
with the parents that its class names; what the manifest says is used to choose parents and to
judge, and the trace sees none of it.

A verdict is *right* if it is one that the truth allows, *undetermined* if it says so, or says no
more than that there is kinship, *wrong* otherwise. A wrong verdict "merge" is named by its level:
the exact ones must be none.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import disguised
import parentage
from family import Case, Family
from parentage.support import ParentageError

RESULTS = Path(__file__).parent.parent / "results"
OPEN = ("undetermined", "related")
"""Verdicts that claim nothing of how a child was made."""


@dataclass(frozen=True)
class Result:
    """What a trace said."""

    group: str
    child: str
    base: str
    parents: list[str]
    right: list[str]
    verdict: str
    level: str
    rule: str
    recipe: str | None
    exact_share: float | None
    decoy_share: float | None
    seconds: float


def judge(case: Case) -> Result:
    """Trace a case."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as blind:
        # Names and metadata must not tell.
        child = Path(blind, "child")
        child.mkdir()
        for path in case.child.glob("*.safetensors*"):
            (child / path.name).symlink_to(path.resolve())
        names = ["child", case.base.name, *(each.name for each in case.parents)]
        try:
            found = parentage.trace(copied(child), base=case.base, parents=case.parents)
        except ParentageError as error:
            return Result(case.group, case.child.name, names[1], names[2:], sorted(case.right),
                          "error", "", str(error)[:200], None, None, None, 0.0)  # fmt: skip
    outcome = found.outcome
    return Result(
        case.group,
        case.child.name,
        case.base.name,
        [each.name for each in case.parents],
        sorted(case.right),
        found.verdict.kind,
        found.verdict.level,
        found.verdict.rule,
        None if outcome is None else outcome.recipe.describe(),
        None if outcome is None else outcome.exact_share,
        None if outcome is None else outcome.decoy_share,
        round(time.perf_counter() - start, 2),
    )


def copied(folder: Path) -> Path:
    """Return a folder with the linked files themselves: links out of a checkpoint are refused."""
    for path in folder.iterdir():
        target = path.resolve()
        path.unlink()
        shutil.copyfile(target, path)
    return folder


def table(results: list[Result]) -> str:
    """Return the table that the README quotes."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for each in results:
        groups[each.group].append(each)
    lines = [
        "| combination | n | right | undetermined | wrong | wrong 'merge': exact / statistical |",
        "|---|---|---|---|---|---|",
    ]
    for group, members in groups.items():
        right = sum(each.verdict in each.right for each in members)
        open_ = sum(each.verdict in OPEN and each.verdict not in each.right for each in members)
        wrong = [e for e in members if e.verdict not in (*e.right, *OPEN)]
        levels = Counter(each.level for each in wrong if each.verdict == "merge")
        lines.append(
            f"| {group} | {len(members)} | {right} | {open_} | {len(wrong)} | "
            f"{levels['exact']} / {levels['statistical']} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run every case; the exit status is 1 if a false recipe was called exact."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--record", action="store_true", help="keep the result in bench/results")
    parser.add_argument("--only", nargs="*", default=[], help="groups that contain one of these")
    parser.add_argument("--family", nargs="*", default=[], help="families of these names alone")
    arguments = parser.parse_args()
    manifest = json.loads((arguments.folder / "MANIFEST.json").read_text())
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in sorted({each["family"] for each in manifest.values()}):
            if arguments.family and name not in arguments.family:
                continue
            family = Family(arguments.folder, manifest, name, Path(scratch, name))
            for case in [*family.cases(), *disguised.cases(family)]:
                if arguments.only and not any(part in case.group for part in arguments.only):
                    continue
                result = judge(case)
                results.append(result)
                mark = " " if result.verdict in result.right else "?"
                mark = mark if result.verdict in (*result.right, *OPEN) else "!"
                print(
                    f"{mark} {result.group}: {result.child} of {'+'.join(result.parents) or '-'}: "
                    f"{result.verdict} {result.level} {result.recipe or ''}",
                    flush=True,
                )
    text = table(results)
    print(text)
    if arguments.record:
        RESULTS.mkdir(exist_ok=True)
        stem = RESULTS / f"{datetime.date.today().isoformat()}-calibration"
        misses = [asdict(each) for each in results if each.verdict not in each.right]
        document = {"machine": platform.processor() or platform.machine(), "misses": misses,
                    "cases": len(results)}  # fmt: skip
        stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
        stem.with_suffix(".md").write_text(text + "\n")
    false_exact = [
        each
        for each in results
        if each.verdict == "merge" and each.level == "exact" and "merge" not in each.right
    ]
    return 1 if false_exact else 0


if __name__ == "__main__":
    sys.exit(main())
