"""Attacks the trace: disguises of copies and merges, and innocents that are framed.

    python -m bench.attacks [--corpus FOLDER] [--only PATTERN] [--jobs N] [-o FILE.md] [--list]
    python -m bench.attacks --judge FILE.json [-o FILE.md]

Two tables: what is said of a true merge and of a true copy that were disguised (HIDE), and of
children that are not made of what is offered (FRAME). Every case is built from a seed, on a family
that is made here; with ``--corpus``, on the corpus's small decoder, cut, as well. The names of
checkpoints tell nothing.

A statement is *right*, *undecided* (it says less than the weights tell; an error; no answer within
a minute of computing) or *FALSE*, by rules that stand with each case. Of a verdict, ``!`` is level
exact. Permutations and rotations are counted apart. ``-o`` keeps the tables, and beside them, in
JSON, what was said; ``--judge`` judges that again, by the rules of today. The exit status is 1 if a
statement is false.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from . import disguises, frames, merges
from .cases import FALSE, RIGHT, UNDECIDED, Case, Said, judge
from .families import made, real
from .running import Result, run

SAID = tuple(each.name for each in fields(Said))
TITLES = {
    "hide": "HIDE: a true merge (0.6 of a fine-tune, 0.4 of its base) and a true copy, disguised",
    "frame": "FRAME: innocent children",
}


def all_cases() -> list[Case]:
    """Return every case, in the order of the tables."""
    return [*disguises.cases(), *merges.cases(), *frames.cases()]


def first_sentence(text: str, letters: int = 220) -> str:
    """Return the first sentence of a text, cut, fit for a cell of a table."""
    sentence = re.split(r"(?<=[a-z)%0-9])\. (?=[A-Z0-9])", " ".join(text.split()), maxsplit=1)[0]
    cut = sentence if len(sentence) <= letters else sentence[: letters - 4].rstrip() + " ..."
    return cut.replace("|", "\\|")


def row(result: Result) -> str:
    """Return a row of a table."""
    case, said = result.case, result.said
    kind = said.kind + ("!" if said.level == "exact" else "")
    judgement = f"**{FALSE}**" if result.judgement == FALSE else result.judgement
    return (
        f"| {case.what} | {case.strength} | {case.of} | {result.family} | {kind} | {judgement} | "
        f"{said.seconds:.1f} | {first_sentence(said.text)} |"
    )


def tables(results: Sequence[Result]) -> str:
    """Return both tables and the counts, in markdown."""
    out = []
    for table, title in TITLES.items():
        found = [each for each in results if each.case.table == table]
        if found:
            out += [f"## {title}", "", "| what | strength | of | family | said | judgement | s | |",
                    "|---|---|---|---|---|---|---|---|", *map(row, found), ""]  # fmt: skip
    return "\n".join([*out, counts(results)])


def counts(results: Sequence[Result]) -> str:
    """Return how many statements are right, undecided and false."""
    groups = {
        "disguises": [e for e in results if e.case.table == "hide" and not e.case.later],
        "disguises: permutations, rotations": [e for e in results if e.case.later],
        "innocents": [e for e in results if e.case.table == "frame"],
    }
    out = ["## Counts", "", "| | n | right | undecided | of these errors, no answer | FALSE |",
           "|---|---|---|---|---|---|"]  # fmt: skip
    for name, members in groups.items():
        found = Counter(each.judgement for each in members)
        silent = sum(each.said.kind in ("error", "no answer") for each in members)
        out.append(
            f"| {name} | {len(members)} | {found[RIGHT]} | {found[UNDECIDED]} | {silent} | "
            f"{found[FALSE]} |"
        )
    wrong = Counter(
        f"{each.case.table}: {each.said.kind}" for each in results if each.judgement == FALSE
    )
    if wrong:
        out += ["", "False, by kind: " + ", ".join(f"{k} {n}" for k, n in wrong.most_common())]
    times = sorted(each.said.seconds for each in results)
    if times:
        middle = times[len(times) // 2]
        said = f"{sum(times):.0f} in all, median {middle:.2f}, longest {times[-1]:.1f}"
        out += ["", f"Seconds of computing: {said}."]
    return "\n".join(out) + "\n"


def tell(result: Result) -> None:
    """Print a line of what was said."""
    mark = {RIGHT: " ", UNDECIDED: "?", FALSE: "!"}[result.judgement]
    said = result.said
    print(
        f"{mark} {said.seconds:5.1f} s  {result.family}  {result.case.name}: {said.kind}"
        f"{'!' if said.level == 'exact' else ''}: {first_sentence(said.text, 160)}",
        file=sys.stderr,
        flush=True,
    )


def keep(path: Path | None, results: Sequence[Result]) -> None:
    """Write the tables, and what was said, where that is asked for; whatever comes after."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tables(results))
    kept = [{"case": each.case.name, "family": each.family} | asdict(each.said) for each in results]
    path.with_suffix(".json").write_text(json.dumps(kept, indent=1) + "\n")


def judged_again(kept: Sequence[dict[str, Any]], chosen: Sequence[Case]) -> list[Result]:
    """Judge what was said before of those of the cases chosen that are in it."""
    by_name = {each.name: each for each in chosen}
    results = []
    for entry in kept:
        case = by_name.get(entry["case"])
        if case is not None:
            said = Said(**{key: entry[key] for key in SAID if key in entry})
            results.append(Result(case, entry["family"], said, judge(case.truth, said)))
    order = {name: at for at, name in enumerate(by_name)}
    return sorted(results, key=lambda each: (each.family, order[each.case.name]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases that are asked for."""
    parser = argparse.ArgumentParser("bench.attacks", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--corpus", type=Path, help="a corpus with a small decoder: a second family"
    )
    parser.add_argument("--only", default="", help="a pattern for names of cases")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="write the tables here, too")
    parser.add_argument("--judge", type=Path, help="what was said before: nothing is traced")
    parser.add_argument("--list", action="store_true", help="list names, run nothing")
    asked = parser.parse_args(arguments)
    chosen = [each for each in all_cases() if re.search(asked.only, each.name)]
    if asked.list:
        print("\n".join(each.name for each in chosen))
        return 0
    families = [made(), *([real(asked.corpus)] if asked.corpus else [])]
    # Trainings are of a network of their own, and the same for every family.
    todo = [
        (case, family)
        for i, family in enumerate(families)
        for case in chosen
        if i == 0 or " run" not in case.name
    ]

    results: list[Result] = []

    def done(result: Result) -> None:
        results.append(result)
        tell(result)
        keep(asked.output, results)

    if asked.judge:
        results = judged_again(json.loads(asked.judge.read_text()), chosen)
    else:
        results = run(todo, asked.jobs, done)
    keep(asked.output, results)
    print(tables(results))
    return int(any(each.judgement == FALSE for each in results))


if __name__ == "__main__":
    sys.exit(main())
