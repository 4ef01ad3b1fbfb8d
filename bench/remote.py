"""Measures remote checkpoints against a hub on this machine, which counts what it is asked.

    python bench/remote.py rehearsal [FOLDER] [--latency 0.02]
    python bench/remote.py throughput [--size 1GB] [--latency 0.05] [--rate 20MB/s]
    python bench/remote.py corpus FOLDER
    python bench/remote.py soak [--count 200]

``rehearsal``: three checkpoints of 94 shards, 807 GB each, whose weights the hub makes up when they
are asked for (the child is 0.6 of the parent and 0.4 of the base): the time to plan, then a trace
with the sample that is the default, its requests and bytes as the hub counts them, its peak of
anonymous memory, and its verdict. ``throughput``: bytes a second of a pass over plain files, beside
as many ``curl`` as there are CPUs; then the same with each answer late, and each connection slow,
beside what such a link can bring. ``corpus``: every child that traces, in full over the hub and
from disk: the same ``slices.parquet``, and requests and bytes beside the least there could be.
``soak``: traces of the shipped family while a fifth of all requests fail at random, each with the
slices of the first.

The hub is a process of its own. Everything is on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE / "rehearsal")]

from common.hub import HubDouble, Repository, at_random  # noqa: E402

FAULTS = ("status:429 Retry-After=0.02", "status:500", "status:503", "reset", "hang-up", "short",
          "broken", "part")  # fmt: skip
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def size(text: str) -> int:
    """Return the bytes of 16GB, or of 3MB/s."""
    found = re.fullmatch(r"([\d.]+)\s*([kMG]?)B?(/s)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 16GB, or 3MB/s")
    return int(float(found[1]) * UNITS[found[2]])


# The hub.


def _serve(
    folders: Mapping[str, str],
    settings: Mapping[str, Any],
    made_up: bool,
    seed: int | None,
    sender: Any,
) -> None:
    double = HubDouble({name: Repository.of(Path(folder)) for name, folder in folders.items()})
    for name, value in settings.items():
        setattr(double, name, value)
    if made_up:
        double.content = weights
    if seed is not None:
        double.fault = at_random(seed, 0.2, FAULTS, ("api", "resolve", "data"))
    sender.send((double.endpoint, double.data))
    threading.Event().wait()


@contextmanager
def hub(
    folders: Mapping[str, Path], *, made_up: bool = False, seed: int | None = None, **settings: Any
) -> Iterator[tuple[str, str]]:
    """Serve folders as repositories, in a process of its own; give both addresses."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    named = {name: str(folder) for name, folder in folders.items()}
    process = context.Process(target=_serve, args=(named, settings, made_up, seed, sender))
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


def counts(endpoint: str) -> dict[str, Any]:
    """Return what a hub was asked for and has sent so far."""
    with urllib.request.urlopen(f"{endpoint}/_counts") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def since(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, int]:
    """Return requests by kind, and bytes of data, between two counts."""
    found = {kind: n - before["requests"].get(kind, 0) for kind, n in now["requests"].items()}
    sent = now["bytes"].get("data", 0) - before["bytes"].get("data", 0)
    return {**found, "requests": sum(found.values()), "bytes": sent}


# Weights that nobody has.


@lru_cache(maxsize=512)
def _tensors(file: str) -> tuple[int, list[tuple[int, int, str, str]]]:
    """Return where the data of a file begins, and (first byte, past the last, name, dtype)."""
    with Path(file).open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    start = 8 + length
    found = [
        (start + each["data_offsets"][0], start + each["data_offsets"][1], name, each["dtype"])
        for name, each in header.items()
        if name != "__metadata__"
    ]
    return start, sorted(found)


def _drawn(name: str, first: int, count: int, salt: int) -> np.ndarray:
    """Return numbers of about normal distribution that depend on a name and on places alone."""
    state = np.arange(first, first + count, dtype=np.uint64)
    state ^= np.uint64((hash_of(name) * 2 + salt) % (1 << 64))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    state ^= state >> np.uint64(31)
    parts = state.view(np.uint16).reshape(-1, 4).astype(np.float32)
    drawn: np.ndarray = (parts.sum(axis=1) - np.float32(131070)) / np.float32(37837)
    return drawn


@lru_cache(maxsize=1 << 16)
def hash_of(name: str) -> int:
    """Return a number of a name, the same in every process."""
    import hashlib

    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") | 1


