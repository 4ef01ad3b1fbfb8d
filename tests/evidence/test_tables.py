"""Tables of a trace: their rows and columns."""

from __future__ import annotations

import numpy as np
import parentage
import polars as pl
import pytest
from common.documents import strict
from common.merges import merged
from common.traced import LARGE, trace
from conftest import BF16, write_checkpoint
from parentage.checkpoint import component_of
from parentage.evidence import wide
from parentage.evidence.tables import OF_CHECKPOINT, OF_SLICE

CONTRACT = {
    *("slice", "component", "layer", "expert", "shape", "dtype", "n", "n_moved"),
    *("checkpoint", "role", "bit_equal", "ols", "se", "cells", "cells_half_width"),
    *("r2", "cosine", "residual_rms", "rounding_rms", "z_naive", "log10_p", "exact_share"),
    *("nan", "inf"),
}


def test_slices_have_the_columns_of_the_contract(merge, tmp_path):
    merge.save(tmp_path)
    table = pl.read_parquet(tmp_path / "slices.parquet")
    assert set(table.columns) >= CONTRACT
    assert table.equals(merge.slices)
    assert table.height == 23 * 3
    assert table["n"].sum() == 294_488 * 3
    assert table["checkpoint"].to_list()[:3] == ["base", "parent", "sibling"]
    assert table["role"].to_list()[:3] == ["base", "parent", "control"]
    assert table.schema["shape"] == pl.List(pl.Int64)
    assert table.schema["layer"] == pl.Int64
    name = "model.layers.1.self_attn.q_proj.weight"
    row = table.filter(slice=name, checkpoint="parent").row(0, named=True)
    assert (row["component"], row["layer"], row["expert"]) == ("attention", 1, None)
    assert (row["shape"], row["dtype"], row["n"]) == ([128, 120], "BF16", 15_360)
    assert row["ols"] == pytest.approx(0.6, abs=0.01)


def test_slices_are_in_natural_order(tmp_path):
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in (10, 9, 2)]
    for each in ("base", "child"):
        write_checkpoint(tmp_path / each, {name: np.ones((2, 2), BF16) for name in names})
    found = parentage.trace(tmp_path / "child", base=tmp_path / "base")
    assert found.slices["layer"].to_list() == [2, 9, 10]
    assert found.layers["layer"].to_list() == [2, 9, 10]


def test_what_was_not_compared_is_listed_with_the_reason(tmp_path, family, weights):
    child = dict(weights["child"])
    del child["model.norm.weight"]
    child["model.extra.weight"] = np.ones(5, BF16)
    child["model.flags"] = np.ones(3, bool)
    made = write_checkpoint(tmp_path / "made", child)
    found = parentage.trace(made, base=family("base"), parents=[family("parent")])
    rows = {(each["checkpoint"], each["tensor"]): each for each in found.unaligned.to_dicts()}
    assert {key: each["reason"] for key, each in rows.items()} == {
        ("made", "model.extra.weight"): "not in base; not in parent",
        ("made", "model.flags"): "dtype BOOL has no arithmetic",
        ("base", "model.norm.weight"): "not in the child",
        ("parent", "model.norm.weight"): "not in the child",
    }
    assert rows["made", "model.extra.weight"]["elements"] == 5
    assert (found.elements, found.elements_total) == (294_488 - 120, 294_488 - 120 + 8)
    listed = strict(found.to_json())["coverage"]["unaligned"]
    assert listed == [
        {key: each[key] for key in ("checkpoint", "tensor", "reason")} for each in rows.values()
    ]
    assert "not compared" in found.verdict.text


def test_counts_of_slices_are_counts_of_elements(tmp_path, weights, family):
    child = {name: array.copy() for name, array in weights["parent"].items()}
    name = "model.layers.0.self_attn.v_proj.weight"
    child[name][0, :3] = [np.nan, np.inf, -np.inf]
    made = write_checkpoint(tmp_path / "made", child)
    found = parentage.trace(made, base=family("base"), parents=[family("parent")])
    row = found.slices.filter(slice=name, checkpoint="parent").row(0, named=True)
    assert (row["nan"], row["inf"], row["excluded"]) == (1, 2, 3)
    assert row["bit_equal"] == row["n"] - 3
    assert row["n_moved"] == np.sum(
        weights["base"][name].view(np.uint16) != weights["parent"][name].view(np.uint16)
    )


