"""Quantised copies are proved by quantising anew, code for code."""

import ml_dtypes
import numpy as np
import parentage
import pytest
from conftest import BF16, opened, write_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import decoded
from parentage.pipeline.codes import requantised
from parentage.places import cast
from parentage.stream import Options

KINDS = {"F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
LARGEST = {"F8_E4M3": 448.0, "F8_E5M2": 57344.0}
SHAPE = (200, 150)


def plain(seed):
    return np.random.default_rng(seed).normal(0, 0.03, SHAPE).astype(BF16)


def quantised(values, kind="F8_E4M3", block=128, by_reciprocal=False):
    x = values.astype(np.float32)
    rows, columns = (-(-size // block) for size in x.shape)
    scales = np.zeros((rows, columns), np.float32)
    codes = np.zeros(x.shape, KINDS[kind])
    for i in range(rows):
        for j in range(columns):
            at = np.s_[i * block : (i + 1) * block, j * block : (j + 1) * block]
            scales[i, j] = np.abs(x[at]).max() / np.float32(LARGEST[kind])
            scaled = (
                x[at] * (np.float32(1) / scales[i, j]) if by_reciprocal else x[at] / scales[i, j]
            )
            codes[at] = np.clip(scaled, -LARGEST[kind], LARGEST[kind]).astype(KINDS[kind])
    return codes, scales


def counted(child, other):
    child = decoded(child)
    codes, mate = child.tensors["a.weight"], other.tensors["a.weight"]
    return requantised(child, [codes], other, [mate], Options(2))[0]


@pytest.mark.parametrize("kind", KINDS)
@given(values=st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=50))
def test_rounding_is_that_of_the_reference(kind, values):
    x = np.array(values, np.float32)
    limited = np.clip(x, -LARGEST[kind], LARGEST[kind])
    assert (cast(x.astype(np.float64), kind) == limited.astype(KINDS[kind])).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_reciprocal", [False, True])
def test_codes_of_a_copy_are_all_found_and_of_a_relative_are_not(tmp_path, kind, by_reciprocal):
    values = plain(1)
    codes, scales = quantised(values, kind, by_reciprocal=by_reciprocal)
    child = opened(tmp_path, "child", {"a.weight": codes, "a.weight_scale_inv": scales})
    sibling = (values.astype(np.float32) + 0.002).astype(BF16)
    for name, tensor, is_all in (("copy", values, True), ("sibling", sibling, False)):
        other = opened(tmp_path, name, {"a.weight": tensor})
        found = counted(child, other)
        assert found.elements == codes.size
        assert (found.equal == codes.size) is is_all


def test_scales_that_are_no_numbers_prove_nothing(tmp_path):
    codes, scales = quantised(plain(1))
    scales[0, 0] = np.nan
    child = opened(tmp_path, "child", {"a.weight": codes, "a.weight_scale_inv": scales})
    other = opened(tmp_path, "other", {"a.weight": plain(1)})
    found = counted(child, other)
    assert found.equal < found.elements
    assert not found.is_copy


def family(tmp_path, seed=1):
    norm = np.random.default_rng(9).normal(1, 0.1, 150).astype(BF16)
    parent = {f"model.layers.{i}.q_proj.weight": plain(seed + i) for i in range(2)}
    child = {}
    for name, values in parent.items():
        child[name], child[f"{name}_scale_inv"] = quantised(values)
    extra = {"model.embed_tokens.weight": plain(20), "model.norm.weight": norm}
    base = {name: (x.astype(np.float32) + 0.001).astype(BF16) for name, x in parent.items()}
    return [
        write_checkpoint(tmp_path / name, tensors | extra)
        for name, tensors in (("child", child), ("base", base), ("parent", parent))
    ]


def test_a_quantised_copy_is_re_encoded_at_level_exact(tmp_path):
    child, base, parent = family(tmp_path)
    found = parentage.trace(child, base=base, parents=[parent])
    assert (found.verdict.kind, found.verdict.level) == ("re-encoded", "exact")
    assert "those of parent" in found.verdict.text
    assert "60,000 as the codes" in found.verdict.text


def test_one_other_code_and_it_is_no_copy(tmp_path):
    child, base, parent = family(tmp_path)
    path = child / "model.safetensors"
    content = bytearray(path.read_bytes())
    # The codes lie behind the embedding in the file, or before it: any byte of theirs will do.
    codes, _ = quantised(plain(1))
    at = content.index(codes.tobytes()[:64])
    content[at] ^= 1
    path.write_bytes(bytes(content))
    found = parentage.trace(child, base=base, parents=[parent])
    assert found.verdict.kind not in ("re-encoded", "identical")
    assert (
        "Of q_proj of layer 0, all but 1 of 30,000 codes compared are what quantising parent with "
        "the scales stored beside them gives." in found.verdict.text
    )


@pytest.mark.parametrize(("code", "scale"), [(0.0, 1e30), (448.0, 1e-30)])
def test_codes_that_anything_gives_are_no_copy(tmp_path, code, scale):
    """With scales out of all proportion every number becomes zero, or the largest."""
    values = np.abs(plain(1).astype(np.float32)).astype(BF16)
    codes = np.full(SHAPE, code, KINDS["F8_E4M3"])
    scales = np.full((2, 2), scale, np.float32)
    child = opened(tmp_path, "child", {"a.weight": codes, "a.weight_scale_inv": scales})
    other = opened(tmp_path, "other", {"a.weight": values})
    found = counted(child, other)
    assert found.equal >= 0.99 * found.elements
    assert not found.is_copy


def test_other_codes_under_the_same_scales_are_no_copies(tmp_path):
    child, _, _ = family(tmp_path)
    path = child / "model.safetensors"
    other = write_checkpoint(tmp_path / "other", {"x": plain(1)})
    (other / "model.safetensors").write_bytes(path.read_bytes())
    content = bytearray(path.read_bytes())
    for seed in (1, 2):
        codes = quantised(plain(seed))[0].tobytes()
        at = content.index(codes)
        content[at : at + len(codes)] = codes[::-1]
    path.write_bytes(bytes(content))
    verdict = parentage.trace(child, base=other).verdict
    assert verdict.kind not in ("identical", "re-encoded", "fine-tune")
    assert "none of those that have it" in verdict.text


def test_a_parent_that_is_quantised_lacks_nothing(tmp_path):
    quantised_one, _, plain_one = family(tmp_path)
    text = parentage.trace(plain_one, base=quantised_one).verdict.text
    assert "all 60,000 codes of child are those that quantising parent" in text
    assert "missing" not in text
    assert "lacks" not in text
    assert "no partner" not in text
