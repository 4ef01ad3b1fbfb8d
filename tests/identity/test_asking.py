"""All questions get their answers: at once, again, and after whatever happens."""

import asyncio
import random
import threading
import time

import msgspec
import pytest
from common.identities import QUICK, head_of
from parentage.identity.asking import Asking, run_beside, seed_of
from parentage.identity.errors import ServerError
from parentage.identity.pacing import Pace
from parentage.identity.progress import AskingProgress
from parentage.identity.records import Answer, Answers, Arm
from parentage.identity.server import PassingError, RefusedError


class Kept:
    """Answers in memory."""

    def __init__(self, head):
        self.answers = Answers("x", head)

    def append(self, record):
        self.answers.add(record)


class Scripted:
    """Answers, or raises what a script says for (arm, question, sample, attempt)."""

    def __init__(self, script=lambda *_: None, wraps=False, takes=0.0):
        self.script, self.wraps, self.takes = script, wraps, takes
        self.attempts, self.asked, self.closed = {}, [], False
        self.at_once, self.most_at_once = 0, 0

    async def ask(self, arm, question, sample, seed):
        key = (arm.name, question.id, sample)
        self.attempts[key] = self.attempts.get(key, 0) + 1
        self.asked.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes)
            error = self.script(*key, self.attempts[key])
        finally:
            self.at_once -= 1
        if error is not None:
            raise error
        return Answer(*key, seed, f"{seed}")

    async def puts_template(self):
        return self.wraps

    async def close(self):
        self.closed = True


class Heard(AskingProgress):
    def __init__(self):
        self.notes, self.updates, self.begun = [], [], None

    def start(self, tally):
        self.begun = (tally.total, tally.kept)

    def update(self, tally):
        self.updates.append((tally.answered, tally.failed, tally.errors))

    def note(self, text):
        self.notes.append(text)


def asked(server, kept=None, *, heard=None, pace=QUICK, **settings):
    kept = kept or Kept(head_of(**{"questions": 6, **settings}))
    asking = Asking(lambda: server, kept, concurrency=3, pace=pace, progress=heard)
    asyncio.run(asking.run())
    assert server.closed
    return kept, asking


def test_every_question_is_asked_as_often_as_is_wanted_and_several_at_once():
    server, heard = Scripted(takes=0.005), Heard()
    kept, asking = asked(server, heard=heard)
    assert len(kept.answers.answers) == 6 * 2 * 2 == len(server.asked)
    assert server.most_at_once == 3
    assert heard.begun == (24, 0)
    assert heard.updates[-1] == (24, 0, 0)
    assert asking.tally.answered == 24


def test_seeds_differ_by_sample_and_not_by_arm():
    kept, _ = asked(Scripted())
    seeds = {key: each.seed for key, each in kept.answers.answers.items()}
    assert seeds["as-served", "q1", 0] == seeds["empty-system", "q1", 0] == seed_of(0, "q1", 0)
    assert len(set(seeds.values())) == 12
    assert all(0 <= each < 2**31 for each in seeds.values())


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_errors_are_survived(share):
    draw = random.Random(1)
    errors = [PassingError("HTTP 500"), PassingError("broken"), PassingError("429", after=0.001)]

    def script(*_):
        return draw.choice(errors) if draw.random() < share else None

    whole, _ = asked(Scripted())
    server = Scripted(script)
    kept, asking = asked(server)
    assert kept.answers.answers == whole.answers.answers
    assert kept.answers.failures == {}
    assert asking.tally.errors == len(server.asked) - 24


def test_what_is_given_up_gets_another_round_and_is_told_if_in_vain():
    stubborn = {("as-served", "q3", 0): 20, ("as-served", "q4", 1): 10**6}

    def script(*key):
        return PassingError("HTTP 500") if key[3] <= stubborn.get(key[:3], 0) else None

    heard = Heard()
    kept, asking = asked(Scripted(script), heard=heard)
    (failure,) = kept.answers.failures.values()
    assert (failure.key, failure.error) == (("as-served", "q4", 1), "HTTP 500")
    assert len(kept.answers.answers) == 23
    assert (asking.tally.answered, asking.tally.failed) == (23, 1)


def test_what_is_kept_is_not_asked_again():
    kept, _ = asked(Scripted())
    gone = [("as-served", "q1", 0), ("empty-system", "q5", 1)]
    for key in gone:
        del kept.answers.answers[key]
    server, heard = Scripted(), Heard()
    asked(server, kept, heard=heard)
    assert sorted(server.asked) == sorted(gone)
    assert heard.begun == (24, 22)
    # With nothing left, nobody is asked.
    asyncio.run(Asking(lambda: pytest.fail("asked"), kept).run())


