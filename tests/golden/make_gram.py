"""Writes gram.json: chunks, and what the definition in rust/core/src/gram/mod.rs makes of them.

The definition is carried out here from its text alone, in exact rational arithmetic with one
rounding wherever the text has one, and shares no code with the core. Bits of float64 are written as
16 hexadecimal digits, most significant first.

Run as `python tests/golden/make_gram.py`; it needs numpy and ml_dtypes. The file changes only
together with the version of the definition, or when cases are added.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
from long_columns import generated, long

DEFINITION = 3
LANES = 16
WIDE_LANES = 8
RUN = 256
PROBED = 32
LEAST_NARROW = 32768
TOLERANCE = 2.0**-27
SAMPLED = 256
WEIGHTS = 16
BINS = 48

# dtype, stored bits of the significand, exponent of the smallest normal number.
FLOATS = {
    "F64": (np.float64, 52, -1022),
    "F32": (np.float32, 23, -126),
    "F16": (np.float16, 10, -14),
    "BF16": (ml_dtypes.bfloat16, 7, -126),
    "F8_E4M3": (ml_dtypes.float8_e4m3fn, 3, -6),
    "F8_E5M2": (ml_dtypes.float8_e5m2, 2, -14),
    "F8_E8M0": (ml_dtypes.float8_e8m0fnu, 0, -127),
}
INTEGERS = {
    "I8": np.int8,
    "U8": np.uint8,
    "I16": np.int16,
    "U16": np.uint16,
    "I32": np.int32,
    "U32": np.uint32,
    "I64": np.int64,
    "U64": np.uint64,
}


class Column:
    """The same elements of one checkpoint."""

    def __init__(self, dtype: str, raw: bytes) -> None:
        self.dtype = dtype
        self.raw = raw
        self.type = np.dtype(FLOATS[dtype][0] if dtype in FLOATS else INTEGERS[dtype])
        self.stored = np.frombuffer(raw, self.type)
        self.values = [self.decode(x) for x in self.stored]

    def decode(self, stored: np.generic) -> float:
        """One element as float64, infinite where that can not hold it or not its square."""
        value = float(stored)
        if self.dtype in INTEGERS:
            return value if int(value) == int(stored) else math.copysign(math.inf, value)
        if self.dtype == "F64" and abs(value) >= 2.0**500:
            return math.copysign(math.inf, value)
        return value

    def bits(self, k: int) -> bytes:
        width = self.type.itemsize
        return self.raw[k * width : (k + 1) * width]

    def encode(self, value: float) -> bytes | None:
        """The bits of `value` cast to this dtype; None where that is no rounding."""
        if self.dtype == "F8_E8M0":
            exact = value > 0 and math.frexp(value)[0] == 0.5
            fits = exact and -127 <= math.frexp(value)[1] - 1 <= 127
            return bytes([math.frexp(value)[1] - 1 + 127]) if fits else None
        if self.dtype in FLOATS:
            # Through float32 for what is narrower than that.
            through = np.float64(value) if self.dtype == "F64" else np.float32(value)
            return through.astype(self.type).tobytes()
        limits = np.iinfo(self.type)
        low, high = max(limits.min, -(2**53)), min(limits.max, 2**53)
        if not math.isfinite(value) or not value.is_integer() or not low <= value <= high:
            return None
        return self.type.type(int(value)).tobytes()


def fma(a: float, b: float, c: float) -> float:
    """a b + c with one rounding."""
    product = Fraction(a) * Fraction(b)
    exact = product + Fraction(c)
    if exact != 0:
        return exact.numerator / exact.denominator  # integers divide with one rounding
    if product != 0:
        return 0.0
    # Zeros: the sum is -0 only if both are.
    return math.copysign(1.0, a) * math.copysign(1.0, b) * 0.0 + c


def narrow(exact: Fraction) -> float:
    """The nearest float32, ties to even, subnormal ones among them; infinite where it overflows."""
    if exact == 0:
        return 0.0
    top = abs(exact)
    exponent = top.numerator.bit_length() - top.denominator.bit_length()
    exponent -= top < Fraction(2) ** exponent
    step = Fraction(2) ** (max(exponent, -126) - 23)
    rounded = round(exact / step) * step
    if abs(rounded) >= Fraction(2) ** 128:
        return math.copysign(math.inf, exact)
    return rounded.numerator / rounded.denominator


def reduce(lanes: list[float]) -> float:
    a = [lanes[lane] + lanes[lane + 8] for lane in range(8)]
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))


def bin_of(ratio: float) -> int:
    """0: zero, 1: below one half, 1 + r: rounds to r <= 32, 34 + s: [32.5, 64), [64, 128), ..."""
    if ratio == 0:
        return 0
    if ratio < 0.5:
        return 1
    if ratio < 32.5:
        return 1 + math.floor(ratio + 0.5)
    if math.isinf(ratio):
        return BINS - 1
    return min(34 + max(math.frexp(ratio)[1] - 1 - 5, 0), BINS - 1)


def differ(one: Column, other: Column, k: int) -> bool:
    if one.dtype == other.dtype:
        return one.bits(k) != other.bits(k)
    a, b = one.values[k], other.values[k]
    if math.isnan(a) and math.isnan(b):
        return False
    return struct.pack("<d", a) != struct.pack("<d", b)


def reproduces(column: Column, child: Column, k: int) -> bool:
    if column.dtype == child.dtype:
        return column.bits(k) == child.bits(k)
    nans = math.isnan(column.values[k]), math.isnan(child.values[k])
    if any(nans):
        return all(nans)
    return child.encode(column.values[k]) == child.bits(k)


def chunk(columns: list[Column], start: int = 0) -> dict[str, object]:
    """What the definition says of one chunk, that begins with element `start` of its slice."""
    base, child = columns[0], columns[-1]
    count, length = len(columns), len(base.stored)
    pairs = [(i, j) for i in range(count) for j in range(i, count)]
    gram = {pair: [0.0] * LANES for pair in pairs}
    squares = [0.0] * LANES
    counts = {"excluded": 0, "moved": 0, "stray": 0}
    equal, nan, inf = [0] * (count - 1), [0] * count, [0] * count
    histogram = [[0] * BINS for _ in range(count - 2)]
    bias = [[0.0] * (WEIGHTS + 1) for _ in range(count - 2)]
    precision = 0
    mantissa, lowest = FLOATS[child.dtype][1:] if child.dtype in FLOATS else (None, None)
    for k in range(length):
        lane = k % WIDE_LANES
        x = [column.values[k] for column in columns]
        moved = any(differ(base, column, k) for column in columns[1:-1])
        counts["moved"] += moved
        counts["stray"] += not moved and differ(base, child, k)
        for i in range(count - 1):
            equal[i] += reproduces(columns[i], child, k)
        if not all(map(math.isfinite, x)):
            counts["excluded"] += 1
            for i, value in enumerate(x):
                nan[i] += math.isnan(value)
                inf[i] += math.isinf(value)
            x = [0.0] * count
        # The largest power of two up to |c|, and zero for what float64 holds as subnormal.
        top = abs(x[-1])
        binade = math.ldexp(1.0, math.frexp(top)[1] - 1) if top >= 2.0**-1022 else 0.0
        squares[lane] = fma(binade, binade, squares[lane])
        c = x[-1]
        x[1:] = [value - x[0] for value in x[1:]]
        if k < SAMPLED:
            precision = max(precision, significand_bits(c))
            for i in range(1, count - 1):
                ratio = float(np.float64(abs(x[i])) / np.float64(ulp(c, mantissa, lowest)))
                histogram[i - 1][bin_of(ratio)] += 1
                sums = bias[i - 1]
                for number in range(WEIGHTS):
                    blend = fma((2 * number + 1) / (2 * WEIGHTS), x[i], x[0])
                    step = ulp(blend, mantissa, lowest)
                    sums[number] = fma(x[i], round(blend / step) * step - blend, sums[number])
                sums[WEIGHTS] = fma(x[i], x[i], sums[WEIGHTS])
        for i, j in pairs:
            gram[i, j][lane] = fma(x[i], x[j], gram[i, j][lane])
    sums = {pair: reduce(gram[pair]) for pair in pairs}
    total = reduce(squares)
    alike = all(column.dtype == base.dtype for column in columns)
    if length >= LEAST_NARROW and alike and base.dtype in ("BF16", "F16"):
        sums, total = narrow_sums(columns, pairs, start) or (sums, total)
    units = length if mantissa is None else total * 2.0 ** (-2 * mantissa)
    return {
        "gram": [to_hex(sums[pair]) for pair in pairs],
        "energy": to_hex(units / 12.0),
        **counts,
        "equal": equal,
        "nan": nan,
        "inf": inf,
        "histogram": histogram,
        "bias": [[to_hex(value) for value in row] for row in bias],
        "precision": precision,
    }


Sums = dict[tuple[int, int], float]


def narrow_sums(
    columns: list[Column], pairs: list[tuple[int, int]], start: int
) -> tuple[Sums, float] | None:
    """What narrow arithmetic makes of a chunk, unless its probes are off."""
    length, paired = len(columns[0].stored), columns[0].dtype == "BF16"
    kept = {pair: [0.0] * LANES for pair in pairs}
    probed = {pair: [0.0] * LANES for pair in pairs}
    exact = {pair: [0.0] * LANES for pair in pairs}
    squares = [0.0] * LANES
    for number, first in enumerate(range(0, length, RUN)):
        run = {pair: [Fraction(0)] * LANES for pair in pairs}
        missed = [[Fraction(0)] * LANES for _ in columns]
        firsts = [Fraction(0)] * len(columns)
        energy = [Fraction(0)] * LANES
        m = number // PROBED
        is_probe = number % PROBED == 13 * (m + start // (PROBED * RUN)) % PROBED
        last = min(first + RUN, length)
        for k in range(first, last):
            lane = k // 2 % LANES if paired else k % LANES
            values = [column.values[k] for column in columns]
            if not all(map(math.isfinite, values)):
                return None
            if is_probe:
                x = [values[0], *(value - values[0] for value in values[1:])]
                for i, j in pairs:
                    sums = exact[i, j]
                    sums[k % WIDE_LANES] = fma(x[i], x[j], sums[k % WIDE_LANES])
            base = Fraction(values[0])
            moved = [narrow(Fraction(value) - base) for value in values[1:]]
            if not all(map(math.isfinite, moved)):
                return None
            x = [base, *map(Fraction, moved)]
            for i, value in enumerate(x):
                before = run[i, i][lane]
                if paired and k % 2 == 0 and k + 1 < last:
                    firsts[i] = Fraction(narrow(value * value))
                    continue
                if paired:
                    square = Fraction(narrow(value * value + firsts[i]))
                    firsts[i] = Fraction(0)
                else:
                    square = value * value
                after = narrow(square + before)
                if math.isinf(after):
                    return None
                run[i, i][lane] = Fraction(after)
                grown = Fraction(narrow(Fraction(after) - before))
                error = Fraction(narrow(square - grown))
                missed[i][lane] = Fraction(narrow(missed[i][lane] + error))
            for i, j in pairs:
                if i == j:
                    continue
                total = narrow(x[i] * x[j] + run[i, j][lane])
                if math.isinf(total):
                    return None
                run[i, j][lane] = Fraction(total)
            top = abs(values[-1])
            binade = math.ldexp(1.0, math.frexp(top)[1] - 1) if top >= 2.0**-126 else 0.0
            total = narrow(Fraction(binade) ** 2 + energy[lane])
            if math.isinf(total):
                return None
            energy[lane] = Fraction(total)
        for sums in [kept, probed] if is_probe else [kept]:
            for i, j in pairs:
                for lane in range(LANES):
                    sums[i, j][lane] += float(run[i, j][lane])
                    if i == j:
                        sums[i, j][lane] += float(missed[i][lane])
        for lane in range(LANES):
            squares[lane] += float(energy[lane])
    probes = {pair: reduce(probed[pair]) for pair in pairs}
    wide = {pair: reduce(exact[pair]) for pair in pairs}
    for i, j in pairs:
        if abs(probes[i, j] - wide[i, j]) > TOLERANCE * math.sqrt(wide[i, i] * wide[j, j]):
            return None
    return {pair: reduce(kept[pair]) for pair in pairs}, reduce(squares)


def ulp(value: float, mantissa: int | None, lowest: int | None) -> float:
    """The last place of the child's dtype at a value; 1 for integers."""
    if mantissa is None or lowest is None:
        return 1.0
    top = abs(value)
    binade = math.ldexp(1.0, math.frexp(top)[1] - 1) if top >= 2.0**-1022 else 0.0
    return math.ldexp(max(binade, 2.0**lowest), -mantissa)


