"""Parts of an answer that a model thinks, and parts that it says."""

from __future__ import annotations

import re

_BLOCK = re.compile(
    r"<(think|thinking|thought|reasoning)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE
)
_END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


def split_thoughts(text: str) -> tuple[str, str]:
    """Return what is said in a text, and what is thought.

    Thoughts stand in ``<think>...</think>`` and the like. A block that is not closed lasts to the
    end: the answer was cut off while the model was thinking. One that is closed and was not opened
    began in the prompt, as templates of thinking models have it.

    >>> split_thoughts("<think>They ask for my name.</think>I am Nex.")
    ('I am Nex.', 'They ask for my name.')
    >>> split_thoughts("They ask for my name.</think>I am Nex.")
    ('I am Nex.', 'They ask for my name.')
    >>> split_thoughts("<think>They ask")
    ('', 'They ask')
    """
    thoughts = []
    first = _END.search(text)
    opened = _BLOCK.search(text)
    if first and (opened is None or first.start() < opened.start()):
        thoughts.append(text[: first.start()])
        text = text[first.end() :]
    thoughts += [found[2] for found in _BLOCK.finditer(text)]
    said = _BLOCK.sub("", text)
    return said.strip(), "\n".join(part for each in thoughts if (part := each.strip()))
