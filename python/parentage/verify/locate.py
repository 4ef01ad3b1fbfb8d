"""Which checkpoint of the evidence is meant by a path that is given for a role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.checkpoint import Checkpoint
from parentage.support import EvidenceError
from parentage.verdict import Roles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.bundle import Document


def placed(
    document: Document,
    files: Sequence[tuple[str, str]] = (),
    parents: Sequence[tuple[str | None, str]] = (),
    controls: Sequence[tuple[str | None, str]] = (),
    *,
    child: str | None = None,
    base: str | None = None,
) -> dict[str, str]:
    """Return where the checkpoints of the evidence are, by their names in it.

    ``files`` are names, or ``child`` and ``base``, with paths. ``parents`` and ``controls`` are
    paths, with the name of the one that is meant where it is said: else it is told by the name of
    its folder, or as the only one that is left of its role. Roles are those in which checkpoints
    were offered, ``child`` and ``base`` the paths of these two.

    Raises
    ------
    EvidenceError
        If it is not clear which is meant, or one is given twice.
    """
    inputs = document.inputs
    names = [each.name for _, each in inputs.by_role]
    called = inputs.called or Roles.of(inputs)
    words = {"child": inputs.child.name, "base": called.base}
    out: dict[str, str] = {}

    def place(name: str, path: str) -> None:
        if name not in names:
            raise EvidenceError(
                f"{name!r} is no checkpoint of this evidence, which is of {', '.join(names)}"
            )
        if name in out:
            raise EvidenceError(f"{name!r} is given twice: {out[name]} and {path}")
        out[name] = path

    for word, given_path in (("child", child), ("base", base)):
        if given_path is not None:
            # Some parent may be named so.
            place(words[word], given_path)
    for name, path in files:
        place(name if name in names else words.get(name, name), path)
    for role, given in (("parent", parents), ("control", controls)):
        of_role = called.parents if role == "parent" else called.controls
        nameless = [path for name, path in given if name is None]
        for known, path in given:
            if known is not None:
                place(known, path)
        unclear = []
        for path in nameless:
            own = Checkpoint.open(path).name
            if own in of_role and own not in out:
                place(own, path)
            else:
                unclear.append(path)
        left = [name for name in of_role if name not in out]
        if unclear and (len(unclear) > 1 or len(left) != 1):
            raise EvidenceError(
                f"{unclear[0]}: which {role} it is, is not clear: of the evidence, "
                f"{', '.join(left) or 'none'} {'is' if len(left) == 1 else 'are'} left; say it, "
                f"as in NAME={unclear[0]}"
            )
        if unclear:
            place(left[0], unclear[0])
    return out
