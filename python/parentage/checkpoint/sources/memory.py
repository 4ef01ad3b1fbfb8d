"""Checkpoints in memory: mappings of names to NumPy arrays or PyTorch's tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.checkpoint.containers.contents import quoted
from parentage.checkpoint.live.lending import lend
from parentage.checkpoint.sources.source import Opened, Origin
from parentage.support import CheckpointError, collection_paused, listed, printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.checkpoint.network.network import Network

IN_MEMORY = "in memory"
"""What is said in place of a path, and in place of a name where none is given."""

FILE = "model.safetensors"
"""The file that the tensors are laid out as."""

_SHOWN = 4


def serves(given: object) -> bool:
    """Return whether it is a mapping."""
    return isinstance(given, Mapping)


def open(given: Mapping[str, Any], network: Network | None = None) -> Opened:  # noqa: A001, ARG001
    """Look at the tensors of a mapping; none is read."""
    return open_named(given)


def open_named(
    tensors: Mapping[str, Any],
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> Opened:
    """Look at the tensors of a mapping; ``config`` is what config.json says beside files.

    Raises
    ------
    CheckpointError
        If there is none, or a name, a tensor or the configuration is none of a checkpoint.
    """
    if not isinstance(tensors, Mapping):
        raise not_a_checkpoint(tensors)
    called = name or IN_MEMORY
    where = called if called == IN_MEMORY else f"{called} ({IN_MEMORY})"
    where = printable(where.encode("utf-8", "backslashreplace").decode("utf-8"))
    texts = {} if config is None else _texts(where, config)
    with collection_paused():
        lending = lend(where, tensors)
        core = _core.Checkpoint.in_memory(where, FILE, lending.tensors)
    shown = [quoted(each) for each in lending.left[:_SHOWN]]
    if len(lending.left) > _SHOWN:
        shown.append(f"{len(lending.left) - _SHOWN:,} more")
    choices = (f"{listed(shown)} took no part, as no tensors",) if shown else ()
    origin = Origin(IN_MEMORY, texts=texts)
    return Opened(Path(where), called, core, {}, choices, origin)


def not_a_checkpoint(given: object) -> CheckpointError:
    """Return the error of what is neither the name of a checkpoint nor one in memory.

    >>> print(not_a_checkpoint(7))
    a checkpoint is a path, a name, or a mapping of names to tensors, and no int
    """
    kind = type(given).__name__
    said = f"a checkpoint is a path, a name, or a mapping of names to tensors, and no {kind}"
    if callable(getattr(given, "state_dict", None)):
        said += "; of a module, give .state_dict()"
    return CheckpointError(printable(said))


def _texts(where: str, config: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the small file that a configuration would be: an adapter's has a name of its own."""
    try:
        said = dict(config)
        name = "adapter_config.json" if "peft_type" in said else "config.json"
        return {name: json.dumps(said).encode()}
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            printable(f"{where}: the configuration is no JSON: {error}")
        ) from error
