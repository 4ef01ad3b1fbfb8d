"""Answers outlive a kill, and no others are taken for them."""

import random

import msgspec
import pytest
from common.identities import answers_of, head_of
from parentage.identity.journal import NAME, AnswersJournal, differs
from parentage.identity.questions import Question
from parentage.identity.records import Answer, Failure, Parameters, Skipped, line_of, read_answers
from parentage.support import JournalError, WriteError


def answer(question="q0", sample=0, text="I am Nex."):
    return Answer("as-served", question, sample, 0, text)


def test_what_was_kept_is_there_again(tmp_path):
    with AnswersJournal(tmp_path / "new", head_of(), resume=False) as journal:
        journal.append(answer())
        journal.append(Failure("as-served", "q1", 0, "HTTP 500"))
    with AnswersJournal(tmp_path / "new", head_of(), resume=True) as journal:
        assert list(journal.answers.answers) == [("as-served", "q0", 0)]
        # It is asked again.
        assert journal.answers.failures == {}
        journal.append(answer("q1"))
    assert len(read_answers(tmp_path / "new" / NAME).answers) == 2


@pytest.mark.parametrize("seed", range(12))
def test_wherever_a_kill_tears_the_file_whole_lines_are_kept(tmp_path, seed):
    answers = answers_of(lambda *_: "I am Nex.\n我是Nex。")
    path = tmp_path / NAME
    whole = b"".join(map(line_of, answers.records()))
    size = random.Random(seed).randrange(len(whole) + 1)
    path.write_bytes(whole[:size])
    lines = whole[:size].count(b"\n")
    with AnswersJournal(tmp_path, answers.head, resume=True) as journal:
        assert len(journal.answers.answers) == max(0, lines - 1)
        for each in answers.in_order():
            if each.key not in journal.answers.answers:
                journal.append(each)
        journal.put_in_order()
    assert path.read_bytes() == whole


def test_lines_are_put_in_order(tmp_path):
    answers = answers_of(lambda key: f"{key.arm} {key.at} {key.sample}")
    records = answers.in_order()
    with AnswersJournal(tmp_path, answers.head, resume=False) as journal:
        for each in random.Random(0).sample(records, len(records)):
            journal.append(Failure(*each.key, "HTTP 500"))
            journal.append(each)
        journal.append(Skipped("neutral", "it is refused"))
        journal.put_in_order()
    answers.add(Skipped("neutral", "it is refused"))
    assert (tmp_path / NAME).read_bytes() == b"".join(map(line_of, answers.records()))
    assert [each.name for each in tmp_path.iterdir()] == [NAME]


def test_answers_are_not_overwritten(tmp_path):
    with AnswersJournal(tmp_path, head_of(), resume=False) as journal:
        journal.append(answer())
    with pytest.raises(JournalError, match="--resume"):
        AnswersJournal(tmp_path, head_of(), resume=False)
    # A head without answers is nothing to lose.
    (tmp_path / NAME).write_bytes(line_of(head_of()))
    with AnswersJournal(tmp_path, head_of(samples=9), resume=False) as journal:
        assert journal.answers.head.parameters.samples == 9
    assert (tmp_path / NAME).read_bytes() == line_of(head_of(samples=9))


@pytest.mark.parametrize(
    "content", [b"my notes\n", b"my notes", b"{}\n", b'{"kind":"answer"}\n', b"\x00" * 30]
)
def test_what_is_somebody_elses_stays(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    for resume in (False, True):
        with pytest.raises(JournalError, match=NAME):
            AnswersJournal(tmp_path, head_of(), resume=resume)
    assert (tmp_path / NAME).read_bytes() == content


def test_damage_in_the_middle_is_told_and_left(tmp_path):
    answers = answers_of(lambda *_: "I am Nex.")
    lines = [*map(line_of, answers.records())]
    content = b"".join([lines[0], b"garbage\n", *lines[1:]])
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(JournalError, match="line 2"):
        AnswersJournal(tmp_path, answers.head, resume=True)
    assert (tmp_path / NAME).read_bytes() == content


def test_two_do_not_write_at_once(tmp_path):
    with (
        AnswersJournal(tmp_path, head_of(), resume=False),
        pytest.raises(JournalError, match="another process"),
    ):
        AnswersJournal(tmp_path, head_of(), resume=True)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WriteError):
        AnswersJournal(tmp_path, head_of(), resume=False)


def test_what_is_no_file_is_in_the_way(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(WriteError):
        AnswersJournal(tmp_path, head_of(), resume=False)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError):
        AnswersJournal(tmp_path / "file" / "below", head_of(), resume=False)


def changed(**values):
    return msgspec.structs.replace(head_of(), **values)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (changed(base_url="http://other/v1"), "server"),
        (changed(model="other"), "model"),
        (changed(parameters=Parameters(2, 0, 1.0, 64)), "temperature"),
        (changed(parameters=Parameters(3, 0, 0.7, 64)), "samples"),
        (changed(questions=[Question("q0", "en", "Who?")]), "questions"),
        (head_of(arms=("as-served",)), "arms"),
        (changed(arms=[head_of().arms[0], msgspec.structs.replace(head_of().arms[1], system="x")]),
         "empty-system"),
    ],
)  # fmt: skip
def test_other_work_is_refused(tmp_path, other, said):
    assert said in differs(head_of(), other)
    with AnswersJournal(tmp_path, head_of(), resume=False) as journal:
        journal.append(answer())
    with pytest.raises(JournalError, match=said):
        AnswersJournal(tmp_path, other, resume=True)


def test_the_same_work_with_another_date_in_its_prompts_is_the_same():
    assert differs(head_of(), head_of()) is None
    arms = [msgspec.structs.replace(each, prompts={"q0": "today"}) for each in head_of().arms]
    assert differs(changed(arms=arms), head_of()) is None


def test_an_attempt_that_got_no_answer_leaves_nothing(tmp_path):
    """Whoever mistyped an address need not go on with it."""
    with (
        pytest.raises(KeyError),
        AnswersJournal(tmp_path / "new" / "folder", head_of(), resume=False) as journal,
    ):
        journal.append(Failure("as-served", "q0", 0, "no connection"))
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with AnswersJournal(tmp_path / "new", head_of(), resume=False) as journal:
        journal.append(Failure("as-served", "q0", 0, "HTTP 500"))
    with AnswersJournal(tmp_path / "new", head_of(samples=9), resume=False) as journal:
        assert journal.answers.failures == {}
