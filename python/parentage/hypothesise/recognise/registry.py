"""How a sample betrays each method, by the method's name."""

from __future__ import annotations

from functools import partial

from parentage.hypothesise.recognise import (
    arcee_fusion,
    karcher,
    linear,
    lora,
    model_stock,
    multislerp,
    nearswap,
    nested,
    nuslerp,
    passthrough,
    ram,
    ramplus_tl,
    sce,
    slerp,
    task_arithmetic,
)
from parentage.hypothesise.recognise.masks.recipes import recipes_of
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods.masked import MASKED

RECOGNISERS: dict[str, Recogniser] = {
    "passthrough": passthrough.RECOGNISER,
    "linear": linear.RECOGNISER,
    "task_arithmetic": task_arithmetic.RECOGNISER,
    "nested": nested.RECOGNISER,
    "slerp": slerp.RECOGNISER,
    "nuslerp": nuslerp.RECOGNISER,
    "multislerp": multislerp.RECOGNISER,
    "karcher": karcher.RECOGNISER,
    "model_stock": model_stock.RECOGNISER,
    "lora": lora.RECOGNISER,
    **{method.name: Recogniser(partial(recipes_of, name=method.name)) for method in MASKED},
    "sce": sce.RECOGNISER,
    "ram": ram.RECOGNISER,
    "ramplus_tl": ramplus_tl.RECOGNISER,
    "arcee_fusion": arcee_fusion.RECOGNISER,
    "nearswap": nearswap.RECOGNISER,
}
"""Recognisers in the order of :data:`parentage.methods.METHODS`."""
