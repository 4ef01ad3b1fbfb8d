"""Layers, components and the model are sums of slices."""

import numpy as np
import pytest
from conftest import BF16, FAMILY, opened, roles_in
from parentage.align import align, is_matrix
from parentage.checkpoint import Checkpoint
from parentage.statistics import full_pass, is_pooled
from parentage.stream import Options


def test_layers_components_and_the_model_are_sums_of_slices(family, weights):
    checkpoints = [Checkpoint.open(family(name)) for name in FAMILY]
    alignment = align(checkpoints[3], checkpoints[:3])
    found = full_pass(alignment, roles_in(alignment, 2), Options(2))
    child = weights["child"]
    layered = [name for name in child if ".layers." in name]
    assert found.layer_numbers == (0, 1)
    assert found.layers.n.sum() == sum(child[name].size for name in layered)
    assert found.components.n.sum() == found.model.n[0] == sum(x.size for x in child.values())
    for count in ("n", "moved", "stray", "excluded"):
        each = getattr(found.slices, count).sum()
        assert each == getattr(found.components, count).sum() == getattr(found.model, count)[0]
    total = found.slices.estimates.gram.sum(axis=0)
    assert found.components.estimates.gram.sum(axis=0) == pytest.approx(total, rel=1e-12)
    assert found.model.estimates.gram[0] == pytest.approx(total, rel=1e-12)
    assert found.model.residual[0] == pytest.approx(found.slices.residual.sum(), rel=1e-12)


def test_matrices_are_summed_apart_from_vectors(tmp_path):
    tensors = {"m": np.ones((4, 5), BF16), "v": np.ones((1, 7, 1), BF16), "s": np.ones((), BF16)}
    checkpoints = [opened(tmp_path, name, tensors) for name in ("base", "child")]
    alignment = align(checkpoints[1], checkpoints[:1])
    assert is_matrix(alignment.slices).tolist() == [True, False, False]
    found = full_pass(alignment, roles_in(alignment, 0), Options(1))
    assert found.matrices.tolist() == [[20, 0], [0, 0]]
    assert found.model.estimates.gram[0].tolist() == [[28, 0], [0, 0]]


def test_layers_of_other_towers_are_not_summed_with_those_of_the_body(tmp_path):
    names = ["model.layers.0.mlp.up_proj.weight", "model.visual.blocks.0.mlp.fc1.weight"]
    tensors = {name: np.ones((4, 4), BF16) for name in [*names, "mtp.layers.0.fc.weight"]}
    checkpoints = [opened(tmp_path, name, tensors) for name in ("base", "child")]
    alignment = align(checkpoints[1], checkpoints[:1])
    found = full_pass(alignment, roles_in(alignment, 0), Options(1))
    assert found.layers.n.tolist() == [16]


def test_a_factor_in_common_is_no_evidence_of_parentage(tmp_path):
    # Rank one, and all rows moved alike: blocks of rows have one sign, whatever the rest does.
    random = np.random.default_rng(3)
    values = []
    for draw in range(12):
        base, factor = random.normal(size=(96, 64)), random.normal(size=(96, 1))
        moved = [base + 0.01 * factor * random.normal(size=(1, 64)) for _ in range(2)]
        opened_ = [
            opened(tmp_path / str(draw), f"c{i}", {"x": each.astype(np.float32)})
            for i, each in enumerate([base, *moved])
        ]
        alignment = align(opened_[-1], opened_[:-1])
        found = full_pass(alignment, roles_in(alignment, 1), Options(1))
        values.append(found.slices.estimates.log10_p[0, 0])
    assert sum(value <= -2 for value in values) <= 1


def test_what_batch_normalisation_measures_has_no_part_in_energies(tmp_path):
    rng = np.random.default_rng(7)
    base = {
        "conv.weight": rng.normal(0, 0.05, (16, 8, 3, 3)).astype(np.float32),
        "bn.running_var": rng.uniform(0.5, 2.0, 16).astype(np.float32),
    }
    child = {"conv.weight": base["conv.weight"], "bn.running_var": 100 * base["bn.running_var"]}
    checkpoints = [opened(tmp_path, *each) for each in (("base", base), ("child", child))]
    alignment = align(checkpoints[1], checkpoints[:1])
    found = full_pass(alignment, roles_in(alignment, 0), Options(1))
    assert is_pooled(alignment.slices).tolist() == [
        not each.name.endswith("running_var") for each in alignment.slices
    ]
    assert found.model.estimates.gram[0, 1, 1] == 0.0
    assert found.slices.estimates.gram[:, 1, 1].max() > 0.0
    assert (found.slices.energy > 0.0).all()
    assert found.model.energy[0] < found.slices.energy.sum()
