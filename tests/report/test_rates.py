"""Error rates are those that the bench counted."""

import json
import subprocess
import sys
from pathlib import Path

from parentage.report.rates import error_rates, most_of_none

ROOT = Path(__file__).parents[2]


def test_they_are_what_the_results_say():
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "error_rates.py", "--check"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_they_add_up():
    rates = error_rates()
    cases = json.loads((ROOT / "bench/results/2026-11-25-calibration.json").read_text())["cases"]
    assert rates.total("n") == cases
    for row in [*rates.rows, *rates.attacks]:
        assert row["n"] == row["right"] + row["undetermined"] + row["wrong"]
    assert f"Of {cases} combinations" in rates.summary
    assert f"{rates.total('wrong')} verdicts were wrong" in rates.summary


def test_none_of_many_is_not_never():
    assert most_of_none(1) == 0.95 or abs(most_of_none(1) - 0.95) < 1e-12
    assert abs((1 - most_of_none(429)) ** 429 - 0.05) < 1e-9
    assert most_of_none(0) == 1.0
