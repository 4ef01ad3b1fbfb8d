"""Pages that say what the evidence does not are found, though all digests are made anew."""

import base64
import gzip
import json
import re

import pytest
from common.bundles import resealed
from parentage.report import made_with
from parentage.support import ReportError
from parentage.verify import FAILED, OK, UNCHECKED, verify
from parentage.verify.page import unpacked

PAGE = "report.html"


def forged(folder, old, new):
    """Write another page, with the digests that it has to have."""
    page = folder / PAGE
    text = page.read_text("utf-8")
    assert old in text
    page.write_text(text.replace(old, new, 1), "utf-8")
    resealed(folder)


def found(folder):
    """Return standing, and what the check of the page found."""
    verification = verify(folder)
    (page,) = [each for each in verification.findings if each.check == "page"]
    return verification.standing, page


def test_the_page_of_a_trace_is_the_one_that_its_evidence_gives(made):
    standing, page = found(made)
    assert (standing, page.status, page.file) == ("consistent", OK, PAGE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("No training after the merge", "Much training after the merge"),
        ("A merge: 0.6 parent", "A merge: 0.1 parent"),
        ("</main>", "<p>All of it is original.</p></main>"),
        ("default-src &#39;none&#39;", "default-src *"),
        ("For a lawyer", "For a lawyer "),
        ('"exact_share"', '"exact_shar3"'),
        ("</html>", "<!-- --></html>"),
    ],
)
def test_a_sentence_that_was_forged_is_found_though_digests_are_new(bundle, old, new):
    forged(bundle, old, new)
    standing, page = found(bundle)
    assert (standing, page.status, page.file) == ("refuted", FAILED, PAGE)
    assert "is not the page that this evidence gives: at line" in page.text
    assert not [x for x in verify(bundle).failed if x.check != "page"]


def test_a_page_of_another_version_is_not_called_forged_and_not_taken_for_true(bundle):
    maker = re.sub(r"parentage \S+", "parentage 0.0.9", made_with())
    forged(bundle, f'content="{made_with()}"', f'content="{maker}"')
    standing, page = found(bundle)
    assert (standing, page.status) == ("incomplete", UNCHECKED)
    assert "says that it was made by parentage 0.0.9 (page " in page.text
    assert made_with() in page.text
    assert "-o FILE makes the page with this one" in page.text


@pytest.mark.parametrize("maker", ["", "somebody", "<b>", "parentage &lt;b&gt;"])
def test_a_page_that_does_not_say_who_made_it_is_forged(bundle, maker):
    forged(bundle, f'content="{made_with()}"', f'content="{maker}"')
    assert found(bundle)[0] == "refuted"


def test_a_page_that_can_not_be_made_here_is_not_taken_for_true(bundle, monkeypatch):
    def missing():
        raise ReportError("vl-convert-python, which draws charts, is not at hand")

    monkeypatch.setattr("parentage.report.render.bundle", missing)
    standing, page = found(bundle)
    assert (standing, page.status) == ("incomplete", UNCHECKED)
    assert "can not be made again here" in page.text


def test_a_page_that_is_no_text_is_found(bundle):
    (bundle / PAGE).write_bytes(b"\xff\xfe")
    resealed(bundle)
    standing, page = found(bundle)
    assert (standing, page.status, page.text) == ("refuted", FAILED, "no UTF-8 at byte 0")


def test_a_bundle_without_a_page_has_none_to_check(bundle):
    (bundle / PAGE).unlink()
    resealed(bundle)
    verification = verify(bundle)
    assert verification.standing == "consistent"
    assert "page" not in {each.check for each in verification.findings}


def test_what_is_compressed_otherwise_is_the_same_and_what_a_browser_refuses_is_not():
    def page(data):
        return f'"packed":"{base64.b64encode(data).decode()}"'

    table = json.dumps([1, 2, 3] * 1000).encode()
    fast, small = (gzip.compress(table, level, mtime=0) for level in (1, 9))
    assert fast != small
    assert unpacked(page(fast)) == unpacked(page(small))
    for data in (fast + b"x", fast + fast, fast[:-1], b"", table):
        assert unpacked(page(data)) == page(data)
