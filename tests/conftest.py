"""What the tests share: checkpoints made by hand, the shipped family, and references in numpy."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import settings
from parentage.align import Alignment
from parentage.checkpoint import Checkpoint, Columns

# Tables are as wide as in a pipe, whatever terminal the tests run in. Not only a shell says how
# wide that is: pytest imports readline, which says it to every process that is started afterwards.
os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")

# No test asks a hub, unless it has one on this machine: a name like a/b may be one there.
os.environ["HF_HUB_OFFLINE"] = "1"

# Ctrl-C ends what tests start. A shell has what it starts in the background, and all below that,
# ignore it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run: a test that fails can be run again.
settings.register_profile("parentage", derandomize=True, database=None, deadline=None)
settings.load_profile("parentage")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs torch where there is none."""
    if item.get_closest_marker("torch") is not None and find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'parentage[torch]'")


DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "I8": np.int8,
    "U8": np.uint8,
    "I16": np.int16,
    "U16": np.uint16,
    "I32": np.int32,
    "U32": np.uint32,
    "I64": np.int64,
    "U64": np.uint64,
}
"""The dtypes with arithmetic, by their safetensors names."""
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()} | {np.dtype(bool): "BOOL"}
BF16 = ml_dtypes.bfloat16
FAMILY = ("base", "parent", "sibling", "child", "grandchild")

Entry = np.ndarray | tuple[str, Sequence[int], bytes]


def encode_safetensors(
    tensors: Mapping[str, Entry], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return a safetensors file; an entry (dtype, shape, bytes) is written as it is, even false."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    data = []
    at = 0
    for name, entry in tensors.items():
        if isinstance(entry, tuple):
            dtype, shape, raw = entry
        else:
            dtype, shape, raw = NAMES[entry.dtype], entry.shape, entry.tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [at, at + len(raw)],
        }
        at += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(data)


def write_checkpoint(
    folder: Path,
    tensors: Mapping[str, Entry],
    shards: int = 1,
    index: bool | Mapping[str, object] | None = None,
) -> Path:
    """Write a checkpoint into ``folder`` and return the folder.

    Tensors go to shards in turn. ``index`` says whether there is one (by default if there are
    several shards), or is one that is written as it is, true or not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"model-{1 + i:05}-of-{shards:05}.safetensors" for i in range(shards)]
    if shards == 1:
        names = ["model.safetensors"]
    held: list[dict[str, Entry]] = [{} for _ in names]
    weight_map = {}
    for i, (name, entry) in enumerate(tensors.items()):
        held[i % shards][name] = entry
        weight_map[name] = names[i % shards]
    for name, part in zip(names, held, strict=True):
        (folder / name).write_bytes(encode_safetensors(part))
    if index is None:
        index = shards > 1
    if index is not False:
        document = {"metadata": {}, "weight_map": weight_map} if index is True else index
        (folder / "model.safetensors.index.json").write_text(json.dumps(document))
    return folder


def family_path(name: str) -> Path:
    """Return the folder of one checkpoint of the family that is shipped with the package."""
    return Path(str(files("parentage") / "family" / name))


def raw_tensors(folder: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """Return dtype, shape and bytes of every tensor, in the order of the files.

    It is read without the code under test.
    """
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        raw = path.read_bytes()
        start = 8 + int.from_bytes(raw[:8], "little")
        for name, entry in json.loads(raw[8:start]).items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                found[name] = (entry["dtype"], entry["shape"], raw[start + begin : start + end])
    return found


def load(folder: Path) -> dict[str, np.ndarray]:
    """Return all tensors of a checkpoint, as they are stored, without the code under test."""
    return {
        name: np.frombuffer(data, DTYPES[dtype]).reshape(shape)
        for name, (dtype, shape, data) in raw_tensors(folder).items()
    }


def decode(array: np.ndarray) -> np.ndarray:
    """Return float64 values, infinite where the definition (`decode` in Rust) takes them for it."""
    flat = array.reshape(-1)
    with np.errstate(invalid="ignore", over="ignore"):
        values = flat.astype(np.float64)
    if array.dtype == np.float64:
        values[np.abs(values) >= 2.0**500] *= np.inf
    elif array.dtype in (np.int64, np.uint64):
        for i, value in enumerate(flat.tolist()):
            if int(values[i]) != value:
                values[i] = np.copysign(np.inf, value)
    return values


def columns_of(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return columns [b, x_1 - b, ..., c - b] (C, n) in extended precision, zero where some column
    is not finite, and (n,) where that is."""
    values = np.stack([decode(array) for array in arrays])
    excluded = ~np.isfinite(values).all(axis=0)
    wide = np.where(excluded, 0.0, values).astype(np.longdouble)
    wide[1:] -= wide[0]
    return wide, excluded


def gram_of(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return the Gram matrix (C, C) of the same elements of base, parents and child."""
    columns, _ = columns_of(arrays)
    return (columns @ columns.T).astype(np.float64)


def opened(folder: Path, name: str, tensors: Mapping[str, Entry], shards: int = 1) -> Checkpoint:
    """Write a checkpoint called ``name`` below ``folder`` and open it."""
    return Checkpoint.open(write_checkpoint(folder / name, tensors, shards))


def roles_in(alignment: Alignment, parents: int) -> Columns:
    """Return roles for the columns of an alignment: the base, so many parents, then controls."""
    names = [f"column{number}" for number in range(alignment.plan.columns - 1)]
    return Columns(names[0], tuple(names[1 : 1 + parents]), tuple(names[1 + parents :]))


@pytest.fixture(scope="session")
def family() -> Callable[[str], Path]:
    return family_path


@pytest.fixture(scope="session")
def weights() -> dict[str, dict[str, np.ndarray]]:
    """The tensors of the family, by checkpoint and name."""
    return {name: load(family_path(name)) for name in FAMILY}


@pytest.fixture
def permissions_hold() -> Iterator[None]:
    """Files are opened as their permissions say, by root as well.

    Root may pass them over (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH); this thread, and those that it
    starts, give that up meanwhile. Nobody else has it, and nothing changes for them.
    """
    if sys.platform != "linux":
        assert os.geteuid() != 0, "only Linux lets root give this up"
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    version_3_of_this_thread = (ctypes.c_uint32 * 2)(0x20080522, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)()

    def call(name: str) -> None:
        if getattr(libc, name)(version_3_of_this_thread, effective_permitted_inheritable):
            raise OSError(ctypes.get_errno(), name)

    call("capget")
    held = effective_permitted_inheritable[0]
    effective_permitted_inheritable[0] = held & ~(1 << 1 | 1 << 2)
    call("capset")
    yield
    effective_permitted_inheritable[0] = held
    call("capset")
