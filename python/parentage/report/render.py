"""Writes the page: one file with its style, its script and its data, that loads nothing.

Text of checkpoints is escaped by the templates; in the data it stands as JSON in which no character
can end the element it is in. The page's policy allows the scripts and the style that are in it, by
their digests, and no other, and no connection.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from parentage import _core
from parentage.report.beside import blocks_of
from parentage.report.columns import slice_table
from parentage.report.facts import (
    LEVELS,
    bars_of,
    card_fields,
    command_of,
    commands_of_ci,
    headline,
    is_recipe_shown,
    limits_of,
    negative_of,
    no_recipe,
    number_sentence,
    parts_of,
    reasons_of,
    recipe_line,
    repeats_of,
)
from parentage.report.figures import figures_of
from parentage.report.listings import (
    components_table,
    number,
    printable_lines,
    relations_table,
    shown_figure,
    walk,
)
from parentage.report.palette import CONFIG, THEMES
from parentage.report.parts import CUSTODY, IDENTITY, METADATA
from parentage.report.rates import error_rates
from parentage.report.series import Series
from parentage.report.shares import share_of
from parentage.report.vega import bundle
from parentage.support import ReportError, listed, printable

if TYPE_CHECKING:
    import jinja2

    from parentage.report.document import Document
    from parentage.report.figure import Figure
    from parentage.report.parts import ReportParts

MOST_FILES = 500
"""Files that are listed."""

DRAWN_WITH = ("altair", "jinja2", "vl-convert-python")
"""Libraries whose version may change a page."""


@cache
def made_with() -> str:
    """Return what makes pages here: this version, and those of the libraries it draws with.

    It stands in every page: another of them may make another page of the same evidence. The digest
    is of the files that make pages, which may differ between releases.
    """
    own = files("parentage.report")
    made = hashlib.sha256()
    for folder, suffixes in ((own, (".py",)), (own / "page", (".jinja", ".css", ".js", ".json"))):
        for each in sorted(folder.iterdir(), key=lambda each: each.name):
            if each.name.endswith(suffixes):
                made.update(each.name.encode() + b"\0" + each.read_bytes() + b"\0")
    libraries = ", ".join(f"{name} {version(name)}" for name in DRAWN_WITH)
    return f"parentage {_core.__version__} (page {made.hexdigest()[:12]}, {libraries})"


def render_report(parts: ReportParts) -> str:
    """Return the page. The same evidence gives the same page; no time, path or date is in it.

    But for the log of custody, where ``parts`` have it.

    Raises
    ------
    ReportError
        If the evidence is none, or if what draws charts can not be loaded.
    """
    document = parts.read
    vega = _script(bundle())
    series = Series(parts)
    figures = figures_of(parts)
    try:
        template = _environment().get_template("report.html.jinja")
    except ImportError as error:
        raise ReportError(f"jinja2, which fills the page, is not at hand: {error}") from error
    style, script = _page("report.css"), _script(_page("report.js"))
    table = slice_table(parts, series)
    title, bars = bars_of(document)
    recipe = document.recipe
    custody, identity = parts.other(CUSTODY), parts.other(IDENTITY)
    files_read = [
        (printable(each.name), file)
        for each in (document.inputs.child, *(each for _, each in document.others))
        for file in each.files
    ]
    text: str = template.render(
        document=document,
        made_with=made_with(),
        printable=printable,
        percent=share_of,
        policy=_policy([vega, script], style),
        style=style,
        script=script,
        vega=vega,
        data=_data(figures, series, table.as_json()),
        child=printable(document.inputs.child.name),
        headline=headline(document),
        tone=re.sub(r"\W", "-", document.verdict.kind),
        level=LEVELS.get(document.verdict.level, printable(document.verdict.level)),
        share_compared=_share_compared(document),
        shares=parts_of(document),
        number_told=number_sentence(document),
        negative=negative_of(document),
        bars=bars,
        bars_of=title,
        limits=limits_of(document),
        recipe_shown=is_recipe_shown(document),
        no_recipe=no_recipe(document),
        recipe_line=None if recipe is None else recipe_line(recipe),
        mergekit=None if recipe is None else recipe.mergekit,
        equivalents=None if recipe is None else printable(listed(recipe.equivalents)),
        decoy=share_of(float(recipe.decoy_share))
        if recipe is not None and isinstance(recipe.decoy_share, float | int)
        else None,
        metadata=blocks_of(parts.other(METADATA), "metadata"),
        custody=blocks_of(custody, "log"),
        identity=blocks_of(identity, "answers"),
        has_beside={name: bool(parts.other(name)) for name in (METADATA, IDENTITY, CUSTODY)},
        card=card_fields(document),
        command=command_of(document),
        repeats=repeats_of(document),
        command_ci=f"{command_of(document)} --json --fail-on "
        + shlex.quote(printable(document.verdict.kind)),
        commands_ci=commands_of_ci(document),
        verdict_json=printable_lines(
            json.dumps(parts.document["verdict"], indent=1, ensure_ascii=False)
        ),
        numbers=[
            (printable(name), number(value)) for name, value in document.verdict.numbers.items()
        ],
        rates=error_rates(),
        digests=_digests(document),
        no_spectrum=_no_spectrum(parts, series),
        none_off=_none_off(document, series),
        figures=[shown_figure(each) for each in figures],
        components=components_table(document),
        relations=relations_table(document),
        slices_said=_slices_said(table.rows, table.total),
        orders=_orders(document),
        reasons=reasons_of(document),
        all_took_part=document.coverage.share == 1.0
        and all(share == 1.0 for share in document.coverage.of.values()),
        files=files_read[:MOST_FILES],
        files_left=max(0, len(files_read) - MOST_FILES),
        parameters=parts.document["parameters"],
    )
    return text


@cache
def _page(name: str) -> str:
    return (files("parentage.report") / "page" / name).read_text("utf-8")


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(_page),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["walk"] = walk
    return environment


def _script(text: str) -> str:
    """Return a script in which nothing ends the element that it is in.

    >>> _script('a = "</script>"; b = "<!--"')
    'a = "<\\\\/script>"; b = "<\\\\!--"'
    """
    return re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE).replace("<!--", "<\\!--")


def as_data(value: Any) -> str:
    r"""Return JSON that can stand in an element of a page: no character in it ends that.

    >>> as_data({"a": "</script><!--&"})
    '{"a":"\\u003c/script\\u003e\\u003c!--\\u0026"}'
    """
    text = msgspec.json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(scripts: list[str], style: str) -> str:
    """Return the page's policy: what is in it by digest, and nothing else."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    allowed = " ".join(digest(each) for each in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _data(figures: list[Figure], series: Series, table: dict[str, Any]) -> str:
    """Return what the page's script reads."""
    return as_data(
        {
            "config": CONFIG,
            "themes": THEMES,
            "layers": series.layers,
            "figures": {
                each.name: {
                    "spec": each.spec,
                    "columns": each.rows(),
                    "large": each.is_large,
                    "subject": each.subject,
                }
                for each in figures
            },
            "table": table,
        }
    )


