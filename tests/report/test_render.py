"""The page as text: whole, the same each time, and inert."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import parentage
import pytest
from common.reports import MARKUP, made_parts
from hypothesis import given
from hypothesis import strategies as st
from parentage.report import ReportParts, made_with, render_report
from parentage.report.render import as_data


class Elements(HTMLParser):
    """Collects the elements of a page, and what stands in scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.inside, self.texts = [], [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.inside = [tag]

    def handle_endtag(self, tag):  # noqa: ARG002
        self.inside = []

    def handle_data(self, data):
        for tag in self.inside:
            if tag in ("script", "style"):
                self.texts.setdefault(tag, []).append(data)


@pytest.fixture(scope="module")
def text(parts):
    return render_report(parts)


@pytest.fixture(scope="module")
def hostile_text(hostile):
    return render_report(hostile)


def test_the_same_evidence_gives_the_same_page(parts, text, found):
    assert render_report(parts) == text
    assert render_report(replace(parts, beside={"metadata": found.metadata.as_dict()})) == (
        found.to_html()
    )


def test_it_says_what_made_it_and_with_what(text):
    made = rf"parentage {re.escape(parentage.__version__)} \(page [0-9a-f]{{12}}, altair .*\)"
    assert re.fullmatch(made, made_with())
    assert f'<meta name="generator" content="{made_with()}">' in text


def test_it_tells_where_the_log_of_custody_is_and_not_what_it_holds(text):
    assert "custody.jsonl" in text
    assert "as the log stood" not in text


def test_a_page_for_ci_names_every_command_and_status(text):
    for expected in (
        "--format sarif --fail-on merge", "--format junit --fail-on merge",
        '<th scope="row">3</th>', '<th scope="row">130</th>', "parentage verify evidence/",
    ):  # fmt: skip
        assert expected in text, expected


def test_it_says_what_the_evidence_says(text, found):
    for expected in (
        "A merge: 0.6 parent + 0.4 base",
        "No training after the merge, if its parents came first: all of child",
        "100%",
        "sibling",
        "For a hub&#39;s moderator" if "hub&#39;s" in text else "For a hub's moderator",
        "What this does not show", "429 combinations", "parentage trace ./child --base ./base",
        "came before the child", "--fail-on merge", "merge_method: linear",
    ):  # fmt: skip
        assert expected in text, expected
    assert found.verdict.text.split(".")[0] in text


def test_it_allows_what_is_in_it_and_nothing_else(text):
    page = Elements(text)
    (policy,) = [
        v
        for tag, name, v in page.attributes
        if tag == "meta" and name == "content" and "default-src" in v
    ]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    data, *scripts = page.texts["script"]
    for each in [*scripts, *page.texts["style"]]:
        digest = base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert len(scripts) == 2
    json.loads(data)


def test_it_names_no_address_and_handles_no_event(text):
    page = Elements(text)
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        assert name != "style"
        if name in ("src", "href"):
            assert value.startswith("#") or value == "data:,"
    assert "img" not in page.tags
    assert "iframe" not in page.tags


def test_links_and_labels_lead_somewhere(text):
    page = Elements(text)
    names = [value for _, name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    for tag, name, value in page.attributes:
        if tag == "a" and name == "href":
            assert value[1:] in names
        if name in ("aria-labelledby", "for"):
            assert value in names


def test_markup_in_every_text_stays_text(hostile_text, text):
    page, plain = Elements(hostile_text), Elements(text)
    assert set(page.tags) <= set(plain.tags) | {"h4"}
    assert page.tags.count("script") == 3
    assert not [each for each in page.attributes if each[1].startswith("on")]
    outside = re.sub(r"<script.*?</script>", "", hostile_text, flags=re.S)
    assert MARKUP not in outside
    assert "&lt;script&gt;window.broken" in outside
    assert MARKUP in json.loads(page.texts["script"][0])["table"]["columns"][0]["values"][0]


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_data_is_json_that_ends_no_element(value):
    told = as_data(value)
    assert not set(told) & set("<>&\u2028\u2029")
    assert json.loads(told) == value


def test_a_hundred_thousand_slices_are_less_than_ten_megabytes():
    text = render_report(made_parts(100_000, experts=512))
    assert len(text.encode()) < 10_000_000


def test_what_lies_beside_is_shown(parts):
    beside = {
        "metadata": {"base_model": "claimed/one"},
        "custody": [{"who": "an expert"}],
        "identity": {"named": 95},
    }
    text = render_report(ReportParts(parts.document, parts.slices, parts.spectrum, beside))
    for expected in ("claimed/one", "an expert", "named", "95"):
        assert expected in text
    assert "as the log stood" in text


def test_why_there_is_no_spectrum_is_said(parts):
    document = dict(parts.document)
    document["spectrum"] = {"elements": 0, "held": {}, "missing": "no parent was offered"}
    text = render_report(ReportParts(document, parts.slices, parts.spectrum.clear()))
    assert "There is no cell spectrum: no parent was offered." in text
    text = render_report(ReportParts(parts.document, parts.slices))
    assert "There is no cell spectrum: the evidence holds no spectrum.parquet." in text


def test_an_empty_table_is_no_error(parts):
    text = render_report(ReportParts(parts.document, parts.slices.clear(), parts.spectrum.clear()))
    assert "All 0 slices" in text


def test_nothing_heavy_is_imported_before_a_report_is_made():
    code = (
        "import sys, parentage.pipeline, parentage.evidence, parentage.report as r;"
        "r.ReportParts, r.render_report, r.write_report, r.write_figures; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"altair", "jinja2", "vl_convert", "jsonschema"} & set(done.stdout.split())
