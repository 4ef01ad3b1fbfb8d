"""What mkdocs is told beside mkdocs.yml."""

from __future__ import annotations

import re
from typing import Any


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings have roles of Sphinx, as ``:func:`name```; what is in the quotes says it all."""
    return re.sub(r":(?:class|func|meth|attr|data|mod|exc):(?=<code>|<a )", "", html)