def weights(file: Path, start: int, stop: int) -> bytes:
    """Return bytes of a file whose tensors are made up; its folder says which role it has."""
    from replicas import blend

    data_start, tensors = _tensors(str(file))
    out = bytearray(stop - start)
    if start < data_start:
        with file.open("rb") as opened:
            opened.seek(start)
            head = opened.read(min(stop, data_start) - start)
        out[: len(head)] = head
    bf16 = ml_dtypes.bfloat16
    for begin, end, name, dtype in tensors:
        lo, hi = max(begin, start), min(end, stop)
        if lo >= hi:
            continue
        width = 4 if dtype == "F32" else 2
        first, last = (lo - begin) // width, -(-(hi - begin) // width)
        base = (_drawn(name, first, last - first, 0) * np.float32(0.02)).astype(bf16)
        values = base
        if file.parent.name != "base":
            moved = _drawn(name, first, last - first, 1) * np.float32(0.0006)
            values = (base.astype(np.float32) + moved).astype(bf16)
            if file.parent.name == "child":
                values = blend(base, values)
        raw = (values.astype("<f4") if dtype == "F32" else values).tobytes()
        skip = lo - begin - first * width
        out[lo - start : hi - start] = raw[skip : skip + hi - lo]
    return bytes(out)


# Processes that are measured.


def run(arguments: list[str], endpoint: str, home: Path) -> tuple[str, float, float]:
    """Run Python with arguments: its output, its seconds, and its peak of anonymous MiB."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
    begun, peak = time.perf_counter(), 0.0
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        text: list[str] = []
        stdout = process.stdout
        reader = threading.Thread(target=lambda: text.append(stdout.read()))
        reader.start()
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text("ascii")
            except OSError:
                break
            if found := re.search(r"RssAnon:\s*(\d+) kB", status):
                peak = max(peak, int(found[1]) / 1024)
            time.sleep(0.02)
        reader.join()
    if process.returncode:
        sys.exit(f"{' '.join(arguments[:4])} ended with status {process.returncode}")
    return text[0], time.perf_counter() - begun, peak


PLAN = """
import json, sys, time
from parentage import _core
from parentage.align import align
from parentage.checkpoint import Network, open_all
import huggingface_hub.hf_api
begun, cpu = time.perf_counter(), time.process_time()
network = Network()
child, base, parent = sys.argv[1:]
inputs = open_all(child, base, [parent], [], network)
opened = time.perf_counter()
found = align(inputs.child, inputs.others)
print(json.dumps({"open_s": opened - begun, "align_s": time.perf_counter() - opened,
                  "cpu_s": time.process_time() - cpu, "slices": len(found.slices),
                  "traffic": str(network.traffic)}))
