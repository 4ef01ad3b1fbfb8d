"""Recognises licences by phrases that they alone have, and quotes who claims a copyright."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

MOST_NOTICES = 8
"""Lines on copyright that are quoted of a text."""

_PHRASES = (
    ("apache-2.0", ("apache license", "version 2.0")),
    ("agpl-3.0", ("gnu affero general public license", "version 3")),
    ("lgpl-3.0", ("gnu lesser general public license", "version 3")),
    ("gpl-3.0", ("gnu general public license", "version 3")),
    ("gpl-2.0", ("gnu general public license", "version 2")),
    ("mpl-2.0", ("mozilla public license", "2.0")),
    ("cc-by-nc-sa-4.0", ("attribution-noncommercial-sharealike 4.0",)),
    ("cc-by-nc-nd-4.0", ("attribution-noncommercial-noderivatives 4.0",)),
    ("cc-by-nc-4.0", ("attribution-noncommercial 4.0",)),
    ("cc-by-sa-4.0", ("attribution-sharealike 4.0",)),
    ("cc-by-4.0", ("attribution 4.0 international",)),
    ("cc0-1.0", ("cc0 1.0 universal",)),
    ("llama4", ("llama 4 community license",)),
    ("llama3.3", ("llama 3.3 community license",)),
    ("llama3.2", ("llama 3.2 community license",)),
    ("llama3.1", ("llama 3.1 community license",)),
    ("llama3", ("meta llama 3 community license",)),
    ("llama2", ("llama 2 community license",)),
    ("gemma", ("gemma terms of use",)),
    ("qwen", ("qwen license agreement",)),
    ("qwen-research", ("qwen research license",)),
    ("tongyi-qianwen", ("tongyi qianwen license agreement",)),
    ("deepseek", ("deepseek license agreement",)),
    ("mrl", ("mistral ai research license",)),
    ("nvidia-open-model-license", ("nvidia open model license",)),
    ("creativeml-openrail-m", ("creativeml open rail-m",)),
    ("bigscience-openrail-m", ("bigscience", "rail")),
    ("bsd-3-clause", ("redistributions of source code must retain", "neither the name")),
    ("bsd-2-clause", ("redistributions of source code must retain",)),
    ("isc", ("permission to use, copy, modify, and/or distribute",)),
    ("mit", ("permission is hereby granted, free of charge", "without restriction")),
    ("unlicense", ("this is free and unencumbered software",)),
)
"""Licences as the hub spells them, most special first, with phrases that all stand in them."""

_COPYRIGHT = re.compile(r"(?:copyright|\(c\)|©)\s", re.IGNORECASE)
_YEAR = re.compile(r"\d{4}")

_MOST_TEXT = 400_000
_MOST_LINE = 200


@dataclass(frozen=True, slots=True)
class Licence:
    """A text of a licence or a notice."""

    file: str
    sha256: str
    """Of its words: line ends and blanks are all one."""
    recognised: str | None
    """As the hub spells it; ``None`` if no phrase is known."""
    copyright: tuple[str, ...]


def licence_of(file: str, text: str) -> Licence:
    """Return what a text is, and whose it says it is.

    >>> found = licence_of("LICENSE", "Apache License\\nVersion 2.0\\nCopyright 2026 Example Ltd")
    >>> found.recognised, found.copyright
    ('apache-2.0', ('Copyright 2026 Example Ltd',))
    """
    words = " ".join(text.split())
    lowered = words[:_MOST_TEXT].lower()
    recognised = next(
        (name for name, phrases in _PHRASES if all(each in lowered for each in phrases)), None
    )
    lines = [
        " ".join(line.split())
        for line in (each[:_MOST_LINE] for each in text[:_MOST_TEXT].splitlines())
        if _COPYRIGHT.search(line) and _YEAR.search(line)
    ]
    return Licence(
        file,
        hashlib.sha256(words.encode("utf-8", "backslashreplace")).hexdigest(),
        recognised,
        tuple(dict.fromkeys(lines))[:MOST_NOTICES],
    )
