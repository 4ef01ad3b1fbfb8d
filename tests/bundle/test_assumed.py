"""What was assumed is told in sentences that say because of what, and nothing in them acts."""

import msgspec
import pytest
from parentage.bundle import Assumed, AssumedCheckpoint, Claim, SearchedLibrary


def one(name="base", role="base", search="alike", claims=(), sketch=False):
    return AssumedCheckpoint(name, role, search, list(claims), sketch)


def told(*checkpoints, given=False, sketches=3):
    library = SearchedLibrary(sketches, "0" * 64) if sketches else None
    return Assumed(library, given, list(checkpoints)).sentences


def test_those_of_one_reason_are_told_together():
    said = told(one(), one("tuned", "parent", sketch=True))
    assert said == (
        "Neither a base nor parents were given.",
        "Base base and parent tuned (a sketch) are assumed: the search of a library of 3 sketches "
        "proposes them.",
    )


def test_a_claim_is_said_to_be_no_evidence():
    claims = [Claim("README.md, base_model", "org/base")]
    assert told(one(search=None, claims=claims), given=True, sketches=0) == (
        "No base was given.",
        "Base base is assumed: the child's own files claim it (README.md, base_model: org/base), "
        "which is no evidence.",
    )
    assert "proposes it; and the child's own files claim it" in told(one(claims=claims))[1]


def test_lengths_are_said_to_be_no_likeness():
    assert (
        "a library of 1 sketch proposes it because rows"
        in told(one(search="lengths"), sketches=1)[1]
    )


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\u202eb"])
def test_names_do_not_act_on_terminals(name):
    said = told(one(name, claims=[Claim(name, name)]))[1]
    assert "\x1b" not in said and "\u202e" not in said


def test_it_is_read_as_it_is_written():
    assumed = Assumed(SearchedLibrary(3, "0" * 64), True, [one(claims=[Claim("a", "b")])])
    assert msgspec.convert(msgspec.to_builtins(assumed), Assumed) == assumed
