"""Asks the process that carries templates out, and never waits for it for long."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.support import ParentageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MOST_SOURCE = 1 << 20
"""Characters of a template from which on it is none."""

MOST_WAITED = 30.0
"""Seconds that are waited for an answer, whatever the process does with them."""

MOST_SECONDS = 5
"""Seconds of a CPU that a template may take, of all that it is tried on."""

MOST_MEMORY = 512 << 20
"""Bytes of address space that it may take."""

_SANDBOX = Path(__file__).with_name("sandbox.py")

_START = (
    "import runpy, sys; file = sys.argv[1]; sys.path[:0] = sys.argv[2:]; "
    "runpy.run_path(file, run_name='__main__')"
)


class TemplateError(ParentageError):
    """A chat template that is no template, refuses what it is given, or takes too much."""


def ask(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``sandbox.py`` answers to a question about a template.

    It is a process of its own, without the environment of this one, with limits of memory (512
    MiB), of CPU time (5 seconds) and of waiting (30 seconds).

    Raises
    ------
    TemplateError
        If the template can not be read, fails, or takes more than it may.
    """
    if len(question["source"]) > MOST_SOURCE:
        raise TemplateError(
            f"the chat template has {len(question['source']):,} characters; {MOST_SOURCE:,} is "
            "the most"
        )
    command = [sys.executable, "-I", "-S", "-c", _START, str(_SANDBOX), *filter(None, sys.path)]
    limits = {"seconds": MOST_SECONDS, "memory": MOST_MEMORY}
    try:
        done = subprocess.run(
            command,
            input=json.dumps({**question, **limits}).encode(),
            capture_output=True,
            timeout=MOST_WAITED,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TemplateError(
            f"the chat template was given up after {MOST_WAITED:g} seconds"
        ) from None
    except OSError as error:
        raise TemplateError(f"no process for the chat template: {error.strerror}") from error
    if done.returncode:
        raise TemplateError(f"the chat template was given up: {_why(done.returncode, done.stderr)}")
    found: dict[str, Any] = json.loads(done.stdout)
    if "refused" in found:
        raise TemplateError(f"the chat template can not be rendered: {found['refused']}")
    return found


def _why(status: int, said: bytes) -> str:
    """Return why the process ended without an answer."""
    if -status in (signal.SIGXCPU, signal.SIGKILL):
        return f"it took more than {MOST_SECONDS} s of a CPU"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    if lines and "MemoryError" in lines[-1]:
        return f"it took more than {MOST_MEMORY >> 20} MiB of memory"
    return lines[-1][:200] if lines else f"its process ended with status {status}"
