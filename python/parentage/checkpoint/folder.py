"""What lies beside a checkpoint in its folder: files that are no part of it, and its config."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING

from parentage.support import are, listed, open_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

SINGLE = "model.safetensors"
"""The file that loaders of the transformers library ask for first, before any index."""

ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".npz")
"""Endings of files of a folder that are looked into, if it has no safetensors."""

_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin.index.json", *ENDINGS)
"""Endings of files that may hold weights, or name those that do."""

NO_WEIGHTS = (
    "training_args.bin",
    "optimizer.pt",
    "optimizer.bin",
    "scheduler.pt",
    "rng_state.pth",
)
"""Well-known files that end so and hold no weights of the model."""

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
"""Names that configs have for the number of layers."""

_TEXT = ("text_config", "llm_config", "language_config", "thinker_config")
"""Names that configs have for the part that is the language model."""

_NUMBERED = re.compile(r"(?P<before>.*-)(?P<number>\d{2,6})-of-(?P<count>\d{2,6})(?P<after>\.\w+)")
"""Names of files of which a checkpoint has several."""

_MOST_BYTES = 1 << 20
"""Bytes of a file of JSON from which on it is none."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Files beside a checkpoint that may hold weights, and were not read."""

    files: tuple[str, ...] = ()
    """Their names, sorted."""
    preferred: str | None = None
    """The one of them that loaders would take instead of what was read."""
    absent: int = 0
    """Files of the same checkpoint that are not there, by numbers in the names of the others."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.files) or self.absent > 0

    def __str__(self) -> str:
        """Return what is said of them.

        >>> str(Unread(("adapter.bin", "model.safetensors"), "model.safetensors"))
        'not read: adapter.bin and model.safetensors; transformers would load model.safetensors'
        >>> str(Unread(absent=2))
        'by the names of its files, 2 more belong to it, which are not here'
        """
        lacks = (
            f"by the names of its files, {self.absent:,} more "
            f"{'belongs' if self.absent == 1 else 'belong'} to it, which "
            f"{are(self.absent)} not here"
        )
        if not self.files:
            return lacks
        named = [*self.files[:4], *([f"{len(self.files) - 4} more"] if len(self.files) > 4 else [])]
        said = f"not read: {listed(named)}"
        if self.preferred is not None:
            said += f"; transformers would load {self.preferred}"
        return f"{said}; {lacks}" if self.absent else said


def beside(
    path: Path, index: Path | None, read: Sequence[str], listing: Sequence[str] = ()
) -> Unread:
    """Return what lies beside the files ``read`` in the folder ``path``; nothing beside a file.

    Who names a file or an index has chosen it; who names a folder has not. ``listing`` is what lies
    in a folder that is on no disk.
    """
    absent = 0 if index is not None else _absent(read)
    if listing:
        names = sorted(listing)
    elif not path.is_dir():
        return Unread(absent=absent)
    else:
        try:
            names = sorted(each.name for each in path.iterdir() if each.is_file())
        except OSError:
            return Unread(absent=absent)
    known = {*read, *([] if index is None else [index.name])}
    files = tuple(
        name
        for name in names
        if name.endswith(_WEIGHTS)
        and not name.startswith(".")
        and name not in known
        and name not in NO_WEIGHTS
    )
    preferred = SINGLE if index is not None and SINGLE in files else None
    return Unread(files, preferred, absent)


def _absent(read: Sequence[str]) -> int:
    """Return how many files are not among those read, by the numbers in their names.

    >>> _absent(["model-00001-of-00003.safetensors"]), _absent(["model.safetensors"])
    (2, 0)
    """
    sets: dict[tuple[str, int, str], set[int]] = {}
    for name in read:
        found = _NUMBERED.fullmatch(name)
        if found is not None:
            key = (found["before"], int(found["count"]), found["after"])
            sets.setdefault(key, set()).add(int(found["number"]))
    return sum(max(count - len(numbers), 0) for (_, count, _), numbers in sets.items())


def json_beside(path: Path, name: str, texts: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """Return what a file of JSON called ``name`` says in the folder of the checkpoint at ``path``.

    It is empty where there is none, or none that says names and values. ``texts`` are the small
    files of a checkpoint that is on no disk.
    """
    try:
        if texts is not None:
            raw = texts.get(name, b"")
        else:
            folder = path if path.is_dir() else path.parent
            with BufferedReader(open_file(folder / name)) as file:
                raw = file.read(_MOST_BYTES + 1)
        found: Any = json.loads(raw) if len(raw) <= _MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def layers_in_config(path: Path, texts: Mapping[str, bytes] | None = None) -> int | None:
    """Return the number of layers that the config.json beside a checkpoint promises.

    ``texts`` are the small files of a checkpoint that is on no disk.
    """
    config = json_beside(path, "config.json", texts)
    parts = [part for part in (config, *map(config.get, _TEXT)) if isinstance(part, dict)]
    for part in parts:
        for name in _LAYERS:
            count = part.get(name)
            if isinstance(count, int) and not isinstance(count, bool) and count > 0:
                return count
    return None
