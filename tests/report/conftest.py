"""Evidence of the shipped family, and made-up evidence."""

from __future__ import annotations

import parentage
import pytest
from common.reports import hostile_parts, made_parts
from parentage.report import ReportParts
from parentage.report.figures import figures_of


@pytest.fixture(scope="session")
def found(family):
    """The trace of the shipped family, with a control."""
    return parentage.trace(
        family("child"),
        base=family("base"),
        parents=[family("parent")],
        controls=[family("sibling")],
    )


@pytest.fixture(scope="session")
def parts(found):
    return ReportParts(found.evidence, found.slices, found.spectrum)


@pytest.fixture(scope="session")
def made():
    return made_parts()


@pytest.fixture(scope="session")
def hostile():
    return hostile_parts()


@pytest.fixture(scope="session")
def figures(parts):
    """The pictures of the shipped family, by name."""
    return {each.name: each for each in figures_of(parts)}


@pytest.fixture(scope="session")
def made_figures(made):
    return {each.name: each for each in figures_of(made)}


@pytest.fixture(scope="session")
def stored(found, tmp_path_factory):
    """A folder of evidence."""
    return found.save(tmp_path_factory.mktemp("evidence"))
