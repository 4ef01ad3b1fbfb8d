"""Answers kept while they come, so that an interrupted asking can go on.

The file is ``answers.jsonl`` in the folder of the evidence. A line is written in one piece, to the
end of the file; one that a kill has torn is cut off. When all is done, the lines are put in order.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from parentage.identity.records import (
    MOST_LINE,
    SCHEMA,
    Answers,
    Head,
    Parameters,
    checked,
    line_of,
    read_record,
)
from parentage.support import JournalError, WriteError, is_there, sync_folder

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from types import TracebackType

    from parentage.identity.records import Record

NAME = "answers.jsonl"
"""Name of the file in the folder of the evidence."""

SYNC_SECONDS = 1.0
"""Answers of how many seconds a power failure may cost."""


class AnswersJournal:
    """A file of answers that is open, and locked against any other process.

    Raises
    ------
    JournalError
        If another process has it open, if answers are kept and ``resume`` is not given, if they
        answer something else, or if the file is damaged before its last line.
    WriteError
        If the system refuses to write.
    """

    def __init__(self, folder: str | os.PathLike[str], head: Head, *, resume: bool) -> None:
        self.path = Path(folder, NAME)
        ancestry = (self.path.parent, *self.path.parent.parents)
        self._made = [each for each in ancestry if not is_there(each)]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{folder}: make folder: {error.strerror or error}") from error
        self._file = _open_locked(self.path)
        self._synced = time.monotonic()
        try:
            self.answers = self._begin(head, resume=resume)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, record: Record) -> None:
        """Keep a record: it outlives this process at once, and a power failure a second later."""
        self.answers.add(record)
        self._write(line_of(record))
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Make what was written outlive a power failure."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise WriteError(f"{self.path}: write: {error.strerror or error}") from error
        self._synced = time.monotonic()

    def put_in_order(self) -> None:
        """Write all records in their order, each once, in place of the lines as they came."""
        try:
            handle, scratch = tempfile.mkstemp(dir=self.path.parent, prefix=".answers-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.writelines(map(line_of, self.answers.records()))
                    file.flush()
                    os.fsync(file.fileno())
                Path(scratch).chmod(0o644)
                Path(scratch).replace(self.path)
            except BaseException:
                with suppress(OSError):
                    Path(scratch).unlink()
                raise
        except OSError as error:
            raise WriteError(f"{self.path}: write: {error.strerror or error}") from error
        sync_folder(self.path.parent)

    def __enter__(self) -> AnswersJournal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or self.answers.answers:
            with suppress(WriteError):
                self.sync()
        else:
            # Nothing is kept: the next attempt need not go on with it.
            self.path.unlink(missing_ok=True)
            for folder in self._made:
                with suppress(OSError):  # somebody has put something there
                    folder.rmdir()
        os.close(self._file)

    def _begin(self, head: Head, *, resume: bool) -> Answers:
        kept, end = self._read()
        if kept is None:
            self._cut(0)
            self._write(line_of(head))
            sync_folder(self.path.parent)
            return Answers(head.model, head)
        if not resume and kept.answers:
            raise JournalError(
                f"{self.path}: answers are kept here; --resume (resume=True) goes on with them, "
                "and another folder begins anew"
            )
        if not resume:
            self._cut(0)
            self._write(line_of(head))
            return Answers(head.model, head)
        difference = differs(kept.head, head)
        if difference is not None:
            raise JournalError(f"{self.path}: can not go on: {difference}")
        self._cut(end)
        kept.name = kept.head.model
        # What was given up, and arms that were skipped, are asked again.
        kept.failures.clear()
        kept.skipped.clear()
        return checked(kept, str(self.path))

    def _read(self) -> tuple[Answers | None, int]:
        """Return what is kept, and where its last whole line ends."""
        answers: Answers | None = None
        end, number = 0, 0
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            while line := file.readline(MOST_LINE):
                number += 1
                is_last = len(line) < MOST_LINE and not line.endswith(b"\n")
                try:
                    record = read_record(line)
                    if (answers is None) != isinstance(record, Head):
                        raise msgspec.DecodeError("the head is its first line, and no other")
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    if is_last or not file.read(1):
                        break
                    raise JournalError(
                        f"{self.path}: line {number:,} is no record of answers: {error}"
                    ) from error
                if is_last:
                    break
                if isinstance(record, Head):
                    answers = Answers("", record)
                elif answers is not None:
                    answers.add(record)
                end += len(line)
            size = os.fstat(self._file).st_size
            if answers is None and size:
                # A kill may have torn the first line; anything else is somebody's.
                beginning = os.pread(self._file, MOST_LINE, 0)
                if size > MOST_LINE or b"\n" in beginning or not _is_torn_head(beginning):
                    raise JournalError(
                        f"{self.path}: this is no file of answers; it is in the way of one"
                    )
        return answers, end

    def _cut(self, size: int) -> None:
        try:
            os.ftruncate(self._file, size)
        except OSError as error:
            raise WriteError(f"{self.path}: write: {error.strerror or error}") from error

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise WriteError(f"{self.path}: write: {error.strerror or error}") from error


def differs(was: Head, now: Head) -> str | None:
    """Return in what the work that a head says is another one; ``None`` if in nothing."""
    for name, what in (("schema", "schema"), ("base_url", "server"), ("model", "model")):
        if getattr(was, name) != getattr(now, name):
            return f"its {what} is {getattr(was, name)!r}, and this one is {getattr(now, name)!r}"
    for name in type(was.parameters).__struct_fields__:
        before, after = getattr(was.parameters, name), getattr(now.parameters, name)
        if before != after:
            return f"its {name} is {before!r}, and this one is {after!r}"
    if was.questions != now.questions:
        return "it was begun with other questions"
    arms = [each.name for each in was.arms], [each.name for each in now.arms]
    if arms[0] != arms[1]:
        return (
            f"it was begun with the arms {', '.join(arms[0])}, and these are {', '.join(arms[1])}"
        )
    for before, after in zip(was.arms, now.arms, strict=True):
        # Prompts are those of the beginning: a template may write the date.
        if (before.system, before.template) != (after.system, after.template):
            return f"what it sent in the arm {before.name} is not what this one sends"
    return None


def _is_torn_head(data: bytes) -> bool:
    begins = line_of(_EMPTY)[: len(b'{"kind":"head"')]
    return data.startswith(begins) or begins.startswith(data)


_EMPTY = Head(SCHEMA, "", "", "", Parameters(0, 0, 0.0, 0), [], [])


def _open_locked(path: Path) -> int:
    # A link is not followed: what it leads to is not ours to make, or to lock.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    for flag in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
        flags |= getattr(os, flag, 0)
    try:
        file = os.open(path, flags, 0o644)
    except OSError as error:
        raise WriteError(f"{path}: open: {error.strerror or error}") from error
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise JournalError(f"{path}: is no file; it is in the way of answers")
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise JournalError(f"{path}: another process is keeping answers here") from None
        raise WriteError(f"{path}: lock: {error.strerror or error}") from error
    except BaseException:
        os.close(file)
        raise
    return file