"""


def rehearsal(options: argparse.Namespace) -> None:
    """Trace what is as large as the founding case."""
    from replicas import ROLES, write_headers

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.folder or scratch)
        for role in ROLES:
            if not (folder / role).exists():
                write_headers(folder / role, "fused", role)
        folders = {f"org/{role}": folder / role for role in ROLES}
        names = [f"hf://org/{role}" for role in ("child", "base", "parent")]
        with hub(folders, made_up=True, latency=options.latency) as (endpoint, _):
            home = Path(scratch, "home")
            before = counts(endpoint)
            out, seconds, peak = run(["-c", PLAN, *names], endpoint, home)
            planned = json.loads(out)
            print(f"planning: {planned['open_s'] + planned['align_s']:.2f} s ({out.strip()})")
            print(f"  {since(before, counts(endpoint))}, {peak:.0f} MiB, process {seconds:.1f} s")
            before = counts(endpoint)
            arguments = ["-m", "parentage", "trace", names[0], "-b", names[1], "-p", names[2]]
            out, seconds, peak = run([*arguments, "--json"], endpoint, home)
            told = json.loads(out)
            found = since(before, counts(endpoint))
            print(f"trace: {seconds:.1f} s, {peak:.0f} MiB anonymous, {found}")
            print(f"  {told['verdict']['kind']} ({told['verdict']['level']}), "
                  f"sure: {told['parameters']['sample']['sure']}")  # fmt: skip
            print(f"  {told['verdict']['text']}")
            recipe = told["recipe"]
            print(
                "  recipe:",
                recipe and {key: recipe[key] for key in ("method", "parents", "exact_share")},
            )


READ = """
import json, sys, time
import numpy as np
from parentage import _core
from parentage.checkpoint import Checkpoint, Network
network = Network()
names = sys.argv[1:]
opened = [Checkpoint.open(name, None, network) for name in names]
count = min(len(each.tensors) for each in opened)
sizes = np.array([each.elements for each in opened[0].tensors.values()], dtype=np.uint64)
rows = np.repeat(np.arange(count, dtype=np.uint64)[:, None], len(opened), axis=1)
plan = _core.Plan([each.core for each in opened], sizes, rows, np.zeros_like(rows))
begun = time.perf_counter()
_core.read(plan, 0, plan.slices, threads=_core.threads())
seconds = time.perf_counter() - begun
print(json.dumps({"bytes": plan.bytes(0, plan.slices), "seconds": seconds}))
"""


def throughput(options: argparse.Namespace) -> None:
    """Read plain files as fast as they come."""
    with tempfile.TemporaryDirectory(dir=options.folder or "/dev/shm") as scratch:
        elements = options.size // 4
        for role in ("a", "b"):
            header = json.dumps(
                {"w": {"dtype": "BF16", "shape": [elements], "data_offsets": [0, 2 * elements]}}
            ).encode()
            path = Path(scratch, role, "model.safetensors")
            path.parent.mkdir()
            with path.open("wb") as file:
                file.write(len(header).to_bytes(8, "little") + header)
                for _ in range(0, 2 * elements, 1 << 24):
                    file.write(os.urandom(1 << 24))
                file.truncate(8 + len(header) + 2 * elements)
        folders = {f"org/{role}": Path(scratch, role) for role in ("a", "b")}
        home = Path(scratch, "home")
        fast = 0.0
        for latency, rate in ((0.0, 0), (options.latency, 0), (options.latency, options.rate)):
            with hub(folders, latency=latency, rate=float(rate)) as (endpoint, _):
                speeds = []
                for _ in range(options.turns):
                    out, _, peak = run(["-c", READ, "hf://org/a", "hf://org/b"], endpoint, home)
                    told = json.loads(out)
                    speeds.append(told["bytes"] / told["seconds"] / 1e6)
                speed = max(speeds)
                if rate:
                    # As many connections as a network has, each as fast as it is let.
                    limit, what = 32 * rate / 1e6, "as many connections"
                elif latency:
                    limit, what = fast, "without it"
                else:
                    limit = max(_curl(endpoint) for _ in range(options.turns))
                    what, fast = "curl, one per CPU", speed
                said = f"{speed:,.0f} MB/s, {what} {limit:,.0f} MB/s: {speed / limit:.2f}"
                print(f"latency {latency * 1000:.0f} ms: {said}; {peak:.0f} MiB", flush=True)


def _curl(endpoint: str) -> float:
    """Return the MB/s of as many ``curl`` as there are CPUs, each with a file."""
    begun = time.perf_counter()
    names = ["a", "b"] * max(1, (os.cpu_count() or 2) // 2)
    started = [
        subprocess.Popen(
            ["curl", "-sL", "-o", "/dev/null", "-w", "%{size_download}",
             f"{endpoint}/org/{name}/resolve/main/model.safetensors"],
            stdout=subprocess.PIPE,
        )
        for name in names
    ]  # fmt: skip
    total = sum(int(each.communicate()[0]) for each in started)
    return total / (time.perf_counter() - begun) / 1e6


TRACE = """
import json, sys
from pathlib import Path
import parentage
from parentage.checkpoint import Checkpoint, Network
child, base, output, full, *parents = sys.argv[1:]
network = Network()
def opened(given):
    place, name = given.split("|")
    return Checkpoint.open(place, name, network)
try:
    found = parentage.trace(opened(child), base=opened(base),
                            parents=[opened(each) for each in parents],
                            seed=7, full=full == "full", output=output)
    told = {"kind": found.verdict.kind}
except parentage.ParentageError as error:
    told = {"error": str(error)}
