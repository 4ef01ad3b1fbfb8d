"""The file of phrases compiles, and its openers open nothing else."""

import pytest
from parentage.identity.phrases import fillers, openers


def test_every_language_has_ways_to_say_a_name_and_a_maker():
    says = {}
    for each in openers():
        says.setdefault(each.language.name, set()).add(each.says)
    assert len(says) >= 15
    for language, kinds in says.items():
        assert {"name", "self"} <= kinds, language
    assert all(kinds <= {"name", "self", "maker", "origin"} for kinds in says.values())


def test_what_needs_a_closer_has_one():
    for each in openers():
        assert bool(each.language.closers) or not each.needs_closer


@pytest.mark.parametrize("text", ["Ich", "banana", "sonoro", "soya", "im", "Iam", "x" * 1000])
def test_words_that_only_begin_alike_open_nothing(text):
    found = [each.pattern.pattern for each in openers() if each.pattern.search(text)]
    assert not found


def test_fillers_are_words():
    assert {"i", "am", "sou", "ich"} <= fillers()
