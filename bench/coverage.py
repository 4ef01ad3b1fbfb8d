"""Measures whether stated errors cover, and whether p-values of no parent are as rare as they say.

    python bench/coverage.py [--corpus FOLDER] [--draws 200] [--sizes 1000 10000 100000] [--record]

Children of random weights are made from a decoder and an encoder with displacements of about ten
units and of one unit in the last place of bf16: of checkpoints in FOLDER (DECODER and ENCODER
name them), or of random numbers without. Printed are

1. least squares: the share of draws within one, two and three ``se``, how much larger the median
   ``se`` is than the median error, by dtype, noise, parents and size;
2. cells: the share within one, two and three ``cells_half_width``, for arithmetic that rounds once
   and twice;
3. p: the share of displacements that are no parent's whose ``log10_p`` is below .1, .05, .01, .001.

``--record`` keeps them in ``bench/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np
from parentage import Checkpoint
from parentage.align import align
from parentage.checkpoint import Columns
from parentage.hypothesise import SampleEstimates
from parentage.statistics import full_pass
from parentage.stream import Options
from safetensors.numpy import save_file

DECODER = ("base", "ft_code", "ft_prose", "ft_num")
ENCODER = ("base_minilm", "ft_minilm_a", "ft_minilm_b")
BF16 = ml_dtypes.bfloat16
DTYPES = {"bf16": BF16, "f16": np.float16, "f32": np.float32}
NOMINAL = (0.683, 0.954, 0.997)
LEVELS = (0.1, 0.05, 0.01, 0.001)
OPTIONS = Options(1)


def numbers_of(folder: Path) -> np.ndarray:
    """Return all elements of a checkpoint of bf16 tensors, in the order of their names."""
    checkpoint = Checkpoint.open(folder)
    parts = []
    for _, tensor in sorted(checkpoint.tensors.items()):
        shard = checkpoint.shards[tensor.shard].path
        elements = int(np.prod(tensor.shape))
        parts.append(np.fromfile(shard, BF16, elements, offset=tensor.begin))
    return np.concatenate(parts).astype(np.float64)


def relatives(random: np.random.Generator, scale: float, parents: int) -> list[np.ndarray]:
    """Return a base and parents of 2^20 random numbers, ``scale`` of the base away from it."""
    base = random.normal(0.0, 0.02, 1 << 20).astype(BF16).astype(np.float64)
    moved = [random.normal(0.0, 0.02 * scale, base.size) for _ in range(parents)]
    return [base, *((base + each).astype(BF16).astype(np.float64) for each in moved)]


def families(corpus: Path | None) -> dict[str, list[np.ndarray]]:
    """Return base and parents of each family."""
    if corpus is None:
        random = np.random.default_rng(0)
        return {"decoder": relatives(random, 0.06, 3), "encoder": relatives(random, 0.006, 2)}
    names = {"decoder": DECODER, "encoder": ENCODER}
    return {name: [numbers_of(corpus / each) for each in which] for name, which in names.items()}


def traced(arrays: list[np.ndarray], dtypes: list[type], shape: tuple[int, ...]) -> tuple:
    """Return the alignment of checkpoints of one tensor each, and its roles."""
    with tempfile.TemporaryDirectory() as folder:
        opened = []
        for i, (array, dtype) in enumerate(zip(arrays, dtypes, strict=True)):
            path = Path(folder) / f"c{i}.safetensors"
            save_file({"x": np.ascontiguousarray(array.astype(dtype).reshape(shape))}, path)
            opened.append(Checkpoint.open(path))
        alignment = align(opened[-1], opened[:-1])
        names = [f"c{i}" for i in range(len(arrays) - 1)]
        columns = Columns(names[0], tuple(names[1:]), ())
        statistics = full_pass(alignment, columns, OPTIONS)
        found = statistics.model.estimates
        cells = None
        if traced.cells:
            estimates = SampleEstimates(alignment, columns, OPTIONS)
            cells = [x[0] for x in estimates.cells(np.zeros(len(alignment.slices), np.intp))]
        return found, cells


traced.cells = False


def shares(deviations: np.ndarray) -> list[float]:
    """Return the share of deviations within one, two and three."""
    return [float(np.mean(deviations <= k)) for k in (1, 2, 3)]


def least_squares(family: list[np.ndarray], n: int, draws: int, name: str) -> list[dict]:
    """Return rows of coverage of ``se``."""
    rows = []
    random = np.random.default_rng(n)
    for dtype, noise, parents in itertools.product(DTYPES, (0.0, 0.3), range(1, len(family))):
        deviations, errors, widths = [], [], []
        for _ in range(draws):
            at = random.choice(family[0].size, min(n, family[0].size), replace=False)
            base, *others = (each[at] for each in family[: 1 + parents])
            weights = random.uniform(0.0, 1.0, parents)
            child = base + sum(w * (p - base) for w, p in zip(weights, others, strict=True))
            rms = np.sqrt(np.mean((others[0] - base) ** 2))
            child = child + noise * rms * random.normal(size=child.size)
            found, _ = traced(
                [base, *others, child], [BF16] * (1 + parents) + [DTYPES[dtype]], (len(at),)
            )
            error = np.abs(found.parents.weights[0] - weights)
            widths.append(found.standard_error[0])
            errors.append(error)
            deviations.append(error / found.standard_error[0])
        every = np.concatenate(deviations)
        rows.append(
            {
                "family": name, "child": dtype, "noise": noise, "parents": parents, "n": n,
                "draws": draws, "within": shares(every), "worst": float(every.max()),
                "median_error": float(np.median(np.concatenate(errors))),
                "se_to_error": float(np.median(np.concatenate(widths)))
                / float(np.median(np.concatenate(errors))),
            }
        )  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return rows


def blended(
    base: np.ndarray, others: list[np.ndarray], weights: np.ndarray, dtype: type, *, twice: bool
) -> np.ndarray:
    """Return a blend of (1 - sum w) base + sum w p, with products rounded as well if ``twice``."""
    own = 1.0 - weights.sum()
    terms = [own * base, *(w * p for w, p in zip(weights, others, strict=True))]
    if not twice:
        return sum(terms).astype(dtype)
    terms = [each.astype(dtype) for each in terms]
    total = terms[0]
    for each in terms[1:]:
        total = (total.astype(np.float64) + each.astype(np.float64)).astype(dtype)
    return total


def cells(family: list[np.ndarray], n: int, draws: int) -> list[dict]:
    """Return rows of coverage of ``cells_half_width``."""
    rows = []
    random = np.random.default_rng(n)
    kinds = {**DTYPES, "e4m3": ml_dtypes.float8_e4m3fn}
    traced.cells = True
    for dtype, twice, parents in itertools.product(kinds, (False, True), range(1, len(family))):
        deviations, said = [], 0
        for _ in range(draws):
            at = random.choice(family[0].size, n, replace=False)
            base, *others = (each[at] for each in family[: 1 + parents])
            weights = random.dirichlet(np.ones(parents + 1))[:parents]
            weights = weights.astype(np.float32).astype(np.float64)
            child = blended(base, others, weights, kinds[dtype], twice=twice).astype(np.float64)
            _, (found, half, _) = traced(
                [base, *others, child], [BF16] * (1 + parents) + [kinds[dtype]], (n,)
            )
            known = np.isfinite(found)
            said += int(known.sum())
            deviations.append(np.abs(found - weights)[known] / half[known])
        every = np.concatenate(deviations) if said else np.zeros(1)
        rows.append(
            {
                "child": dtype, "rounded": "twice" if twice else "once", "parents": parents,
                "n": n, "draws": draws, "said": said, "within": shares(every),
                "worst": float(every.max()), "median": float(np.median(every)),
            }
        )  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    traced.cells = False
    return rows


def nulls(random: np.random.Generator, shape: tuple[int, int]) -> dict[str, tuple]:
    """Return displacements of a parent and of a child that is not its, by what they share."""
    rows, columns = shape
    heavy = random.standard_t(3, size=shape)
    common_out, common_in = random.normal(size=(rows, 1)), random.normal(size=(1, columns))
    scale = np.exp(random.normal(size=(rows, 1)))

    def noise() -> np.ndarray:
        return random.normal(size=shape)

    return {
        "normal": (noise(), noise()),
        "permuted": (heavy, random.permutation(heavy.ravel()).reshape(shape)),
        "signs of elements": (heavy, np.abs(heavy) * random.choice([-1.0, 1.0], shape)),
        "signs of blocks": (
            heavy,
            heavy * np.repeat(random.choice([-1.0, 1.0], 16), rows // 16)[:, None],
        ),
        "one scale per row": (scale * noise(), scale * noise()),
        "rank one": tuple(
            random.normal(size=(rows, 1)) * random.normal(size=(1, columns)) for _ in "12"
        ),
        "rank one, common output factor": tuple(
            common_out * random.normal(size=(1, columns)) for _ in "12"
        ),
        "rank one, common input factor": tuple(
            random.normal(size=(rows, 1)) * common_in for _ in "12"
        ),
        "rank four, common output factors": tuple(
            _factors @ random.normal(size=(4, columns))
            for _factors in [random.normal(size=(rows, 4))] * 2
        ),
    }


def significance(draws: int, shape: tuple[int, int], tensors: int) -> list[dict]:
    """Return rows of how often p is below :data:`LEVELS` although nothing is a parent's."""
    random = np.random.default_rng(tensors)
    values: dict[str, list[float]] = {}
    for _ in range(draws):
        parts = [nulls(random, shape) for _ in range(tensors)]
        base = random.normal(size=(tensors * shape[0], shape[1]))
        for name in parts[0]:
            parent, child = (np.concatenate([part[name][i] for part in parts]) for i in (0, 1))
            arrays = [base, base + 0.01 * parent, base + 0.01 * child]
            values.setdefault(name, []).append(_log10_p(arrays, shape, tensors))
    rows = []
    for name, found in values.items():
        below = [float(np.mean(np.array(found) <= np.log10(level))) for level in LEVELS]
        row = {"null": name, "tensors": tensors, "draws": draws, "below": below,
               "least": float(min(found))}  # fmt: skip
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def _log10_p(arrays: list[np.ndarray], shape: tuple[int, int], tensors: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        opened = []
        for i, array in enumerate(arrays):
            path = Path(folder) / f"c{i}.safetensors"
            split = array.astype(np.float32).reshape(tensors, *shape)
            save_file({f"x{k}": np.ascontiguousarray(each) for k, each in enumerate(split)}, path)
            opened.append(Checkpoint.open(path))
        found = full_pass(align(opened[-1], opened[:-1]), Columns("c0", ("c1",), ()), OPTIONS)
    return float(found.model.estimates.log10_p[0, 0])


def main() -> None:
    """Print the tables, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--only", choices=["least-squares", "cells", "p"])
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    out: dict[str, list[dict]] = {"least-squares": [], "cells": [], "p": []}
    known = families(given.corpus)
    if given.only in (None, "least-squares"):
        for n, (name, family) in itertools.product(given.sizes, known.items()):
            draws = max(12, min(given.draws, given.draws * 30_000 // n))
            out["least-squares"] += least_squares(family, n, draws, name)
    if given.only in (None, "cells"):
        out["cells"] = cells(known["decoder"], 10_000, max(10, given.draws // 4))
    if given.only in (None, "p"):
        for tensors in (1, 21):
            out["p"] += significance(max(10, given.draws // tensors), (160, 128), tensors)
    if given.record:
        kept = Path(__file__).parent / "results" / f"{datetime.date.today()}-coverage.json"
        kept.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
