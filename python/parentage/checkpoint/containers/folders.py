"""Which files make up the checkpoint at a path, where it is not safetensors alone."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parentage.checkpoint.containers import gguf
from parentage.checkpoint.containers.chosen import contents_in_core, contents_of_file, is_container
from parentage.checkpoint.containers.contents import Contents, quoted, together, wrong
from parentage.checkpoint.containers.places import inside
from parentage.checkpoint.containers.reading import MOST_BYTES, Reader
from parentage.checkpoint.folder import ENDINGS, NO_WEIGHTS
from parentage.support import CheckpointError, ReadError, are, is_folder, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PIPELINE = "model_index.json"
"""What names the models of a diffusers pipeline, each in a folder of its name."""

_INDEX = ".index.json"
_USUAL = ("pytorch_model.bin", "diffusion_pytorch_model.bin", "model.onnx")
"""Files that loaders ask for by these names."""

_STEMS = "model|pytorch_model|diffusion_pytorch_model"
_VARIANT = re.compile(
    rf"(?P<stem>{_STEMS})(?:\.(?P<variant>[A-Za-z0-9_]+))?(?:-\d{{5}}-of-\d{{5}})?"
    r"(?:\.(?P<old>[A-Za-z0-9_]+))?\.(?P<ending>safetensors|bin)"
)
"""Names that transformers and diffusers give to files of weights, with a variant or without."""

_SHARD = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.[a-z]+)")
_MOST_NAMED = 4


def contents_at(path: Path) -> Contents | None:
    """Return what the checkpoint at a path holds; ``None`` if the core reads all of it.

    Raises
    ------
    CheckpointError
        If a file of it is damaged or not there, or the folder holds several checkpoints.
    ReadError
        If a file can not be read.
    """
    if is_folder(path):
        return _pipeline(path) or _weights(path)
    if not _is_regular(path):
        return None
    if path.name.lower().endswith(".json"):
        return _indexed(path)
    if gguf.PART.fullmatch(path.name) and is_container(path):
        return _parts(path)
    return contents_of_file(path)


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _names(folder: Path) -> list[str]:
    """Return the names in a folder, hidden ones left out, sorted."""
    try:
        with os.scandir(folder) as found:
            names = [each.name for each in found]
    except OSError as error:
        said = f"{folder}: list the folder: {error.strerror or error}"
        raise ReadError(printable(said)) from error
    return sorted(name for name in names if not name.startswith(".") and name.isprintable())


def _weights(folder: Path) -> Contents | None:
    """Return what the files of a folder hold; ``None`` if the core reads them, or none is known."""
    names = _names(folder)
    if any(name.endswith((".safetensors", ".safetensors.index.json")) for name in names):
        return _without_variants(folder, names)
    indexes = [name for name in names if name.endswith(f".bin{_INDEX}")]
    usual = [name for name in indexes if name == f"{_USUAL[0]}{_INDEX}"]
    if len(usual or indexes) == 1:
        return _indexed(folder / (usual or indexes)[0])
    candidates = [
        name
        for name in names
        if name.endswith(ENDINGS) and name not in NO_WEIGHTS and _is_regular(folder / name)
    ]
    chosen = next(([name] for name in _USUAL if name in candidates), candidates)
    if len(chosen) == 1:
        return contents_at(folder / chosen[0]) or contents_in_core(folder / chosen[0])
    shards = _shards_of(chosen)
    if shards is not None:
        return (
            contents_at(folder / shards[0])
            if shards[0].endswith(".gguf")
            else together([_file(folder / name, name) for name in shards])
        )
    found = [name for name in chosen if is_container(folder / name)]
    if len(found) == 1:
        return contents_at(folder / found[0])
    if found:
        raise CheckpointError(
            printable(
                f"{folder}: the folder holds several checkpoints: {_some(found)}; name one of them "
                "instead of the folder"
            )
        )
    return None


def _some(names: Sequence[str]) -> str:
    """Return a few names for a message."""
    shown = [quoted(name) for name in names[:_MOST_NAMED]]
    return listed([*shown, *([f"{len(names) - _MOST_NAMED:,} more"] if len(names) > 4 else [])])


def _file(path: Path, name: str) -> Contents:
    """Return what a file that is a part of a checkpoint holds, its file under that name."""
    found = contents_of_file(path) or contents_in_core(path)
    return Contents(
        (found.files[0]._replace(name=name), *found.files[1:]), found.tensors, found.choices
    )


def _without_variants(folder: Path, names: Iterable[str]) -> Contents | None:
    """Return the files without a variant, such as ``fp16``, of those that have some as well.

    Raises
    ------
    CheckpointError
        If there are several variants, and none without.
    """
    matches = {
        name: found
        for name in names
        if (found := _VARIANT.fullmatch(name)) is not None and found["ending"] == "safetensors"
    }
    variants = {name: found["variant"] or found["old"] for name, found in matches.items()}
    kinds = sorted({each for each in variants.values() if each is not None})
    plain = [name for name, variant in variants.items() if variant is None]
    is_indexed = any(name.endswith(f".safetensors{_INDEX}") for name in names)
    if is_indexed or not kinds or (not plain and len(kinds) == 1):
        return None
    others = [n for n in names if n.endswith(".safetensors") and n not in matches]
    if not plain or others:
        raise CheckpointError(
            printable(
                f"{folder}: the folder holds variants of one model, {_some(sorted(variants))}; "
                "name one of them instead of the folder"
            )
        )
    said = f"files without a variant are read, and what is stored as {listed(kinds)} is not"
    chosen = together([_file(inside(folder / name, name), name) for name in plain])
    return Contents(chosen.files, chosen.tensors, (said,))


def _shards_of(names: Sequence[str]) -> list[str] | None:
    """Return the names if they are all parts of one checkpoint; ``None`` if they are not."""
    found = [_SHARD.fullmatch(name) for name in names]
    matches = [each for each in found if each is not None]
    kinds = {(each["name"], each["count"], each["ending"]) for each in matches}
    if not names or len(matches) < len(names) or len(kinds) != 1:
        return None
    return list(names)


def _parts(path: Path) -> Contents:
    """Return what all parts of a GGUF model hold, one of which is at ``path``.

    Raises
    ------
    CheckpointError
        If a part is missing, or they hold another number of tensors than they say.
    """
    match = gguf.PART.fullmatch(path.name)
    assert match is not None
    count = int(match["count"])
    there = set(_names(path.parent))
    names = [f"{match['name']}-{i:05}-of-{count:05}.gguf" for i in range(1, count + 1)]
    missing = [name for name in names if name not in there]
    if missing or not names:
        raise wrong(
            path, f"it is one of {count} parts, and {_some(missing)} {are(len(missing))} not there"
        )
    found = together([_file(inside(path, name), name) for name in names])
    for file in found.files:
        said = dict(file.metadata).get("split.tensors.count")
        if said is not None and said != str(len(found.tensors)):
            raise wrong(
                file.path, f"the parts hold {len(found.tensors):,} tensors, and it says {said}"
            )
    return found


def _document(path: Path) -> Any:
    """Return what a file of JSON says; ``None`` if it is none.

    Raises
    ------
    CheckpointError
        If a key of it is there twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise wrong(path, "it is named twice", tensor=twice)
        return found

    with Reader(path) as file:
        if file.size > MOST_BYTES:
            return None
        raw = file.at(0, file.size)
    try:
        return json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None


