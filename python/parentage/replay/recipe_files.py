"""The text of a recipe's file, or of the evidence in a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from parentage.support import RecipeError, is_folder

EVIDENCE = "evidence.json"
"""What a folder of evidence holds."""

MOST_BYTES = 1 << 30
"""No recipe is as large; what is larger, or has no end, is a mistake."""


def recipe_file(path: str | os.PathLike[str]) -> Path:
    """Return the file that is meant: of a folder, the evidence in it.

    >>> recipe_file("recipe.json").name
    'recipe.json'
    """
    given = Path(path)
    return given / EVIDENCE if is_folder(given) else given


def recipe_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a recipe: of a file, or of the evidence.json of a folder.

    Raises
    ------
    RecipeError
        If it can not be read, is no text, a device, or larger than :data:`MOST_BYTES`.
    """
    file = recipe_file(path)
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not os.isatty(opened.fileno())):
                raise RecipeError(
                    f"{path}: is a device; a recipe is a file, or a folder of evidence"
                )
            raw = opened.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        missing = isinstance(error, FileNotFoundError) and file.name == EVIDENCE != Path(path).name
        hint = f"; a folder is taken for one of evidence, with {EVIDENCE} in it" if missing else ""
        raise RecipeError(f"{path}: read: {what}{hint}") from error
    if len(raw) > MOST_BYTES:
        raise RecipeError(f"{path}: has more than {MOST_BYTES:,} bytes, and is no recipe")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not JSON: {error}") from error