def test_nobody_there_is_told_at_once():
    server = Scripted(lambda *_: PassingError("no connection: refused", is_unreachable=True))
    with pytest.raises(ServerError, match="no answer: no connection: refused"):
        asked(server)
    assert len(server.asked) == 3


def test_a_server_that_never_answers_is_given_up_after_the_first_question():
    server = Scripted(lambda *_: PassingError("its answer is no JSON"))
    with pytest.raises(ServerError, match="no JSON"):
        asked(server)
    assert len(server.asked) == QUICK.retries + 1


def test_a_server_that_goes_away_is_given_up_and_answers_stay():
    def script(*_):
        gone = len(server.asked) > 10
        return PassingError("no connection", is_unreachable=True) if gone else None

    server = Scripted(script)
    kept = Kept(head_of(questions=6))
    with pytest.raises(ServerError, match=r"no answer to \d+ questions in a row.*no connection"):
        asked(server, kept)
    # Up to three were on their way.
    assert 8 <= len(kept.answers.answers) <= 10
    # It comes back, and all goes on.
    whole, _ = asked(Scripted())
    again, _ = asked(Scripted(), kept)
    assert again.answers.answers == whole.answers.answers
    assert again.answers.failures == {}


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_ends_it(status):
    server = Scripted(lambda *_: RefusedError(status, f"HTTP {status}: wrong key"))
    with pytest.raises(ServerError, match="wrong key"):
        asked(server)
    assert len(server.asked) == 1
    late = Scripted(lambda *key: RefusedError(401, "expired") if key[1] == "q4" else None)
    with pytest.raises(ServerError, match="expired"):
        asked(late)
    assert late.closed


def test_an_arm_that_is_refused_is_skipped_and_said():
    def script(arm, *_):
        return RefusedError(400, "HTTP 400: no system messages") if arm != "as-served" else None

    server, heard = Scripted(script), Heard()
    kept, asking = asked(server, heard=heard)
    assert kept.answers.skipped == {
        "empty-system": "the server refuses it: HTTP 400: no system messages"
    }
    assert heard.notes == [
        "arm empty-system is skipped: the server refuses it: HTTP 400: no system messages"
    ]
    assert len(kept.answers.answers) == asking.tally.total == 12
    assert sum(key[0] == "empty-system" for key in server.asked) == 1


def test_a_model_that_is_not_there_ends_it():
    server = Scripted(lambda *_: RefusedError(404, "HTTP 404: no such model"))
    with pytest.raises(ServerError, match="no such model"):
        asked(server)


def test_raw_prompts_that_are_wrapped_are_not_sent():
    raw = Arm("removed", "completions", prompts={f"q{at}": "x" for at in range(6)})
    head = head_of(questions=6, arms=("as-served",))
    kept = Kept(msgspec.structs.replace(head, arms=[*head.arms, raw]))
    server = Scripted(wraps=True)
    asked(server, kept)
    assert "Ollama" in kept.answers.skipped["removed"]
    assert {key[0] for key in server.asked} == {"as-served"}


def test_a_question_that_is_refused_is_given_up():
    def script(_, question, *__):
        return RefusedError(400, "HTTP 400: too long") if question == "q2" else None

    kept, _ = asked(Scripted(script))
    assert len(kept.answers.answers) == 20
    assert {each.error for each in kept.answers.failures.values()} == {"HTTP 400: too long"}


def test_everybody_waits_where_the_server_asks():
    def script(_, question, __, attempt):
        return PassingError("429", after=0.3) if (question, attempt) == ("q0", 1) else None

    begun = time.monotonic()
    heard = Heard()
    asked(Scripted(script), heard=heard, samples=1, arms=("as-served",))
    assert time.monotonic() - begun >= 0.29
    assert heard.notes == []


def test_an_interrupt_ends_it_soon_and_nothing_is_left_running():
    server = Scripted(takes=60.0)
    kept = Kept(head_of())
    asking = Asking(lambda: server, kept, pace=Pace())

    def interrupt():
        time.sleep(0.3)
        import _thread

        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_beside(asking.run())
    assert time.monotonic() - begun < 2.0
    assert server.closed
    assert not [each for each in threading.enumerate() if each.name == "parentage-identify"]


def test_it_runs_where_a_loop_is_running():
    """As in a notebook."""
    done = []

    async def work():
        done.append(threading.current_thread().name)

    async def notebook():
        run_beside(work())

    asyncio.run(notebook())
    assert done == ["parentage-identify"]


def test_errors_come_out_of_the_thread():
    async def work():
        raise ServerError("gone")

    with pytest.raises(ServerError, match="gone"):
        run_beside(work())
