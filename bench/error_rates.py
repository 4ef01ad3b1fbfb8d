"""Writes the error rates that reports show, from the results of the calibration and of the attacks.

    python bench/error_rates.py            # write
    python bench/error_rates.py --check    # exit with 1 if the file is not what would be written

Nothing in it is typed by hand: every number is counted in the files of ``bench/results`` that it
names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
CALIBRATION = "2026-11-25-calibration.md"
ATTACKS = "attacks-after.md"
TARGET = Path(__file__).parents[1] / "python" / "parentage" / "report" / "page" / "error_rates.json"
JUDGEMENTS = {"right": "right", "undecided": "undetermined", "FALSE": "wrong"}


def cells(line: str) -> list[str]:
    """Return the cells of a row of a Markdown table."""
    return [each.strip() for each in line.strip().strip("|").split("|")]


def calibration() -> list[dict[str, object]]:
    """Return what became of each kind of combination."""
    rows = []
    for line in (RESULTS / CALIBRATION).read_text("utf-8").splitlines():
        found = cells(line)
        if len(found) != 6 or not found[1].isdecimal():
            continue
        exact, statistical = found[5].split("/")
        n, right, undetermined, wrong = map(int, found[1:5])
        assert n == right + undetermined + wrong, line
        rows.append(
            {
                "combination": found[0],
                "n": n,
                "right": right,
                "undetermined": undetermined,
                "wrong": wrong,
                "called_merge_exact": int(exact),
                "called_merge_statistical": int(statistical),
            }
        )
    return rows


def attacks() -> list[dict[str, object]]:
    """Return what became of each group of attacks."""
    rows: list[dict[str, object]] = []
    for line in (RESULTS / ATTACKS).read_text("utf-8").splitlines():
        if line.startswith("## Counts"):
            break
        if line.startswith("## "):
            name, _, what = line[3:].partition(": ")
            rows.append(
                {"group": name, "what": what, "n": 0, "right": 0, "undetermined": 0, "wrong": 0}
            )
        elif line.startswith("|") and rows:
            judged = next((JUDGEMENTS[x] for x in cells(line) if x in JUDGEMENTS), None)
            if judged is not None:
                for key in ("n", judged):
                    rows[-1][key] = int(str(rows[-1][key])) + 1
    return rows


def written() -> str:
    """Return the file as it should be."""
    found = {
        "calibration": {"source": f"bench/results/{CALIBRATION}", "rows": calibration()},
        "attacks": {"source": f"bench/results/{ATTACKS}", "rows": attacks()},
    }
    return json.dumps(found, indent=1) + "\n"


def main() -> int:
    """Write the file, or say whether it is up to date."""
    if "--check" in sys.argv[1:]:
        if TARGET.read_text("utf-8") == written():
            return 0
        print(f"{TARGET} is not what bench/error_rates.py writes")
        return 1
    TARGET.write_text(written(), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