print(json.dumps({**told, "requests": network.traffic.requests, "bytes": network.traffic.bytes}))
"""


def traced(
    names: list[str], place: Callable[[str], str], output: Path, endpoint: str
) -> dict[str, Any]:
    """Trace child, base and parents in full, by name, and return what was told."""
    given = [f"{place(name)}|{name}" for name in names]
    arguments = ["-c", TRACE, given[0], given[1], str(output), "full", *given[2:]]
    told: dict[str, Any] = json.loads(run(arguments, endpoint, output.parent / "home")[0])
    return told


def corpus(options: argparse.Namespace) -> None:
    """Compare full traces over the hub with those from disk."""
    folder = Path(options.folder)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    entries = manifest.get("checkpoints", manifest)
    cases = [
        [name, each["base"], *[p for p in each.get("parents", []) if p not in (each["base"], name)]]
        for name, each in entries.items()
        if isinstance(each, dict) and each.get("base") and (folder / name).is_dir()
    ]
    cases = [each for each in cases if all((folder / name).is_dir() for name in each)]
    folders = {f"org/{each.name}": each for each in folder.iterdir() if each.is_dir()}
    same = differ = 0
    with tempfile.TemporaryDirectory() as scratch, hub(folders) as (endpoint, _):
        for names in cases[: options.count]:
            outputs = [Path(scratch, names[0], each) for each in ("there", "here")]
            here = traced(names, lambda name: str(folder / name), outputs[1], endpoint)
            before = counts(endpoint)
            there = traced(names, lambda name: f"hf://org/{name}", outputs[0], endpoint)
            asked = since(before, counts(endpoint))
            if "error" in here:
                also = there.get("error", "TRACES")
                print(f"{names[0]}: neither: {here['error'][:70]} | {also[:70]}", flush=True)
                continue
            tables = [
                (each / "slices.parquet").read_bytes() if each.exists() else b"" for each in outputs
            ]
            least = sum(
                path.stat().st_size
                for name in names
                for path in (folder / name).glob("*.safetensors")
            )
            is_same = tables[0] == tables[1]
            same, differ = same + is_same, differ + (not is_same)
            kind = there.get("kind", there.get("error"))
            cost = f"{asked['requests']} requests, {asked['bytes'] / 1e6:.1f} MB"
            equal = "same" if is_same else "DIFFERENT"
            print(f"{names[0]}: {equal} ({kind}), {cost}, least {least / 1e6:.1f} MB", flush=True)
    print(f"{same} of {same + differ} have the same slices.parquet")
    if differ:
        sys.exit(1)


def soak(options: argparse.Namespace) -> None:
    """Trace again and again while a fifth of all requests fail."""
    family = Path(str(files("parentage") / "family"))
    folders = {f"org/{each.name}": each for each in family.iterdir() if each.is_dir()}
    names = ["child", "base", "parent"]
    same = 0
    with tempfile.TemporaryDirectory() as scratch:
        disk = Path(scratch, "disk", "out")
        traced(names, lambda name: str(family / name), disk, "http://127.0.0.1:1")
        expected = (disk / "slices.parquet").read_bytes()
        with hub(folders, seed=options.seed) as (endpoint, _):
            script = SOAK.replace("COUNT", str(options.count))
            out, seconds, peak = run(["-c", script, scratch], endpoint, Path(scratch, "home"))
            for line in out.splitlines():
                output = Path(line)
                same += (output / "slices.parquet").read_bytes() == expected
            asked = counts(endpoint)["requests"]
    print(f"{same} of {options.count} traces have the same slices; {sum(asked.values())} requests, "
          f"a fifth of which failed; {seconds:.0f} s, {peak:.0f} MiB")  # fmt: skip
    if same < options.count:
        sys.exit(1)


SOAK = """
import sys
from pathlib import Path
import parentage
from parentage.checkpoint import Checkpoint, Network
for number in range(COUNT):
    network = Network()
    names = ("child", "base", "parent")
    child, base, parent = (Checkpoint.open(f"hf://org/{name}", name, network) for name in names)
    output = Path(sys.argv[1], str(number))
    parentage.trace(child, base=base, parents=[parent], seed=7, full=True, output=output)
    print(output, flush=True)
"""


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    for function in (rehearsal, throughput, corpus, soak):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
        if function is corpus:
            command.add_argument("folder")
        elif function is not soak:
            command.add_argument("folder", nargs="?")
        if function in (rehearsal, throughput):
            command.add_argument(
                "--latency", type=float, default=0.02 if function is rehearsal else 0.05
            )
        if function is throughput:
            command.add_argument("--size", type=size, default=10**9)
            command.add_argument("--rate", type=size, default=10**7)
            command.add_argument("--turns", type=int, default=3)
        if function in (corpus, soak):
            command.add_argument("--count", type=int, default=200)
        if function is soak:
            command.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