def _indexed(path: Path) -> Contents | None:
    """Return what the files of an index hold; ``None`` if the core reads it.

    Raises
    ------
    CheckpointError
        If a file is missing, or holds other tensors than the index says.
    """
    if path.name.endswith(f".safetensors{_INDEX}"):
        return None
    document = _document(path)
    listed_in = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(listed_in, dict) or not listed_in:
        return None
    for name, shard in listed_in.items():
        if not isinstance(shard, str):
            raise wrong(path, "the index names no file for it", tensor=name)
    shards = sorted(set(listed_in.values()))
    if all(shard.endswith(".safetensors") for shard in shards):
        return None
    paths = [inside(path, shard, _first_in(listed_in, shard)) for shard in shards]
    found = together([_file(at, shard) for at, shard in zip(paths, shards, strict=True)], path)
    holds = {each.name: found.files[each.file].name for each in found.tensors}
    for name, shard in listed_in.items():
        if holds.get(name) != shard:
            where = f"it is in {quoted(holds[name])}" if name in holds else "that does not hold it"
            raise wrong(path, f"the index places it in {quoted(shard)}, but {where}", tensor=name)
    for name, shard in holds.items():
        if name not in listed_in:
            message = f"{quoted(shard)} holds it, but the index does not list it"
            raise wrong(path, message, tensor=name)
    return found


def _first_in(listed_in: dict[str, str], shard: str) -> str:
    return next(name for name, each in listed_in.items() if each == shard)


def _pipeline(folder: Path) -> Contents | None:
    """Return what the models of a diffusers pipeline hold; ``None`` if the folder is no pipeline.

    Names begin with the folder that a tensor lies in. Folders without weights, as schedulers and
    tokenizers have, are no part of it.
    """
    path = folder / PIPELINE
    if not _is_regular(path):
        return None
    document = _document(path)
    if not isinstance(document, dict):
        return None
    parts: list[Contents] = []
    missing: list[str] = []
    for name, value in sorted(document.items()):
        if name.startswith("_") or not isinstance(value, list) or None in value:
            continue
        if not re.fullmatch(r"\w+", name, re.ASCII) or not is_folder(folder / name):
            missing.append(name)
            continue
        below = inside(path, name)
        if any(_may_hold_weights(each) for each in _names(below)):
            found = _weights(below) or contents_in_core(below)
            parts.append(found.named(f"{name}.", f"{name}/"))
    if not parts:
        return None
    found = together(parts)
    if missing:
        said = f"{PIPELINE} names {_some(missing)}, which {are(len(missing))} not there"
        return Contents(found.files, found.tensors, (*found.choices, said))
    return found


def _may_hold_weights(name: str) -> bool:
    return name.endswith((".safetensors", _INDEX, *ENDINGS)) and name not in NO_WEIGHTS