def test_no_two_columns_are_called_alike(tmp_path, weights, family):
    for name, share in (("b", "parent"), ("bias_b", "sibling")):
        write_checkpoint(tmp_path / name, weights[share])
    found = parentage.trace(
        family("child"), base=family("base"), parents=[tmp_path / "b", tmp_path / "bias_b"]
    )
    plain = parentage.trace(
        family("child"), base=family("base"), parents=[family("parent"), family("sibling")]
    )
    assert len(found.model.columns) == len(plain.model.columns)


def test_slices_have_the_weight_that_their_cells_admit(exact, tmp_path):
    exact.save(tmp_path)
    table = wide(pl.read_parquet(tmp_path / "slices.parquet"))
    assert {"cells:one", "cells_share:one", "cells:other", "exact_share"} <= set(table.columns)
    assert "cells:two" not in table.columns
    large = table.filter(pl.col("slice").is_in(LARGE))
    assert large["cells:one"].to_numpy() == pytest.approx(0.6, abs=1e-4)
    assert large["cells_share:one"].to_list() == [1.0] * len(LARGE)
    assert table["cells:other"].null_count() == table.height
    assert table["exact_share"].to_list() == [1.0] * table.height
    assert table["mismatched"].sum() == 0


def test_weights_by_component_stand_in_slices_where_they_belong(tmp_path):
    table = {"embed": 0.5, "attention": 0.3, "mlp": 0.7, "norm": 0.9}

    def one(tensor: str) -> float:
        return table[component_of(tensor)]

    def rest(tensor: str) -> float:
        return 1.0 - one(tensor)

    found = trace(tmp_path, merged("linear", "float32", {"one": one, "base": rest}), ["one"])
    assert found.verdict.kind == "merge"
    rows = found.wide().filter(pl.col("slice").is_in(LARGE))
    for component, weight in zip(rows["component"], rows["cells:one"], strict=True):
        assert weight == pytest.approx(table[component], abs=1e-4)


KEYS = {
    "slices": ["slice", "component", "layer", "expert", "shape", "dtype"],
    "layers": ["layer"],
    "components": ["component"],
    "model": [],
}


@pytest.mark.parametrize("table", KEYS)
def test_long_and_wide_views_agree(merge, table):
    long, found = getattr(merge, table), merge.wide(table)
    columns = merge.inputs.columns
    assert found.equals(wide(long))
    assert long.columns == [*KEYS[table], "checkpoint", "role", *OF_CHECKPOINT, *OF_SLICE]
    assert long.height == found.height * len(columns)
    expected = {*KEYS[table], *OF_SLICE}
    for name in columns.names:
        rows = long.filter(checkpoint=name)
        assert set(rows["role"]) == {columns.role(name)}
        assert rows.select(*KEYS[table], *OF_SLICE).equals(found.select(*KEYS[table], *OF_SLICE))
        for quantity, roles in OF_CHECKPOINT.items():
            if columns.role(name) in roles:
                expected.add(f"{quantity}:{name}")
                assert rows[quantity].to_list() == found[f"{quantity}:{name}"].to_list()
            else:
                assert rows[quantity].null_count() == rows.height
    assert set(found.columns) == expected


@pytest.mark.parametrize("table", KEYS)
def test_names_that_look_like_quantities_disturb_no_column(tmp_path, family, weights, table):
    """`cells` of `half_width_q` is not `cells_half_width` of `q`."""
    other = {"parent": "q", "sibling": "half_width_q"}
    for source, name in other.items():
        write_checkpoint(tmp_path / name, weights[source])
    plain = parentage.trace(
        family("child"), base=family("base"), parents=[family(source) for source in other]
    ).wide(table)
    found = parentage.trace(
        family("child"), base=family("base"), parents=[tmp_path / name for name in other.values()]
    ).wide(table)
    renamed = {
        column: f"{quantity}:{other[source]}"
        for column in plain.columns
        for quantity, _, source in [column.partition(":")]
        if source in other
    }
    assert found.equals(plain.rename(renamed))
    assert {"cells:q", "cells:half_width_q", "cells_half_width:q"} <= set(found.columns)