def significand_bits(value: float) -> int:
    """Bits after the leading one, as float64 stores the value."""
    stored = struct.unpack("<Q", struct.pack("<d", value))[0] & ((1 << 52) - 1)
    return 52 - ((stored & -stored).bit_length() - 1) if stored else 0


def to_hex(value: float) -> str:
    return struct.pack(">d", value).hex()


def relatives(dtype: str, columns: int, length: int, seed: int, scale: float = 0.03) -> list[bytes]:
    """A base, parents that lie near it, and a child that is a blend of all."""
    random = np.random.default_rng(seed)
    type_ = FLOATS[dtype][0]
    base = random.normal(0, 0.02, length).astype(type_).astype(np.float64)
    others = [base]
    for _ in range(columns - 2):
        moved = random.random(length) < 0.8
        others.append(base + moved * random.normal(0, 0.02 * scale, length))
    shares = random.dirichlet(np.ones(columns - 1))
    stored = [np.asarray(each).astype(type_) for each in others]
    child = sum(share * each.astype(np.float64) for share, each in zip(shares, stored, strict=True))
    return [each.tobytes() for each in [*stored, child.astype(type_)]]


def of_one_dtype(dtype: str, raws: list[bytes]) -> list[tuple[str, bytes]]:
    return [(dtype, raw) for raw in raws]


