"""Real trainings: a 4-layer tanh network in numpy, of 112 thousand weights, by Adam, SGD and Lion.

The base is a network that was trained on one target; runs go on from it on another. Two runs on the
same data see the same examples, in the same or another order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .tensors import F32, Array, Tensors, bf16

WIDTHS = (64, 192, 192, 256, 56)
BATCH = 64


@dataclass(frozen=True)
class Run:
    """An optimiser, its rate, its steps, the order of its examples, and what is learnt."""

    optimiser: str
    rate: float
    steps: int
    seed: int = 0
    """Of the order of examples."""
    data: int = 1
    """Which target is learnt."""


def target(data: int, x: Array) -> Array:
    """Return what is to be learnt of inputs."""
    rng = np.random.default_rng(1000 + data)
    inner = rng.normal(0, 0.3, (x.shape[1], 32)).astype(F32)
    outer = rng.normal(0, 0.4, (32, WIDTHS[-1])).astype(F32)
    return np.sin(x @ inner).astype(F32) @ outer


def started() -> Tensors:
    """Return a network before training, in the layout (outputs, inputs)."""
    rng = np.random.default_rng(5)
    out: Tensors = {}
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(WIDTHS)):
        out[f"layers.{i}.weight"] = rng.normal(0, fan_in**-0.5, (fan_out, fan_in)).astype(F32)
        out[f"layers.{i}.bias"] = np.zeros(fan_out, F32)
    return out


def gradients(weights: Tensors, x: Array, y: Array) -> Tensors:
    """Return gradients of the mean squared error."""
    layers = len(WIDTHS) - 1
    values = [x]
    for i in range(layers):
        z = values[-1] @ weights[f"layers.{i}.weight"].T + weights[f"layers.{i}.bias"]
        values.append(np.tanh(z) if i < layers - 1 else z)
    back = 2 * (values[-1] - y) / y.size
    out: Tensors = {}
    for i in reversed(range(layers)):
        out[f"layers.{i}.weight"] = back.T @ values[i]
        out[f"layers.{i}.bias"] = back.sum(0)
        if i:
            back = (back @ weights[f"layers.{i}.weight"]) * (1 - values[i] ** 2)
    return out


def steps_of(run: Run, weights: Tensors) -> Iterator[Tensors]:
    """Yield the weights after every step."""
    examples = np.random.default_rng(run.data).standard_normal((4096, WIDTHS[0])).astype(F32)
    y = target(run.data, examples)
    order = np.random.default_rng(100 + run.seed)
    weights = {name: x.copy() for name, x in weights.items()}
    first = {name: np.zeros_like(x) for name, x in weights.items()}
    second = {name: np.zeros_like(x) for name, x in weights.items()}
    rate = F32(run.rate)
    for step in range(1, run.steps + 1):
        chosen = order.integers(0, len(examples), BATCH)
        for name, g in gradients(weights, examples[chosen], y[chosen]).items():
            if run.optimiser == "sgd":
                first[name] = F32(0.9) * first[name] + g
                move = first[name]
            elif run.optimiser == "lion":
                move = np.sign(F32(0.9) * first[name] + F32(0.1) * g)
                first[name] = F32(0.99) * first[name] + F32(0.01) * g
            else:
                first[name] = F32(0.9) * first[name] + F32(0.1) * g
                second[name] = F32(0.999) * second[name] + F32(0.001) * g * g
                mean = first[name] / F32(1 - 0.9**step)
                move = mean / (np.sqrt(second[name] / F32(1 - 0.999**step)) + F32(1e-8))
            weights[name] -= rate * move.astype(F32)
        yield weights


@lru_cache(maxsize=1)
def base() -> Tensors:
    """Return the network that all runs start from: trained on a target of its own."""
    *_, last = steps_of(Run("adam", 1e-3, 300, data=0), started())
    return {name: bf16(x) for name, x in last.items()}


def checkpoints(run: Run) -> tuple[Tensors, Tensors]:
    """Return the weights after half of the steps, and after all."""
    half: Tensors = {}
    last: Tensors = {}
    for step, weights in enumerate(steps_of(run, base()), 1):
        if step == run.steps // 2:
            half = {name: x.copy() for name, x in weights.items()}
        last = weights
    return half, last
