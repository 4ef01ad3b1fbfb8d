"""Bytes of tensors as files hold them, and which of their numbers are none."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import DTYPES, dtype_class
from parentage.support import ReadError, open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from parentage import _core
    from parentage.checkpoint import Checkpoint, Tensor

BUFFER = 1 << 22
"""Bytes that are copied, hashed or looked at at a time; a multiple of every dtype's."""


def pieces(path: Path, begin: int, end: int, what: str) -> Iterator[bytes]:
    """Yield the bytes of a file from ``begin`` to ``end``, :data:`BUFFER` at a time.

    ``what`` is what messages call them, as the name of a tensor.

    Raises
    ------
    ReadError
        If the file ends before, or the system refuses to read.
    """
    at = begin
    try:
        with open_file(path) as file:
            file.seek(begin)
            while at < end:
                wanted = min(BUFFER, end - at)
                piece = file.read(wanted)
                while piece and len(piece) < wanted:
                    more = file.read(wanted - len(piece))
                    if not more:
                        break
                    piece += more
                if not piece:
                    raise ReadError(f"{path}: {what}: the file ends at byte {at:,} of {end:,}")
                yield piece
                at += len(piece)
    except OSError as error:
        raise ReadError(f"{path}: {what}: read at byte {at:,}: {error.strerror}") from error


def tensor_pieces(
    checkpoint: Checkpoint, tensor: Tensor, first: int = 0, elements: int | None = None
) -> Iterator[bytes]:
    """Yield the bytes of a tensor, or of ``elements`` of its elements from ``first`` on."""
    begin, end = tensor.begin, tensor.end
    if elements is not None:
        begin += first * DTYPES[tensor.dtype].bytes
        end = begin + elements * DTYPES[tensor.dtype].bytes
    return file_pieces(checkpoint.core, tensor.shard, begin, end, tensor.name)


def file_pieces(
    core: _core.Checkpoint, shard: int, begin: int, end: int, what: str
) -> Iterator[bytes]:
    """Yield bytes of a file of a checkpoint, wherever it is, as :func:`pieces` does."""
    fetched = core.fetchers()[shard]
    if fetched is not None:
        read = fetched.bytes_of
    elif core.lies_in_memory()[shard]:
        read = partial(core.copied, shard)
    else:
        yield from pieces(core.shards()[shard][0], begin, end, what)
        return
    for at in range(begin, end, BUFFER):
        yield read(at, min(at + BUFFER, end))


def sha256_of(checkpoint: Checkpoint, shard: int, tell: Callable[[int], object]) -> str:
    """Return the SHA-256 of a file, and tell ``tell`` of the bytes read."""
    digest = hashlib.sha256()
    for piece in file_pieces(checkpoint.core, shard, 0, checkpoint.shards[shard].bytes, "digest"):
        digest.update(piece)
        tell(len(piece))
    return digest.hexdigest()


def same_bytes(one: Checkpoint, first: Tensor, other: Checkpoint, second: Tensor) -> bool:
    """Return whether two tensors are alike in dtype, shape, encoding and every byte."""
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    if one.encodings.get(first.name) != other.encodings.get(second.name):
        return False
    pairs = zip(tensor_pieces(one, first), tensor_pieces(other, second), strict=True)
    return all(left == right for left, right in pairs)


def is_finite(raw: bytes, dtype: str) -> NDArray[np.bool_]:
    """Return which numbers of a dtype are finite, by their bits.

    >>> is_finite(bytes.fromhex("803f c07f 807f"), "BF16").tolist()
    [True, False, False]
    """
    bits, exponent, fraction = _fields(raw, dtype)
    if exponent is None:
        return np.ones(len(bits), dtype=bool)
    if dtype == "F8_E4M3":  # its largest exponent holds numbers, and one NaN
        exponent |= fraction
    finite: NDArray[np.bool_] = (bits & exponent) != exponent
    return finite


def is_nan(raw: bytes, dtype: str) -> NDArray[np.bool_]:
    """Return which numbers of a dtype are NaN, by their bits.

    >>> is_nan(bytes.fromhex("803f c07f 807f"), "BF16").tolist()
    [False, True, False]
    """
    bits, _, fraction = _fields(raw, dtype)
    no_infinity = dtype in ("F8_E4M3", "F8_E8M0")
    odd = np.logical_not(is_finite(raw, dtype))
    return odd if no_infinity else np.logical_and(odd, np.not_equal(bits & fraction, 0))


def _fields(raw: bytes, dtype: str) -> tuple[NDArray[np.unsignedinteger], int | None, int]:
    """Return the bits of numbers, and masks of exponent and fraction; no exponent of integers."""
    known = DTYPES[dtype]
    bits = np.frombuffer(raw, f"<u{known.bytes}")
    if dtype == "F8_E8M0":
        return bits, 0xFF, 0
    if dtype_class(dtype) != "float" or known.digits is None:
        return bits, None, 0
    fraction = (1 << known.digits) - 1
    return bits, ((1 << (8 * known.bytes - 1)) - 1) ^ fraction, fraction