def stored(dtype: str, values: object) -> tuple[str, bytes]:
    type_ = FLOATS[dtype][0] if dtype in FLOATS else INTEGERS[dtype]
    return dtype, np.asarray(values).astype(type_).tobytes()


def codes(dtype: str, seeds: range) -> list[tuple[str, bytes]]:
    """All 256 codes of a dtype of one byte, in a different order in each column."""
    orders = [np.random.default_rng(seed).permutation(256) for seed in seeds]
    return [(dtype, order.astype(np.uint8).tobytes()) for order in orders]


def words(dtype: str, columns: int, length: int, seed: int) -> list[tuple[str, bytes]]:
    """Random bits: every binade, subnormals, infinities and NaN, and repeats from the base."""
    random = np.random.default_rng(seed)
    width = np.dtype(FLOATS[dtype][0] if dtype in FLOATS else INTEGERS[dtype]).itemsize
    base = random.integers(0, 256, (length, width), dtype=np.uint8)
    others = [base]
    for _ in range(columns - 1):
        fresh = random.integers(0, 256, (length, width), dtype=np.uint8)
        others.append(np.where(random.random((length, 1)) < 0.5, base, fresh))
    return of_one_dtype(dtype, [each.tobytes() for each in others])


def special(dtype: str) -> list[tuple[str, bytes]]:
    """Each special value in each column, with ordinary numbers in the others."""
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0]
    rows = []
    for column in range(3):
        for value in values:
            row = [0.5, 0.25, 0.375]
            row[column] = value
            rows.append(row)
    rows += [[value] * 3 for value in values]
    return [stored(dtype, column) for column in zip(*rows, strict=True)]


