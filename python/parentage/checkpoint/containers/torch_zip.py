"""PyTorch's archives (``torch.save`` since 1.6, and TorchScript): a zip with a pickle and storages.

Format: ``data.pkl`` describes the object; the bytes of each storage are an entry ``data/KEY``,
stored as it is (``torch/serialization.py``, ``_save``). TorchScript's objects are its modules, and
the constants of its code, in a pickle of their own, are no part of a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.checkpoint.containers.contents import Contents, quoted, require_apart
from parentage.checkpoint.containers.pickles import first_pickle
from parentage.checkpoint.containers.torch_objects import stored_in
from parentage.checkpoint.containers.zip_archive import MAGIC, Archive

if TYPE_CHECKING:
    from parentage.checkpoint.containers.pickles import Storage
    from parentage.checkpoint.containers.reading import Reader

PICKLE = "data.pkl"


def serves(file: Reader) -> bool:
    """Return whether a file is a zip archive that PyTorch wrote."""
    return file.begins_with(MAGIC) and _root(Archive(file)) is not None


def read(file: Reader) -> Contents:
    """Return the tensors of the model that an archive holds.

    Raises
    ------
    CheckpointError
        If it is damaged, compressed, big-endian, or its pickle asks for what is not known.
    """
    archive = Archive(file)
    root = _root(archive) or ""
    _require_little_endian(archive, root)
    begin, end = archive.place(root + PICKLE)
    found = first_pickle(file.at(begin, end - begin, "the pickle"), file.path, begin)
    places: dict[str, tuple[int, int]] = {}

    def place(storage: Storage, name: str) -> tuple[int, int]:
        if storage.key not in places:
            entry = f"{root}data/{storage.key}"
            if entry not in archive.entries:
                raise file.wrong(f"its storage {quoted(entry)} is not in the archive", tensor=name)
            places[storage.key] = archive.place(entry)
        return places[storage.key]

    tensors, choices = stored_in(file, found, begin, place)
    require_apart(
        file.path, [(PICKLE, begin, end), *((f"{root}data/{k}", *v) for k, v in places.items())]
    )
    return Contents((file.as_file(file.path.name),), tensors, choices)


def _root(archive: Archive) -> str | None:
    """Return the folder in the archive that holds the pickle, with its ``/``; ``None`` without."""
    for name in archive.entries:
        folder, _, last = name.rpartition("/")
        if last == PICKLE and "/" not in folder:
            return f"{folder}/" if folder else ""
    return None


def _require_little_endian(archive: Archive, root: str) -> None:
    name = f"{root}byteorder"
    if name in archive.entries:
        begin, end = archive.place(name)
        order = archive.file.at(begin, min(end - begin, 8))
        if order != b"little":
            shown = quoted(order.decode("ascii", "backslashreplace"))
            raise archive.file.wrong(
                f"its numbers are stored in the byte order {shown}; little is read here", begin
            )
