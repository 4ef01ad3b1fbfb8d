"""Files of answers: ours, those from elsewhere, and what is none."""

import gzip
import json
import random

import pytest
from common.identities import answers_of
from parentage.identity.errors import IdentityError
from parentage.identity.records import Answer, Failure, Skipped, line_of, read_answers


def text_of(answers):
    return b"".join(map(line_of, answers.records()))


@pytest.fixture
def kept(tmp_path):
    answers = answers_of(lambda key: f"I am {key.arm} {key.at} {key.sample}.")
    answers.add(Skipped("removed", "no template"))
    path = tmp_path / "answers.jsonl"
    path.write_bytes(text_of(answers))
    return answers, path


def test_what_is_written_is_read(kept):
    answers, path = kept
    again = read_answers(path)
    assert (again.answers, again.skipped, again.head) == (
        answers.answers,
        answers.skipped,
        answers.head,
    )
    assert again.name == "double"
    assert text_of(again) == path.read_bytes()


def test_it_may_be_packed(kept, tmp_path):
    packed = tmp_path / "answers.jsonl.gz"
    packed.write_bytes(gzip.compress(kept[1].read_bytes(), mtime=0))
    assert read_answers(packed).answers == kept[0].answers


def test_a_last_line_that_was_cut_off_is_left_out(kept):
    path = kept[1]
    path.write_bytes(path.read_bytes()[:-5])
    assert len(read_answers(path).answers) == len(kept[0].answers) - 1


def test_the_order_of_lines_says_nothing(kept):
    answers, path = kept
    first, *rest = path.read_bytes().splitlines(keepends=True)
    random.Random(0).shuffle(rest)
    path.write_bytes(b"".join([first, *rest]))
    assert text_of(read_answers(path)) == text_of(answers)


def test_an_answer_stands_for_failures_and_the_first_one_stays():
    answers = answers_of(lambda *_: None)
    failure = Failure("as-served", "q0", 0, "HTTP 500")
    answers.add(failure)
    assert answers.failures
    first = Answer("as-served", "q0", 0, 0, "first")
    for each in (first, Answer("as-served", "q0", 0, 0, "second"), failure):
        answers.add(each)
    assert (list(answers.answers.values()), answers.failures) == ([first], {})


def test_lines_from_elsewhere_are_read(tmp_path):
    path = tmp_path / "theirs.jsonl"
    lines = [
        {"question": "Who are you?", "answer": "I am Nex.", "extra": 1},
        {"question": "Who are you?", "answer": "Nex.", "arm": "bare"},
        {"question": "Who are you?", "answer": "I am Rio."},
        {"question": "你是谁？", "answer": "我是Nex。", "language": "zh"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    found = read_answers(path)
    assert found.name == "theirs.jsonl"
    assert [each.name for each in found.head.arms] == ["given", "bare"]
    assert [each.language for each in found.head.questions] == ["und", "zh"]
    assert set(found.answers) == {
        ("given", "q1", 0),
        ("given", "q1", 1),
        ("bare", "q1", 0),
        ("given", "q2", 0),
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no answer in it"),
        (b"\n", "no answer in it"),
        (b"hello\n", "line 1"),
        (b"{}\n", "line 1"),
        (b'{"question": 1, "answer": "x"}\n', "line 1"),
        (b'{"question": "a", "answer": "b"}\n{"question": "a"}\n', "line 2"),
        (b"\xff\xfe\n", "line 1"),
        (b"[" * 100_000 + b"\n", "line 1"),
        (b'{"kind": "head"}\n', "line 1"),
        (b'{"kind": "answer", "arm": "a", "question": "q", "sample": 0, "seed": 0, "text": ""}\n',
         "its first line"),
        (b"\x1f\x8b\x08garbage", "damaged"),
        (gzip.compress(b'{"question": "a", "answer": "b"}\n', mtime=0)[:-9], "damaged"),
        (b"x" * (9 << 20), "longer"),
        (b"".join(b'{"question": "%d", "answer": "x"}\n' % at for at in range(5001)), "5,001"),
        (
            b"".join(
                b'{"question": "a", "answer": "x", "arm": "%d"}\n' % at for at in range(33)
            ),
            "33 arms",
        ),
    ],
)  # fmt: skip
def test_what_is_no_file_of_answers_is_told(tmp_path, content, said):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(content)
    with pytest.raises(IdentityError, match=said) as caught:
        read_answers(path)
    assert "answers.jsonl" in str(caught.value)


def test_damage_in_the_middle_is_told(kept):
    path = kept[1]
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"\x00" * 20 + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(IdentityError, match="line 4"):
        read_answers(path)


def test_answers_to_what_was_not_asked_are_told(kept):
    path = kept[1]
    with path.open("ab") as file:
        file.write(line_of(Answer("as-served", "q99", 0, 0, "x")))
    with pytest.raises(IdentityError, match="'q99'"):
        read_answers(path)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(IdentityError, match="No such file"):
        read_answers(tmp_path / "none.jsonl")
    with pytest.raises(IdentityError):
        read_answers(tmp_path)
