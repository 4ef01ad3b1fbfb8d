"""Two parents, their child, and the recipe that made it."""

import numpy as np
from conftest import BF16, write_checkpoint
from parentage import Recipe
from parentage.cli import run
from parentage.recipe import Ingredient

SHAPES = {
    "lm_head.weight": (16, 24),
    "model.layers.0.mlp.up_proj.weight": (40, 24),
    "model.layers.1.mlp.experts.up_proj": (3, 8, 24),
    "model.norm.weight": (24,),
    "scalar": (),
}
RECIPE = Recipe("linear", (Ingredient("one", 0.6), Ingredient("two", 0.4)))


def random_tensors(seed, integers=True):
    rng = np.random.default_rng(seed)
    tensors = {
        name: rng.standard_normal(shape).astype(np.float32).astype(BF16)
        for name, shape in SHAPES.items()
    }
    tensors = {name: np.asarray(x) for name, x in tensors.items()}
    if integers:
        tensors["model.position_ids"] = np.arange(seed, seed + 8, dtype=np.int64)
    return tensors


def blend(one, two, weights=(0.6, 0.4)):
    """Return the linear merge, each product and each sum rounded to float32, the result to bf16."""
    a, b = map(np.float32, weights)
    out = {}
    for name, x in one.items():
        if x.dtype == BF16:
            total = x.astype(np.float32) * a + two[name].astype(np.float32) * b
            out[name] = np.asarray(total / (a + b)).astype(BF16)
        else:
            out[name] = x
    return out


def merge(folder):
    """Write two parents, their child, and the recipe that made it; return the folder."""
    one, two = random_tensors(1), random_tensors(2)
    write_checkpoint(folder / "one", one)
    write_checkpoint(folder / "two", two, shards=2)
    write_checkpoint(folder / "child", blend(one, two))
    (folder / "recipe.json").write_text(Recipe(**fields(arithmetic="float32")).to_json())
    return folder


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def fields(**changes):
    return {name: getattr(RECIPE, name) for name in Recipe.__dataclass_fields__} | changes


def invoke(capsys, *arguments):
    status = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def sources(folder):
    return ["--from", folder / "one", "--from", folder / "two"]


def places(folder):
    return {name: folder / name for name in ("one", "two")}
