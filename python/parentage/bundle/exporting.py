"""Exports of a bundle, by the names of their formats."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING

from parentage.bundle.ci import junit, sarif
from parentage.bundle.cyclonedx import cyclonedx
from parentage.bundle.model_card import model_card
from parentage.bundle.reading import read_bundle
from parentage.bundle.releases import OPTIONS, releases_of
from parentage.bundle.spdx import spdx
from parentage.bundle.statements import (
    evidence_statement,
    provenance_statement,
    result_statement,
)
from parentage.support import EvidenceError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from parentage.bundle.reading import Bundle

FORMATS = (
    "cyclonedx",
    "in-toto",
    "junit",
    "mergekit",
    "model-card",
    "sarif",
    "slsa",
    "spdx",
    "svr",
)
"""Every format, as :func:`export` takes it."""


def export(
    folder: str | os.PathLike[str],
    form: str,
    *,
    fail_on: Collection[str] = (),
    releases: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[str, str]:
    """Return a bundle in another format, and the verdict that it is of.

    Parameters
    ----------
    folder
        What ``parentage trace -o`` wrote. Its files are held against the manifest first.
    form
        One of :data:`FORMATS`.
    fail_on
        Verdicts that SARIF and JUnit say are failures.
    releases
        For SPDX, what you say of the release of checkpoints, which weights do not tell: texts by
        ``supplied_by``, ``released``, ``download_location`` and ``version``, each of the child, or
        of another checkpoint of the evidence with ``NAME=`` in front. If all of the child's are
        there, the document claims the AI profile.

    Raises
    ------
    EvidenceError
        If the bundle is not what it says, or has not what the format needs, as digests; or if
        something that is said of a release is none.
    ValueError
        If there is no such format, or ``releases`` are given for one that has no place for them.

    Examples
    --------
    >>> import parentage, tempfile
    >>> from parentage.demo import family
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = parentage.trace(
    ...         family("child"), base=family("base"), parents=[family("parent")], output=folder
    ...     )
    ...     print(export(folder, "model-card")[0])
    # merge (exact), by rule replayed
    base_model:
    - parent
    - base
    base_model_relation: merge
    <BLANKLINE>
    """
    if form not in FORMATS:
        raise ValueError(f"formats are {', '.join(FORMATS)}; there is no {form!r}")
    said = {name: texts for name, texts in releases.items() if texts}
    if unknown := said.keys() - OPTIONS.keys():
        raise ValueError(f"releases have {', '.join(OPTIONS)}; there is no {min(unknown)!r}")
    if said and form != "spdx":
        raise ValueError(f"what is said of releases is for spdx; {form} has no place for it")
    bundle = read_bundle(folder)
    of_ci = {"sarif": sarif, "junit": junit}
    if form == "spdx":
        text = spdx(bundle, releases_of(bundle.document, said))
    elif form in of_ci:
        text = of_ci[form](bundle, fail_on)
    else:
        text = _MADE[form](bundle)
    return text, bundle.document.verdict.kind


def _mergekit(bundle: Bundle) -> str:
    recipe = bundle.document.recipe
    if recipe is None:
        raise EvidenceError("the evidence has no recipe")
    if recipe.mergekit is None:
        raise EvidenceError(f"mergekit has no way to say this recipe ({recipe.method})")
    return recipe.mergekit


def _statement(statement: dict[str, Any]) -> str:
    return json.dumps(statement, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


_MADE: dict[str, Callable[[Bundle], str]] = {
    "cyclonedx": cyclonedx,
    "in-toto": lambda b: _statement(evidence_statement(b.document, b.files)),
    "mergekit": _mergekit,
    "model-card": model_card,
    "slsa": lambda b: _statement(provenance_statement(b.document, b.told["recipe"] or {})),
    "svr": lambda b: _statement(result_statement(b.document, b.created)),
}
