"""What is shown of a trace."""

import parentage
import pytest
from common.terminals import shown
from conftest import family_path, load, write_checkpoint
from parentage.cli.terminal.trace import show_trace, show_verdict
from parentage.verdict import KINDS, Verdict


@pytest.fixture(scope="module")
def trace():
    return parentage.trace(
        family_path("child"),
        base=family_path("base"),
        parents=[family_path("parent")],
        controls=[family_path("sibling")],
        digest="sha256",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_verdict_is_told_with_its_level_and_rule(capsys, kind):
    verdict = Verdict(kind, "statistical", "a_rule", "What [it] means.", {})
    text = shown(capsys, show_verdict, verdict)
    assert text.startswith(kind)
    for expected in ("a_rule", "What [it] means."):
        assert expected in text
    # What decides nothing is sure of nothing.
    assert ("statistical" in text) is (kind != "undetermined")


def test_the_verdict_comes_first_and_weights_follow(capsys, trace):
    text = shown(capsys, show_trace, trace)
    assert text.startswith(trace.verdict.kind)
    assert " ".join(trace.verdict.text.split()) in text
    for expected in ("parent", "sibling (control", "(base)", "mlp", "attention", "norm"):
        assert expected in text
    assert f"{trace.elements:,}" in text


def test_layers_are_told_where_they_are_asked_for(capsys, trace):
    assert "layer" in shown(capsys, show_trace, trace, layers=True)
    without = shown(capsys, show_trace, trace)
    assert len(shown(capsys, show_trace, trace, layers=True)) > len(without)


def test_digests_are_told_as_sha256sum_tells_them(capsys, trace):
    text = shown(capsys, show_trace, trace)
    for name, digests in trace.digests.items():
        for digest in digests:
            assert f"{digest} {name}/model.safetensors" in text


def test_what_was_not_compared_is_told_with_the_reason(capsys, tmp_path):

    child = load(family_path("child"))
    left = next(iter(child))
    del child[left]
    folder = write_checkpoint(tmp_path / "less", child)
    found = parentage.trace(folder, base=family_path("base"), parents=[family_path("parent")])
    assert left in shown(capsys, show_trace, found)
