"""What pyproject.toml asks for is what is installed and tested: the oldest, and all of it."""

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def names(requirements):
    return [re.match(r"[\w-]+", each)[0].lower() for each in requirements]


def test_the_oldest_that_are_tested_are_the_lower_bounds():
    bounds = [each.replace(">=", "==") for each in PROJECT["dependencies"]]
    assert (ROOT / "tests" / "oldest.txt").read_text("utf-8").split() == bounds


@pytest.mark.parametrize(
    "requirements", [PROJECT["dependencies"], *EXTRAS.values()], ids=["runtime", *EXTRAS]
)
def test_requirements_are_sorted_and_have_lower_bounds(requirements):
    assert names(requirements) == sorted(names(requirements))
    assert all(">=" in each for each in requirements)


def test_the_locks_have_everything_at_one_version():
    """Engines and torch have locks of their own: they bring gigabytes along."""
    wanted = {*names(PROJECT["dependencies"])}.union(*map(names, EXTRAS.values()))
    main, *others = (
        {
            found[0]: found
            for found in re.findall(r"^([\w-]+)==(\S+)( ;.*)? \\$", text, re.MULTILINE)
        }
        for path in ("requirements.lock", "requirements-engines.lock", "requirements-torch.lock")
        for text in [(ROOT / path).read_text("utf-8")]
    )
    assert {name.replace("_", "-") for name in wanted} <= set(main).union(*others)
    for other in others:
        shared = set(main) & set(other)
        assert len(shared) > 40
        assert {name: main[name][1] for name in shared} == {n: other[n][1] for n in shared}
