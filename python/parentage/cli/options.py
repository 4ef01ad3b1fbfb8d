"""Types of options, options that several commands have, and what is checked before the work."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

import click

from parentage.support import Portion, WriteError, is_folder, is_there, nearest_existing, size
from parentage.verdict import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from typing import Any

    from parentage.checkpoint import Checkpoint, Network

_F = TypeVar("_F", bound="Callable[..., Any]")

FOUND = 3
"""Exit status of what is no error: a verdict, or a mismatch, that an option asks to fail on."""


class _Named(click.Path):
    """A path that has a name: an empty one is what a script makes of a variable it forgot."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path as it is given."""
        if not os.fspath(value):
            self.fail("no path is given; . is the current folder", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Named(path_type=Path)
CHECKPOINT = _Named(path_type=str)
"""As it is given: where a checkpoint is may be no path, and only its source can tell."""


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: 8MiB, 500kB, 4096; between ``least`` and ``most``, if they are given."""

    name = "size"

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number of bytes."""
        try:
            found = value if isinstance(value, int) else size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if found < self._least or (self._most is not None and found > self._most):
            most = "" if self._most is None else f", and {self._most:,} at most"
            self.fail(f"{value}: it is {self._least:,} bytes at least{most}", param, ctx)
        return found


class PartType(click.ParamType):  # type: ignore[type-arg]
    """A part of so many: 3/64."""

    name = "part"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the part, if it is one."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(value))
        if found is None or not 1 <= int(found[1]) <= int(found[2]) <= 100_000:
            self.fail(f"{value!r} is no part; write 3/64 for the third of 64", param, ctx)
        return str(value)


class PortionType(click.ParamType):  # type: ignore[type-arg]
    """Bytes, or a share of everything: 5GB, 0.2%."""

    name = "portion"

    def convert(self, value: Any, param: Any, ctx: Any) -> Portion:
        """Return the portion that the text says."""
        try:
            return Portion.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Device(TypedDict):
    """What computes; its keys are parameters of :func:`parentage.trace` and of comparisons."""

    device: str | None
    device_memory: int | None


class Reading(TypedDict):
    """How files are read; its keys are parameters of :func:`parentage.trace` and of replays."""

    threads: int | None
    tile_bytes: int | None
    io: str


class Spreading(TypedDict):
    """What reads in this process's place; see :func:`executor_of`."""

    workers: int | None
    dask: str | None


class Telling(TypedDict):
    """How a trace is told."""

    as_json: bool
    layers: bool
    fail_on: tuple[str, ...]


class Networking(TypedDict):
    """How checkpoints are read that are on no disk; its keys are parameters of a network."""

    cache: Path | None
    max_bytes: int | None


def network_options(command: _F) -> Callable[..., Any]:
    """Add --cache and --max-bytes to a command, which takes them as ``networking``."""

    @wraps(command)
    def with_network(*, cache: Path | None, max_bytes: int | None, **arguments: Any) -> Any:
        return command(networking=Networking(cache=cache, max_bytes=max_bytes), **arguments)

    return _with_options(
        with_network,
        click.option(
            "--cache", type=PATH, metavar="DIR",
            help="Keep what is fetched of hf://, https:// and other remote names in this folder, "
            "so that doing it again, or going on, fetches nothing twice.",
        ),
        click.option(
            "--max-bytes", type=Size(1), metavar="SIZE",
            help="Receive no more than this over the network; fail instead.",
        ),
    )  # fmt: skip


def checkpoint_option(
    help_text: str,
    *names: str,
    required: bool = False,
    multiple: bool = False,
    metavar: str = "CHECKPOINT",
) -> Callable[[_F], _F]:
    """Return an option that takes a checkpoint."""
    return click.option(
        *names,
        required=required,
        multiple=multiple,
        metavar=metavar,
        type=CHECKPOINT,
        help=help_text,
    )


def json_option(help_text: str = "Print one JSON document.") -> Callable[[_F], _F]:
    """Return the option --json, which commands take as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    help="How many compute, of libraries as well. [default: one per CPU]",
)


def reading_options(*ways: str, help_text: str) -> Callable[[_F], Callable[..., Any]]:
    """Return a decorator that adds options on reading, which a command takes as ``reading``.

    ``ways`` are those that --io offers, the first by default; ``help_text`` says what they mean.
    """
    options = (
        threads_option,
        click.option(
            "--io", type=click.Choice(ways), default=ways[0], show_default=True, help=help_text
        ),
        click.option(
            "--tile-size", type=Size(4096, 1 << 30), metavar="SIZE",
            help="Bytes of each checkpoint that a thread reads at once. [default: 8MiB, mapped]",
        ),
    )  # fmt: skip

    def decorate(command: _F) -> Callable[..., Any]:
        @wraps(command)
        def with_reading(
            *, threads: int | None, io: str, tile_size: int | None, **arguments: Any
        ) -> Any:
            bind_libraries(threads)
            reading = Reading(threads=threads, tile_bytes=tile_size, io=io)
            return command(reading=reading, **arguments)

        return _with_options(with_reading, *options)

    return decorate


usual_reading_options = reading_options(
    "auto", "mmap", "direct", "pread",
    help_text="How files are read: mapped, past the page cache, or with pread, which suits network "
    "disks. auto is direct for what does not fit in free memory, else mmap.",
)  # fmt: skip
"""Options of a command that reads tensors once, in order."""


def telling_options(command: _F) -> Callable[..., Any]:
    """Add --json, --layers and --fail-on to a command that makes evidence and tells it.

    It takes them as ``telling``, which :func:`parentage.cli.commands.trace.tell` is given.
    """

    @wraps(command)
    def with_telling(
        *, as_json: bool, layers: bool, fail_on: tuple[str, ...], **arguments: Any
    ) -> Any:
        telling = Telling(as_json=as_json, layers=layers, fail_on=fail_on)
        return command(telling=telling, **arguments)

    return _with_options(
        with_telling,
        json_option("Print the evidence as one JSON document."),
        click.option("--layers", is_flag=True, help="Print a row for every layer, too."),
        click.option(
            "--fail-on", "fail_on", multiple=True, type=click.Choice(KINDS), metavar="VERDICT",
            help=f"Exit with status {FOUND} on this verdict. Can be repeated. One of: "
            f"{', '.join(KINDS)}.",
        ),
    )  # fmt: skip


def device_options(command: _F) -> Callable[..., Any]:
    """Add --device and --device-memory to a command, which takes them as ``computing``."""

    @wraps(command)
    def with_device(*, device: str | None, device_memory: int | None, **arguments: Any) -> Any:
        if device is None and device_memory is not None:
            raise click.UsageError("--device-memory is of the device that --device names")
        return command(computing=Device(device=device, device_memory=device_memory), **arguments)

    return _with_options(
        with_device,
        click.option(
            "--device", metavar="DEVICE",
            help="Compute with torch on cpu, cuda (all GPUs), cuda:1, cuda:0,1, xpu or mps; needs "
            "parentage[torch]. Results are the same bit for bit. [default: the core, on the CPU]",
        ),
        click.option(
            "--device-memory", type=Size(1 << 24), metavar="SIZE",
            help="Use no more than this of the device's memory. [default: half of what is free]",
        ),
    )  # fmt: skip


def spreading_options(command: _F) -> Callable[..., Any]:
    """Add --workers and --dask to a command, which takes them as ``spreading``."""

    @wraps(command)
    def with_workers(*, workers: int | None, dask: str | None, **arguments: Any) -> Any:
        if workers is not None and dask is not None:
            raise click.UsageError("--workers are processes of this machine, and --dask has others")
        return command(spreading=Spreading(workers=workers, dask=dask), **arguments)

    return _with_options(
        with_workers,
        click.option(
            "--workers", type=click.IntRange(1, 1024), metavar="N",
            help="Read everything in so many processes of this machine; --threads are each one's.",
        ),
        click.option(
            "--dask", metavar="ADDRESS",
            help="Read everything by the workers of Dask's scheduler at tcp://HOST:8786, which see "
            "the same files, or by local:N that are started here.",
        ),
    )  # fmt: skip


@contextmanager
def executor_of(
    workers: int | None, dask: str | None
) -> Iterator[Executor | Callable[[], Executor] | None]:
    """Give the executor that options ask for; ``None`` if none do."""
    if workers is None and dask is None:
        yield None
        return
    from parentage.stream import Processes, dask_workers

    with Processes(workers) if workers is not None else dask_workers(str(dask)) as executor:
        yield executor


def bind_libraries(threads: int | None) -> None:
    """Have libraries that compute beside the core keep to the number of threads that is asked for.

    They read it from the environment when they are loaded, which for a command is after this. In a
    process that has loaded them, nothing changes.
    """
    if threads is None or "numpy" in sys.modules or "polars" in sys.modules:
        return
    for name in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{name}_NUM_THREADS", str(threads))
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))


def named(given: str) -> tuple[str | None, str]:
    """Return name and place of ``NAME=PATH``; no name for what is a path as it stands.

    What is there is never split, and no more is what can only be a path or an address.

    >>> named("ours=./model"), named("./a=b"), named("hf://org/model?revision=1")
    (('ours', './model'), (None, './a=b'), (None, 'hf://org/model?revision=1'))
    """
    name, equals, place = given.partition("=")
    is_path = name.startswith((".", "/", "~", "\\")) or "://" in name
    if not (equals and name) or is_path or is_there(given):
        return None, given
    if not place:
        raise click.UsageError(f"{given!r}: no path is given for {name!r}")
    return name, place


def as_named(given: str, network: Network | None = None) -> str | Checkpoint:
    """Return a checkpoint under the name that ``NAME=PATH`` gives it; a path that has none."""
    name, place = named(given)
    if name is None:
        return place
    # Options are read for help, too, and this imports what reads files.
    from parentage.checkpoint import Checkpoint

    return Checkpoint.open(place, name, network)


def terminal_options(command: _F) -> Callable[..., Any]:
    """Add --quiet and --no-color to a command, which takes a ``Terminal`` as ``terminal``."""

    @wraps(command)
    def with_terminal(*, quiet: bool, no_color: bool, **arguments: Any) -> Any:
        # Help needs no terminal, and a terminal takes long to import.
        from parentage.cli.terminal.console import Terminal

        return command(terminal=Terminal(quiet=quiet, color=not no_color), **arguments)

    return _with_options(
        with_terminal,
        click.option("-q", "--quiet", is_flag=True, help="No progress and no messages."),
        click.option("--no-color", "--no-colour", is_flag=True, help="Plain text."),
    )


def custody_options(command: _F) -> Callable[..., Any]:
    """Add --custodian to a command whose work the custody log of evidence tells."""

    @wraps(command)
    def with_custody(*, custodian: str | None, **arguments: Any) -> Any:
        from parentage.bundle import acting

        with acting(command=click.get_current_context().obj, custodian=custodian):
            return command(**arguments)

    return _with_options(
        with_custody,
        click.option(
            "--custodian", metavar="NAME",
            help="Who answers for this, for custody.jsonl beside the evidence. By default no name.",
        ),
    )  # fmt: skip


def _with_options(command: _F, *options: Callable[[_F], _F]) -> _F:
    """Add options to a command in the order of its help."""
    for option in reversed(options):
        command = option(command)
    return command


def check_output(folder: Path) -> None:
    """Refuse a folder that can not be written before hours are spent on what would go there.

    Raises
    ------
    WriteError
        If a file is in the way, or the folder or the one it would be made in is not to be written.
    """
    try:
        (folder / "file").stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # as for a name that is too long
        raise WriteError(f"{folder}: {error.strerror or error}") from error
    existing = nearest_existing(folder / "file")
    if not is_folder(existing):
        raise WriteError(f"{folder}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise WriteError(f"{folder}: {existing} can not be written to")
