"""Sentences of many changes."""

from __future__ import annotations

from parentage.places import Change, summarise


def change(kind, size=1.0):
    return Change(kind, f"{kind} of {{size}}", {"size": size})


def test_the_most_elements_come_first_and_ranges_are_told():
    changes = [
        ("lm_head.weight", 10, change("zero")),
        ("model.layers.0.mlp.up_proj.weight", 40, change("noise", 0.001)),
        ("model.layers.1.mlp.up_proj.weight", 40, change("noise", 0.002)),
    ]
    assert summarise(changes, total=1000) == (
        "up_proj of layers 0 and 1 (2 tensors, 8% of the elements): noise of 0.001 to 0.002. "
        "lm_head (1 tensor, 1% of the elements): zero of 1."
    )


def test_what_is_beyond_the_most_is_counted():
    changes = [(f"x{i}.weight", 100 - i, change(f"kind{i}")) for i in range(8)]
    text = summarise(changes)
    assert text.count("kind") == 5
    assert "In 3 more ways: 3 tensors" in text
    assert summarise(list(reversed(changes))) == text


def test_nothing_is_nothing():
    assert summarise([]) == ""
