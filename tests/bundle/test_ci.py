"""What machines read of a verdict: SARIF and JUnit."""

import json

import pytest
from common.bundles import edit_document, put, resealed
from junitparser import Failure, JUnitXml
from parentage.bundle import read_bundle
from parentage.bundle.ci import HELP, junit, sarif
from parentage.verdict import KINDS
from sarif_pydantic import Sarif


@pytest.fixture(scope="module")
def found(made):
    return read_bundle(made)


def test_every_verdict_has_a_sentence():
    assert tuple(HELP) == KINDS


@pytest.mark.parametrize(("fail_on", "level"), [((), "warning"), (("merge",), "error")])
def test_sarif_tells_the_verdict_as_a_result(found, fail_on, level):
    text = sarif(found, fail_on)
    # A model of SARIF 2.1.0; the schema itself is in no package.
    Sarif.model_validate_json(text)
    (run,) = json.loads(text)["runs"]
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("MERGE", level)
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "MERGE"
    assert result["message"]["text"] == found.document.verdict.text
    (artifact,) = run["artifacts"]
    assert artifact["location"]["uri"] == "model.safetensors"
    assert len(artifact["hashes"]["sha-256"]) == 64


@pytest.mark.parametrize("fail_on", [(), ("merge",), ("identical",)])
def test_junit_has_a_case_for_the_verdict_and_each_checkpoint(found, fail_on):
    (suite,) = JUnitXml.fromstring(junit(found, fail_on).encode())
    cases = list(suite)
    assert [each.name for each in cases] == [
        *("verdict", "relation of base", "relation of parent", "relation of sibling")
    ]
    assert (suite.tests, suite.failures) == (4, int("merge" in fail_on))
    is_failure = [isinstance(one, Failure) for each in cases for one in each.result]
    assert is_failure == ([True] if "merge" in fail_on else [])


def test_markup_and_what_xml_can_not_say_is_inert(bundle):
    text = "</system-out><script>\x00\x1b\ufffe&\"'"
    edit_document(bundle, lambda told: put(told, "verdict.text", text))
    resealed(bundle)
    found = read_bundle(bundle)
    (suite,) = JUnitXml.fromstring(junit(found, ("merge",)).encode())
    (failure,) = next(iter(suite)).result
    assert failure.text == "</system-out><script>\ufffd\ufffd\ufffd&\"'"
    Sarif.model_validate_json(sarif(found))
