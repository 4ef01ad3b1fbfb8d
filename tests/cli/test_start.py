"""What the command does where it is not welcome: no traceback, whatever stdout, time or signal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from common.processes import COMMAND
from conftest import family_path

INSPECT = [*COMMAND, "inspect", str(family_path("child"))]
TRACE = [
    *COMMAND, "trace", str(family_path("child")), "-b", str(family_path("base")),
    "-p", str(family_path("parent")),
]  # fmt: skip

posix = pytest.mark.skipif(os.name != "posix", reason="signals and devices are POSIX's")


@posix
def test_a_closed_stdout_is_no_error():
    done = subprocess.run(
        INSPECT, check=False, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1)
    )
    assert (done.returncode, done.stderr) == (0, b"")


@posix
@pytest.mark.parametrize("options", [[], ["--json"]], ids=str)
def test_a_full_stdout_is_an_error_in_a_line(options):
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("no device is always full here")
    with device.open("wb") as full:
        done = subprocess.run(
            [*INSPECT, *options], check=False, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1
    assert done.stderr == b"error: output: No space left on device\n"


@posix
def test_a_reader_that_has_seen_enough_is_no_error_to_tell():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(INSPECT, check=False, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_any_encoding_takes_a_whole_report(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(TRACE, check=False, capture_output=True, env=environment)
    assert (done.returncode, b"error" in done.stderr) == (0, False)
    out = done.stdout.decode(encoding)
    assert "every tensor of every checkpoint was compared" in out
    assert (" +- 0." in out) == (encoding == "ascii")


IMPORTING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.{signal})
sys.meta_path.insert(0, Finder())
sys.argv = ["parentage", "trace", {child!r}, "-b", {base!r}]
from parentage.cli import main
main()
"""


@posix
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("module", ["click", "rich", "parentage.pipeline"])
def test_a_signal_during_imports_ends_in_a_line(name, status, module):
    child, base = (str(family_path(each)) for each in ("child", "base"))
    code = IMPORTING.format(name=module, signal=name, child=child, base=base)
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == status
    assert done.stderr.strip() == b"interrupted; nothing was written"


@posix
def test_a_signal_that_is_ignored_stays_ignored():
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from parentage.cli import main\n"
        "sys.argv = ['parentage', '--version']\n"
        "try:\n    main()\n"
        "finally:\n    print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "True"
    assert signal.SIGHUP
