"""The evidence for machines that watch over uploads: SARIF 2.1.0 and JUnit XML."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree

from parentage.bundle.statements import property_name

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from parentage.bundle.reading import Bundle

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

HELP = {
    "identical": "All of the child and all of one checkpoint are the same, bit for bit.",
    "re-encoded": "The child is a cast or a quantisation of one checkpoint.",
    "merge": "A recipe makes the child of the checkpoints.",
    "merge-then-changed": "The child is a blend of the checkpoints, and was changed after it.",
    "fine-tune": "The child is displaced from one checkpoint in a direction of its own.",
    "assembled": "The child is taken from several places, in parts that were not changed.",
    "related": "The child is kin, and it is not decided how.",
    "unrelated": "The child is no more like the checkpoints than independent models are.",
    "undetermined": "The evidence does not decide.",
}
"""What each verdict means, in a sentence."""

QUIET = ("unrelated", "undetermined")
"""Verdicts that say of no descent."""

_NOT_OF_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def sarif(bundle: Bundle, fail_on: Collection[str] = ()) -> str:
    """Return the verdict as a SARIF log: an error if ``fail_on`` names it, else a note or warning.

    ``fail_on`` are verdicts that are not to be.
    """
    document = bundle.document
    verdict, child = document.verdict, document.inputs.child
    level = "note" if verdict.kind in QUIET else "warning"
    digested = [each for each in child.files if each.sha256 is not None]
    result: dict[str, Any] = {
        "ruleId": property_name(verdict.kind),
        "ruleIndex": list(HELP).index(verdict.kind) if verdict.kind in HELP else -1,
        "level": "error" if verdict.kind in fail_on else level,
        "kind": "fail",
        "message": {"text": verdict.text},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": _uri(each.name)}}}
            for each in child.files
        ],
        "properties": {
            "level": verdict.level,
            "rule": verdict.rule,
            "numbers": verdict.numbers,
        },
    }
    log = {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": document.tool.name,
                        "version": document.tool.version,
                        "rules": [
                            {"id": property_name(kind), "shortDescription": {"text": text}}
                            for kind, text in HELP.items()
                        ],
                    }
                },
                "artifacts": [
                    {"location": {"uri": _uri(each.name)}, "length": each.bytes}
                    | ({"hashes": {"sha-256": each.sha256}} if each in digested else {})
                    for each in child.files
                ],
                "results": [result],
            }
        ],
    }
    return json.dumps(log, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def junit(bundle: Bundle, fail_on: Collection[str] = ()) -> str:
    """Return the verdict, and what each checkpoint is to the child, as JUnit test cases.

    The case of the verdict fails if ``fail_on`` names it, and that of none else.
    """
    document = bundle.document
    verdict, child = document.verdict, document.inputs.child
    is_failure = verdict.kind in fail_on
    suite = ElementTree.Element(
        "testsuite",
        name=_of_xml(f"parentage {document.tool.version}"),
        tests=str(1 + len(document.relations)),
        failures=str(int(is_failure)),
        errors="0",
        skipped="0",
        timestamp=bundle.created.removesuffix("Z"),
    )
    case = _case(suite, child.name, "verdict")
    said = f"{verdict.kind} ({verdict.level})"
    if is_failure:
        failure = ElementTree.SubElement(case, "failure", message=_of_xml(said), type=verdict.kind)
        failure.text = _of_xml(verdict.text)
    _output(case, f"{said}, by rule {verdict.rule}: {verdict.text}")
    for each in document.relations:
        case = _case(suite, child.name, f"relation of {each.checkpoint}")
        test = "" if each.test is None else f", by test {each.test}"
        _output(case, f"{each.checkpoint} is {each.relation} of {child.name}{test}")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites, " ")
    text: str = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _case(suite: ElementTree.Element, child: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=_of_xml(f"parentage.{child}"), name=_of_xml(name), time="0"
    )


def _output(case: ElementTree.Element, text: str) -> None:
    ElementTree.SubElement(case, "system-out").text = _of_xml(text)


def _of_xml(text: str) -> str:
    """Return text without what XML has no way to say."""
    return _NOT_OF_XML.sub("\ufffd", text)


def _uri(name: str) -> str:
    """Return a relative reference to a file."""
    return quote(name)
