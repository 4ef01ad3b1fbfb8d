"""Executors that do what engines do at their worst, and what workers of them are made to do."""

import os
import signal
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path

from parentage.stream import CORE
from parentage.stream.backends import worker

OTHER_VERSION = ("0.0.0", 0)


class Here(Executor):
    """Carries out what it is given at once; ``lost`` says of which calls, by number, it loses."""

    def __init__(self, lost=(), error=None):
        self.lost, self.error = set(lost), error or RuntimeError("a machine is gone")
        self.given = []
        """Arguments of every call."""

    def submit(self, call, /, *arguments):
        self.given.append(arguments)
        future = Future()
        if len(self.given) - 1 in self.lost:
            future.set_exception(self.error)
        else:
            future.set_result(call(*arguments))
        return future


class Late(ThreadPoolExecutor):
    """Does of every four things that it is given the first last."""

    def __init__(self):
        super().__init__(4)
        self.number = 0

    def submit(self, call, /, *arguments):
        self.number += 1
        return super().submit(_later, (4 - self.number % 4) * 0.02, call, arguments)


def _later(seconds, call, arguments):
    time.sleep(seconds)
    return call(*arguments)


class Refusing(Executor):
    """Takes nothing."""

    def __init__(self, error):
        self.error = error

    def submit(self, *_):
        raise self.error


def broken():
    return Here(lost={1}, error=BrokenExecutor("a process is gone"))


def of_another_version():
    """Have the worker that calls it be of another version."""
    worker.versions = lambda: OTHER_VERSION


def dies_at(flag):
    """Have the worker that finds ``flag`` kill itself when it is given a range; only one does."""
    found = CORE.gram

    def gram(*arguments, **options):
        try:
            Path(flag).unlink()
        except FileNotFoundError:
            return found(*arguments, **options)
        return os.kill(os.getpid(), signal.SIGKILL)

    type(CORE).gram = staticmethod(gram)