def _share_compared(document: Document) -> str:
    read, whole = document.coverage.elements_read, document.inputs.child.elements
    what = (
        "elements read, of a sample"
        if document.parameters.sample is not None
        else "elements compared"
    )
    return f"{read:,} of {whole:,} {what}"


def _digests(document: Document) -> str:
    known = [
        f for each in (document.inputs.child, *(e for _, e in document.others)) for f in each.files
    ]
    taken = sum(each.sha256 is not None for each in known)
    if taken == 0:
        return "No digest of a file was taken: nothing ties this evidence to published files."
    return f"The SHA-256 of {taken:,} of {len(known):,} files was taken while they were read."


def _no_spectrum(parts: ReportParts, series: Series) -> str | None:
    """Return why there is no spectrum; ``None`` if there is one."""
    if series.spectrum_parents:
        return None
    told = parts.read.spectrum
    if told is not None and told.missing is not None:
        return printable(told.missing)
    return "the evidence holds no spectrum.parquet"


def _none_off(document: Document, series: Series) -> str | None:
    if series.mismatches["off"].sum():
        return None
    if document.recipe is not None:
        return (
            f"the recipe gives all {document.recipe.elements:,} elements that it was carried out on"
        )
    return "no element differs"


def _slices_said(rows: int, total: int) -> str:
    if rows == total:
        return (
            f"All {total:,} slices: tensors, and experts of stacked tensors. Click a title to sort."
        )
    return (
        f"{rows:,} of {total:,} slices: those with most mismatches, then those with most left "
        "over. slices.parquet has all."
    )


def _orders(document: Document) -> str | None:
    count = len(document.coverage.orders)
    if not count:
        return None
    names = sorted({printable(str(each.get("checkpoint"))) for each in document.coverage.orders})
    return (
        f"In {count:,} places, what {listed(names)} holds was compared in another order than it "
        "stands in: values paired it, as the evidence says under coverage.orders."
    )
