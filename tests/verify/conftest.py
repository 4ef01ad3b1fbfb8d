"""A bundle of the shipped family, made once."""

import pytest
from common.bundles import copied, traced


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A bundle that nobody alters."""
    folder = tmp_path_factory.mktemp("bundle") / "evidence"
    traced(folder)
    return folder


@pytest.fixture
def bundle(made, tmp_path):
    """A copy of it that may be altered."""
    return copied(made, tmp_path)
