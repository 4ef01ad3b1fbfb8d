"""Attacks are built alike in every run, do what they say, and what is said of them is judged."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "bench"))

from attacks import disguises, frames, functions, layouts, merges
from attacks.cases import FALSE, RIGHT, UNDECIDED, Said, Truth, judge, partly, right
from attacks.families import EMBED, HEAD, NORM, heads, made

ROOT = Path(__file__).parents[2]
FAMILY = made()
CASES = [*disguises.cases(), *merges.cases(), *frames.cases()]
QUICK = [each for each in CASES if " run" not in each.name]
TRUTH = Truth(
    (right("fine-tune", "parent0"), partly("fine-tune"), right("assembled")),
    ("no room for training",),
    ("base",),
)


def digest(offered):
    found = hashlib.sha256()
    for name, tensors in offered.named().items():
        for tensor, x in tensors.items():
            found.update(f"{name} {tensor} {x.dtype} {x.shape}".encode() + x.tobytes())
    return found.hexdigest()


def normalised(x, weight):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True)) * weight


def forward(tensors, family, tokens):
    """Return the logits of a decoder without positions."""
    w = {name: x.astype(np.float64) for name, x in tensors.items()}
    values, group = heads(family)
    size = family.head_size
    x = w[EMBED][tokens]
    for attention, mlp in functions.of_layers(family):
        start = attention.removesuffix(".self_attn")
        read = normalised(x, w[f"{start}.input_layernorm.weight"])
        q, k, v = (read @ w[f"{attention}.{n}.weight"].T for n in ("q_proj", "k_proj", "v_proj"))
        out = []
        for head in range(values * group):
            mine, shared = (slice(h * size, (h + 1) * size) for h in (head, head // group))
            scores = np.exp(np.tril(q[:, mine] @ k[:, shared].T / np.sqrt(size)))
            scores = np.tril(scores)
            out.append(scores / scores.sum(-1, keepdims=True) @ v[:, shared])
        x = x + np.concatenate(out, -1) @ w[f"{attention}.o_proj.weight"].T
        read = normalised(x, w[f"{start}.post_attention_layernorm.weight"])
        gate, up = (read @ w[f"{mlp}.{n}.weight"].T for n in ("gate_proj", "up_proj"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{mlp}.down_proj.weight"].T
    return normalised(x, w[NORM]) @ w[HEAD].T


@pytest.mark.parametrize(
    "change",
    [
        lambda x, _: functions.norms_scaled(x, FAMILY, 1.25),
        lambda x, _: functions.pairs_scaled(x, FAMILY, -1.1),
        lambda x, rng: functions.neurons_permuted(x, FAMILY, rng),
        lambda x, rng: functions.heads_permuted(x, FAMILY, rng),
        lambda x, rng: functions.signs(x, FAMILY, rng),
        lambda x, rng: functions.signed_permutation(x, FAMILY, rng),
        lambda x, rng: functions.rotation(x, FAMILY, rng),
    ],
    ids=["norms", "pairs", "neurons", "heads", "signs", "signed permutation", "rotation"],
)
def test_disguises_that_keep_what_a_model_computes_keep_it(change):
    tokens = np.array([3, 100, 7, 7, 500])
    before = forward(FAMILY.one, FAMILY, tokens)
    changed = change(FAMILY.one, FAMILY.rng("test"))
    after = forward(changed, FAMILY, tokens)
    assert any(not np.array_equal(changed[name], x) for name, x in FAMILY.one.items())
    assert np.max(np.abs(after - before)) < 1e-4 * np.max(np.abs(before))


def test_what_reorders_the_tokens_reorders_the_logits():
    changed = functions.vocabulary_permuted(FAMILY.one, FAMILY.rng("test"))
    assert sorted(changed[EMBED][:, 0]) == sorted(FAMILY.one[EMBED][:, 0])
    order = [int(np.flatnonzero((changed[EMBED] == row).all(1))[0]) for row in FAMILY.one[EMBED]]
    assert np.array_equal(changed[HEAD][order], FAMILY.one[HEAD])


@pytest.mark.parametrize("case", QUICK[::6], ids=lambda case: case.name)
def test_a_case_has_the_same_bytes_in_every_run(case):
    assert digest(case.build(FAMILY)) == digest(case.build(made()))


def test_cases_have_names_of_their_own():
    assert len({each.name for each in CASES}) == len(CASES)


def test_disguises_differ_from_what_they_disguise():
    """A case whose child is plainly the parent would be judged by the wrong rules."""
    for case in disguises.cases():
        offered = case.build(FAMILY)
        if case.of == "copy":
            same = offered.child.keys() == offered.parents[0].keys() and all(
                x.tobytes() == offered.parents[0][name].tobytes()
                for name, x in offered.child.items()
            )
            assert not same, case.name


def test_layers_are_taken_in_an_order():
    taken = layouts.layers_taken(FAMILY.one, [2, 0, 0])
    name = "model.layers.{}.mlp.up_proj.weight"
    for new, old in enumerate([2, 0, 0]):
        assert np.array_equal(taken[name.format(new)], FAMILY.one[name.format(old)])
    assert name.format(3) not in taken
    assert EMBED in taken


@pytest.mark.parametrize(
    ("kind", "text", "judgement"),
    [
        ("fine-tune", "it is parent0, displaced", RIGHT),
        ("fine-tune", "it is control0, displaced", UNDECIDED),
        ("fine-tune", "it is base, displaced: parent0 explains 3%", FALSE),
        ("assembled", "30 slices from parent0; not made of base", RIGHT),
        ("assembled", "neither a copy of base nor of control0", RIGHT),
        ("assembled", "it is base or parent0", RIGHT),
        ("assembled", "no room for training", FALSE),
        ("undetermined", "it is base or parent0", UNDECIDED),
        ("undetermined", "the child is a copy of base", FALSE),
        ("related", "kin", UNDECIDED),
        ("merge", "0.5 parent0", FALSE),
        ("error", "nothing pairs", UNDECIDED),
        ("no answer", "", UNDECIDED),
    ],
)
def test_statements_are_judged_by_kind_and_by_words(kind, text, judgement):
    assert judge(TRUTH, Said(kind, "statistical", text, 0.0)) == judgement


def test_the_checkpoint_that_numbers_name_is_judged_whatever_the_text_says():
    text = "its difference has a direction of its own; parent0 explains 3%"
    assert judge(TRUTH, Said("fine-tune", "statistical", text, 0.0, "base")) == FALSE
    assert judge(TRUTH, Said("fine-tune", "statistical", text, 0.0, "parent0")) == RIGHT
    assert judge(TRUTH, Said("related", "statistical", text, 0.0, "base")) == UNDECIDED


def test_the_level_is_part_of_what_is_judged():
    truth = Truth((right("merge"),), ("^merge!",))
    assert judge(truth, Said("merge", "exact", "", 0.0)) == FALSE
    assert judge(truth, Said("merge", "statistical", "", 0.0)) == RIGHT


def test_one_command_traces_judges_and_keeps_what_was_said(tmp_path):
    kept = tmp_path / "attacks.md"
    command = [sys.executable, "-m", "bench.attacks", "--only", "weight 0.03", "-o", str(kept)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "| weight | 0.03 | merge | made | merge! | right |" in found.stdout
    assert "| disguises | 1 | 1 | 0 | 0 | 0 |" in found.stdout
    assert kept.read_text() == found.stdout.removesuffix("\n")
    command = [*command[:3], "--judge", str(kept.with_suffix(".json"))]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert again.stdout == found.stdout