def wide(seed: int) -> list[tuple[str, bytes]]:
    """float64 over all binades, to and beyond the limit where squares overflow."""
    random = np.random.default_rng(seed)
    exponents = random.integers(-1074, 505, (3, 40))
    values = np.ldexp(random.uniform(1, 2, (3, 40)) * random.choice([-1, 1], (3, 40)), exponents)
    values[:, :4] = [2.0**499, -(2.0**499), 2.0**500, np.nextafter(2.0**500, 0)]
    return [stored("F64", column) for column in values]


def mixed() -> list[tuple[str, bytes]]:
    random = np.random.default_rng(7)
    base = random.normal(0, 1, 70).astype(ml_dtypes.bfloat16)
    parent = (base.astype(np.float32) * random.choice([1, 1.001], 70)).astype(np.float32)
    child = parent.astype(np.float16)
    child[::9] = base[::9].astype(np.float16)
    control = np.round(base.astype(np.float64))
    return [
        ("BF16", base.tobytes()),
        ("F32", parent.tobytes()),
        stored("F64", control),
        ("F16", child.tobytes()),
    ]


def ties() -> list[tuple[str, bytes]]:
    """Casts to bf16 and f16 at, just below and just above the middle of two codes."""
    middles = [1 + (2 * i + 1) / 256 for i in range(8)]
    values = [x for m in middles for x in (np.nextafter(m, 0), m, np.nextafter(m, 2))]
    values += [3.3895e38, 3.4e38, 1e39, -1e39, 2.0**-133, 2.0**-134, 1.1 * 2.0**-134, 0.0, -0.0]
    child = np.float64(values).astype(np.float32).astype(ml_dtypes.bfloat16)
    return [stored("F64", values), stored("F32", values), ("BF16", child.tobytes())]


