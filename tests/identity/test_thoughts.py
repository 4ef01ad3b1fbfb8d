"""What is thought is told from what is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.identity.thoughts import split_thoughts


@pytest.mark.parametrize(
    ("text", "said", "thought"),
    [
        ("I am Nex.", "I am Nex.", ""),
        ("<think>\n\n</think>\n\nI am Nex.", "I am Nex.", ""),
        ("<think>Rio?</think>I am <think>Nex?</think>Nex.", "I am Nex.", "Rio?\nNex?"),
        ("Rio?</think>\nI am Nex.", "I am Nex.", "Rio?"),
        ("<Thinking>Rio?</Thinking>Nex", "Nex", "Rio?"),
        ("<think>I was told to be Rio and", "", "I was told to be Rio and"),
        ("", "", ""),
        ("a < b and <thinker> is no mark", "a < b and <thinker> is no mark", ""),
    ],
)
def test_parts_are_told_apart(text, said, thought):
    assert split_thoughts(text) == (said, thought)


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "<", "\n"]), max_size=12))
def test_no_mark_of_a_whole_block_is_left_and_nothing_is_made_up(parts):
    said, thought = split_thoughts("".join(parts))
    assert "<think>" not in said
    assert said.count("a") + thought.count("a") == parts.count("a")
