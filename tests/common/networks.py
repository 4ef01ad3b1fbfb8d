"""Hubs on this machine that tests read from, and how long they are waited for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import family_path
from parentage.checkpoint import Network, Patience

from common.hub import HubDouble, Repository, serving

QUICK = Patience(base=0.01, most=0.05, told=5.0, connect=2.0, stall=0.4)
"""Failures are borne as often as usual, and are waited for a fraction of the time."""


def quick(**options: Any) -> Network:
    """Return a network that waits for little, and says nothing."""
    return Network(**{"patience": QUICK, "note": lambda _text: None, **options})


def impatient(attempts: int) -> Network:
    """Return one that gives up early."""
    return quick(patience=dataclasses.replace(QUICK, attempts=attempts))


def family_repositories() -> dict[str, Repository]:
    """Return the shipped family as repositories of ``org``."""
    names = ("base", "parent", "sibling", "child", "grandchild")
    return {f"org/{name}": Repository.of(family_path(name)) for name in names}


@contextmanager
def family_on_a_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[HubDouble]:
    """Serve the shipped family, and point ``huggingface_hub`` at it, with an empty cache."""
    with serving(family_repositories()) as double:
        point_at(double, monkeypatch, folder)
        yield double


def point_at(double: HubDouble, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have ``huggingface_hub`` ask a double; it looks at its environment when it is imported."""
    from huggingface_hub import constants

    template = f"{double.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", double.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