def eight_bits() -> list[tuple[str, bytes]]:
    values = [0, 0.1, 1, 17, 18, 19, 240, 447, 448, 456, 463.9, 464, 465, 500, -500, 2.0**-9]
    values += [2.0**-10, 1.01 * 2.0**-10, -(2.0**-10), 3 * 2.0**-10, 57344, 61439, 61440, 65536]
    child = stored("F8_E5M2", np.float32(values))
    narrow = np.float32(values).astype(ml_dtypes.float8_e4m3fn)
    return [stored("F32", values), ("F8_E4M3", narrow.tobytes()), child]


def roundings(dtype: str) -> list[tuple[str, bytes]]:
    """float32 at and around the middles of neighbouring codes, and what they round to or beside."""
    random = np.random.default_rng(24)
    type_ = np.dtype(FLOATS[dtype][0])
    word = np.dtype(f"u{type_.itemsize}")
    finite = [x for x in range(256**type_.itemsize // 2) if finite_code(x, word, type_)]
    chosen = [*finite[:4], *finite[-4:], *random.choice(finite, 17, replace=False).tolist()]
    # The codes around the smallest normal number and around powers of two.
    powers = [x for x in finite if x % 2 ** FLOATS[dtype][1] == 0]
    chosen += [x + step for x in [powers[1], *powers[-3:]] for step in (-1, 0)]
    low = np.array(chosen, word).view(type_).astype(np.float64)
    high = np.array([min(x + 1, finite[-1]) for x in chosen], word).view(type_).astype(np.float64)
    middle = ((low + high) / 2).astype(np.float32)
    values = np.concatenate(
        [middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(1e38))]
    )
    values *= random.choice([-1, 1], len(values)).astype(np.float32)
    child = values.astype(type_).view(word)
    child[::5] ^= 1
    kept = np.isfinite(child.view(type_).astype(np.float64))
    base = values[kept].astype(ml_dtypes.bfloat16)
    return [("BF16", base.tobytes()), stored("F32", values[kept]), (dtype, child[kept].tobytes())]


def finite_code(code: int, word: np.dtype, type_: np.dtype) -> bool:
    return math.isfinite(float(np.array([code], word).view(type_)[0]))


def payloads() -> list[tuple[str, bytes]]:
    """NaN of several bits: alike where dtypes are several."""
    words = np.array([0x7FC0, 0x7FC1, 0xFFC0, 0x7F80, 0x3F80] * 4, "<u2")
    other = np.array([0x7FC0, 0x7FC0, 0x7FC0, 0x7F80, 0x3F81] * 4, "<u2")
    control = np.resize([np.nan, 1.0, np.inf], 20)
    return [("BF16", words.tobytes()), stored("F32", control), ("BF16", other.tobytes())]


def whole_numbers(dtype: str, seed: int) -> list[tuple[str, bytes]]:
    limits = np.iinfo(INTEGERS[dtype])
    random = np.random.default_rng(seed)
    base = random.integers(limits.min, limits.max, 21, INTEGERS[dtype], endpoint=True)
    base[:2] = limits.min, limits.max
    # Most of 64 bits within 2^53, where they are exact.
    base[4:] >>= 11 if limits.bits == 64 else 0
    near = base.copy()
    near[2:] += np.where(near[2:] < limits.max - 3, random.integers(0, 3, 19), 0).astype(base.dtype)
    child = np.where(random.random(21) < 0.5, base, near).astype(base.dtype)
    return of_one_dtype(dtype, [base.tobytes(), near.tobytes(), child.tobytes()])


def casts_to_integers() -> list[tuple[str, bytes]]:
    values = [0.0, -0.0, 1.0, 1.5, 127.0, 128.0, -128.0, -129.0, 255.0, 256.0, 2.0**53, 2.0**54]
    wrapped = [int(x) & 0xFF for x in values]
    return [
        stored("F64", values),
        ("U8", bytes(wrapped)),
        stored("I64", [int(x) for x in values]),
        ("I8", bytes(wrapped)),
    ]


UNRELATED = [{"length": 32_768, "seed": seed, "moves": 1, "most": 0} for seed in (1, 2, 3)]

LONG: dict[str, tuple[str, int, list[dict[str, int]]]] = {
    "bf16, enough for narrow arithmetic": ("BF16", 0, long(3, 33_000, 4)),
    "bf16, enough for narrow arithmetic, five columns": ("BF16", 32_768, long(5, 32_768, 3)),
    "bf16, enough for narrow arithmetic, two columns": ("BF16", 2**40, long(2, 32_769, 1)),
    "bf16, one too few for narrow arithmetic": ("BF16", 0, long(3, 32_767, 4)),
    "bf16, enough for narrow arithmetic, one NaN": ("BF16", 0, long(3, 32_768, 4, nan=20_001)),
    "bf16, unrelated columns in narrow arithmetic": ("BF16", 65_536, UNRELATED),
    "bf16, narrow arithmetic that its probes refuse": (
        "BF16",
        0,
        [{"length": 32_768, "constant": bits} for bits in (0x3F81, 0x3C26, 0x3F0D)],
    ),
    "f16, enough for narrow arithmetic": ("F16", 8_192, long(3, 32_999, 40)),
    "f16, enough for narrow arithmetic, five columns": ("F16", 0, long(5, 32_768, 3)),
    "f16, one too few for narrow arithmetic": ("F16", 0, long(3, 32_767, 4)),
    "f16, enough for narrow arithmetic, one NaN": ("F16", 0, long(3, 32_768, 4, nan=20_001)),
    "f16, far columns in narrow arithmetic": ("F16", 0, long(3, 32_768, 400)),
}
"""Cases whose bytes are too many to be written down: dtype, first element in the slice, columns."""

CASES: dict[str, Callable[[], list[tuple[str, bytes]]]] = {
    "no element": lambda: of_one_dtype("BF16", [b"", b""]),
    "one element": lambda: [stored("BF16", [1.5]), stored("BF16", [-3.0]), stored("BF16", [0.1])],
    "bf16, base and child only": lambda: of_one_dtype("BF16", relatives("BF16", 2, 33, 1)),
    "bf16, 15 elements": lambda: of_one_dtype("BF16", relatives("BF16", 3, 15, 2)),
    "bf16, 16 elements": lambda: of_one_dtype("BF16", relatives("BF16", 3, 16, 3)),
    "bf16, 17 elements": lambda: of_one_dtype("BF16", relatives("BF16", 3, 17, 4)),
    "bf16, more elements than are sampled": lambda: of_one_dtype(
        "BF16", relatives("BF16", 4, 601, 5)
    ),
    "bf16, displacements near one unit in the last place": lambda: of_one_dtype(
        "BF16", relatives("BF16", 3, 200, 6, scale=0.004)
    ),
    "bf16, ten columns": lambda: of_one_dtype("BF16", relatives("BF16", 10, 50, 8)),
    "f16": lambda: of_one_dtype("F16", relatives("F16", 3, 100, 9)),
    "f32": lambda: of_one_dtype("F32", relatives("F32", 3, 100, 10)),
    "f64": lambda: of_one_dtype("F64", relatives("F64", 3, 60, 11)),
    "f64 of all magnitudes": lambda: wide(12),
    "bf16, random bits": lambda: words("BF16", 3, 120, 13),
    "f16, random bits": lambda: words("F16", 3, 120, 14),
    "f32, random bits": lambda: words("F32", 3, 60, 15),
    "f8_e4m3, every code": lambda: codes("F8_E4M3", range(3)),
    "f8_e5m2, every code": lambda: codes("F8_E5M2", range(3, 6)),
    "f8_e8m0, every code": lambda: codes("F8_E8M0", range(6, 9)),
    "bf16, special values": lambda: special("BF16"),
    "f32, special values": lambda: special("F32"),
    "f64, special values": lambda: special("F64"),
    "i8": lambda: whole_numbers("I8", 16),
    "u8": lambda: whole_numbers("U8", 17),
    "i16": lambda: whole_numbers("I16", 18),
    "u16": lambda: whole_numbers("U16", 19),
    "i32": lambda: whole_numbers("I32", 20),
    "u32": lambda: whole_numbers("U32", 21),
    "i64": lambda: whole_numbers("I64", 22),
    "u64": lambda: whole_numbers("U64", 23),
    "bf16, f32, f64 and f16": mixed,
    "casts to bf16": ties,
    "casts to f8_e5m2": eight_bits,
    "casts to i8": casts_to_integers,
    "roundings to bf16": lambda: roundings("BF16"),
    "roundings to f16": lambda: roundings("F16"),
    "roundings to f8_e4m3": lambda: roundings("F8_E4M3"),
    "roundings to f8_e5m2": lambda: roundings("F8_E5M2"),
    "bf16, NaN of several bits": lambda: of_one_dtype(
        "BF16", [payloads()[i][1] for i in (0, 2, 0)]
    ),
    "bf16 and f32, NaN of several bits": payloads,
}


def main() -> None:
    np.seterr(all="ignore")  # casts that overflow are among the cases
    lines = []
    for name, make in CASES.items():
        columns = [{"dtype": dtype, "bytes": raw.hex()} for dtype, raw in make()]
        expected = chunk([Column(dtype, raw) for dtype, raw in make()])
        lines.append(json.dumps({"name": name, "columns": columns, **expected}))
    for name, (dtype, start, made) in LONG.items():
        columns = [{"dtype": dtype, "made": each} for each in made]
        expected = chunk([Column(dtype, generated(dtype, each)) for each in made], start)
        lines.append(json.dumps({"name": name, "start": start, "columns": columns, **expected}))
    text = f'{{"definition": {DEFINITION}, "cases": [\n' + ",\n".join(lines) + "\n]}\n"
    Path(__file__).with_name("gram.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
