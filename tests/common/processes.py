"""The command line in a process of its own."""

import signal
import subprocess
import sys
import time

COMMAND = [sys.executable, "-c", "from parentage.cli import main; main()"]


def interrupted(arguments, folder=None):
    """Press Ctrl-C two seconds after a start; return status, stderr and the seconds until the end.

    ``folder`` is the current one of the command.
    """
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
    ) as process:
        time.sleep(2.0)
        assert process.poll() is None, "the pass was too quick to be interrupted"
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, err = process.communicate(timeout=30)
        return process.returncode, err, time.monotonic() - sent
