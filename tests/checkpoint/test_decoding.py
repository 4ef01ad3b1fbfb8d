"""Names and shapes say how codes are decoded, or nothing is decoded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from conftest import BF16, opened
from parentage.checkpoint import as_stored, block_of, cells_of, decoded, is_whole_coding
from parentage.checkpoint.decoding import numbers_of
from parentage.stream import Options, read_elements

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from parentage.checkpoint import Checkpoint

    Array = NDArray[np.generic]

E4M3 = ml_dtypes.float8_e4m3fn
RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("shape", "scales", "block"),
    [
        ((120, 280), (1, 3), (128, 128)),
        ((256, 256), (2, 2), (128, 128)),
        ((7, 5), (), (7, 5)),
        ((7, 5), (1,), (7, 5)),
        ((7, 5), (1, 1), (7, 5)),
        ((7, 5), (7,), (1, 5)),
        ((7, 5), (7, 1), (1, 5)),
        ((7, 5), (5,), (7, 1)),
        ((256, 256), (4, 4), (64, 64)),
        ((64, 256), (64, 2), (1, 128)),
        ((7, 5), (2, 3), None),
        ((7,), (1,), (1, 7)),
        ((2, 7, 5), (2, 1, 1), None),
        ((2, 7, 5), (2, 7, 1), (1, 5)),
        ((2, 256, 256), (2, 2, 2), (128, 128)),
        ((2, 200, 256), (2, 2, 2), None),
        ((), (), None),
        ((0, 5), (1,), None),
    ],
)
def test_blocks_follow_from_shapes(
    shape: tuple[int, ...], scales: tuple[int, ...], block: tuple[int, int] | None
) -> None:
    assert block_of(shape, scales) == block


def values(checkpoint: Checkpoint, name: str) -> NDArray[np.float64]:
    """Return all elements of a tensor."""
    tensor = checkpoint.tensors[name]
    found = read_elements([checkpoint.core], [[tensor.index]], 0, tensor.elements, Options(1))
    return found[:, 0].reshape(tensor.shape)


def codes(shape: tuple[int, ...], kind: type = np.uint8) -> Array:
    """Return codes, none of them NaN."""
    found = RNG.integers(0, 127, shape).astype(np.uint8)
    return found.view(kind)


def floats(*shape: int, kind: type = np.float32) -> Array:
    """Return scales."""
    return RNG.uniform(0.01, 0.1, shape).astype(kind)


STATE = json.dumps(
    {"shape": [4, 64], "blocksize": 64, "dtype": "bfloat16", "quant_type": "nf4"}
).encode()
SCHEMES: dict[str, tuple[dict[str, Array], str]] = {
    "deepseek": ({"a.weight": codes((256, 128), E4M3), "a.weight_scale_inv": floats(2, 1)},
                 "F8_E4M3 with a scale for each 128 rows"),
    "row": ({"a.weight": codes((8, 64), E4M3), "a.weight_scale": floats(8, 1, kind=BF16)},
            "F8_E4M3 with a scale for each row"),
    "comfy": ({"a.weight": codes((8, 64), E4M3), "a.scale_weight": floats()},
              "F8_E4M3 with a scale for each 8 rows"),
    "int8": ({"a.weight": codes((8, 64), np.int8), "a.weight_scale": floats(8, 1)},
             "I8 with a scale for each row"),
    "llm_int8": ({"a.weight": codes((8, 64), np.int8), "a.SCB": floats(8)},
                 "I8 with a scale for each row"),
    "onnx": ({"a.weight_quantized": codes((8, 64)), "a.weight_scale": floats(),
              "a.weight_zero_point": codes(())}, "U8 with a scale for each 8 rows"),
    "onnx_columns": ({"a.weight_q": codes((8, 64), np.int8), "a.weight_scale": floats(1, 64)},
                     "I8 with a scale for each 8 x 1"),
    "mxfp4": ({"a.weight_blocks": codes((4, 2, 16)), "a.weight_scales": codes((4, 2)) | 96},
              "MXFP4"),
    "nvfp4": ({"a.weight": codes((4, 32)), "a.weight_scale": codes((4, 4), E4M3),
               "a.weight_scale_2": floats()}, "NVFP4"),
    "nvfp4_packed": ({"a.weight_packed": codes((4, 32)), "a.weight_scale": codes((4, 4), E4M3),
                      "a.weight_global_scale": floats(1)}, "NVFP4"),
    "packed": ({"a.weight_packed": codes((4, 32)).view(np.int32), "a.weight_scale":
                floats(4, 2, kind=BF16), "a.weight_shape": np.array([4, 64])},
               "packed 4-bit integers, 32 to a scale"),
    "gptq": ({"a.qweight": codes((8, 32)).view(np.int32), "a.qzeros": codes((2, 4)).view(np.int32),
              "a.scales": floats(2, 8, kind=np.float16), "a.g_idx": np.arange(64) // 32},
             "packed 4-bit integers, 32 to a scale"),
    "awq": ({"a.qweight": codes((64, 4)).view(np.int32), "a.qzeros": codes((2, 4)).view(np.int32),
             "a.scales": floats(2, 8, kind=np.float16)}, "packed 4-bit integers, 32 to a scale"),
    "nf4": ({"a.weight": codes((128, 1)), "a.weight.absmax": floats(4),
             "a.weight.quant_map": np.linspace(-1, 1, 16, dtype=np.float32),
             "a.weight.quant_state.bitsandbytes__nf4": np.frombuffer(STATE, np.uint8)},
            "4 bits by a map"),
}  # fmt: skip
SCHEMES["gptq"][0]["a.g_idx"] = SCHEMES["gptq"][0]["a.g_idx"].astype(np.int32)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_are_known_by_names_and_shapes(tmp_path: Path, scheme: str) -> None:
    tensors, words = SCHEMES[scheme]
    rest = {"norm.weight": np.ones(5, BF16), "a.bias_scale": floats(3)}
    found = decoded(opened(tmp_path, "child", tensors | rest))
    assert set(found.tensors) == {"a.weight", *rest}
    tensor = found.tensors["a.weight"]
    encoding = found.encoding_of(tensor)
    assert encoding is not None
    assert encoding.scheme == words
    assert is_whole_coding(found, tensor)
    numbers = values(found, "a.weight")
    assert np.isfinite(numbers).all()
    assert np.unique(numbers).size > 5
    cells, places = cells_of(found, [tensor])
    names = [cells.tensors.at(place).name for place in places[tensor.index]]
    value, low, high = (values(cells, name) for name in names)
    assert np.allclose(value, numbers, rtol=2.0**-8)
    assert {each.dtype for each in cells.tensors.values()} == {"F32"}
    assert ((low <= numbers) & (numbers <= high)).all()
    stored, _ = as_stored(found, [tensor])
    assert sum(each.elements for each in stored.tensors.values()) <= sum(
        each.nbytes for each in tensors.values()
    )


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("spoilt", ["gone", "short", "other dtype"])
def test_parts_that_do_not_fit_are_left_as_they_are_stored(
    tmp_path: Path, scheme: str, spoilt: str
) -> None:
    tensors = dict(SCHEMES[scheme][0])
    for number, name in enumerate(list(tensors)[1:]):
        if "g_idx" in name or "zero_point" in name or "weight_shape" in name:
            continue
        kept = dict(tensors)
        if spoilt == "gone":
            del kept[name]
        elif spoilt == "short":
            kept[name] = np.repeat(kept[name].ravel(), 3)[: 3 * kept[name].size - 1]
        else:
            kept[name] = kept[name].astype(bool)
        opened_one = opened(tmp_path, f"child{number}", kept)
        found = decoded(opened_one)
        assert set(found.tensors) == set(kept)


@pytest.mark.parametrize(
    "said",
    [
        {"blocksize": -64}, {"blocksize": 10**30}, {"blocksize": 0}, {"blocksize": "Infinity"},
        {"nested_blocksize": -1}, {"nested_blocksize": 10**20}, {"shape": [-4, -64]},
        {"shape": [2**70, 0]}, {"nested_offset": 1e300}, {"nested_offset": -1e300},
        {"nested_offset": "NaN"}, {"nested_offset": "Infinity"}, {"shape": "Infinity"},
    ],
)  # fmt: skip
def test_states_that_say_no_sizes_or_numbers_are_left(tmp_path: Path, said: dict[str, object]):
    nested = {"nested_blocksize": 256, "nested_offset": 0.25}
    beside = {
        "a.weight.absmax": codes((4,)), "a.weight.nested_absmax": floats(1),
        "a.weight.nested_quant_map": floats(256),
    }  # fmt: skip
    name = "a.weight.quant_state.bitsandbytes__nf4"
    state = json.loads(STATE) | nested
    for change, is_decoded in (({}, True), (said, False)):
        # json says Infinity and NaN as numbers, which parsers of it take.
        text = json.dumps(state | change).replace('"Infinity"', "Infinity").replace('"NaN"', "NaN")
        raw = {name: np.frombuffer(text.encode(), np.uint8)}
        tensors = SCHEMES["nf4"][0] | beside | raw
        found = decoded(opened(tmp_path, f"child{is_decoded}", tensors))
        assert ("a.weight.absmax" not in found.tensors) is is_decoded


@pytest.mark.parametrize(
    "said",
    [
        np.array([4, -3]),
        np.array([-4, -3]),
        np.array([4.0, np.nan], np.float32),
        np.array([np.inf, 64.0], np.float32),
        np.array([4, 2**62]),
    ],
)
@pytest.mark.parametrize("columns", [0, 8])
def test_shapes_that_are_none_are_left(tmp_path: Path, said: Array, columns: int) -> None:
    words = {"a.weight_packed": np.zeros((4, columns), np.int32), "a.weight_shape": said}
    tensors = SCHEMES["packed"][0] | words
    assert set(decoded(opened(tmp_path, "child", tensors)).tensors) == set(tensors)


def test_what_stands_both_encoded_and_plain_is_left(tmp_path: Path) -> None:
    tensors = dict(SCHEMES["mxfp4"][0]) | {"a.weight": np.ones((4, 64), BF16)}
    assert set(decoded(opened(tmp_path, "child", tensors)).tensors) == set(tensors)


def test_numbers_of_tensors_of_few_follow_one_another(tmp_path: Path) -> None:
    tensors = {"a": np.arange(3, dtype=np.int32), "b": np.array(0.5, BF16), "c": np.zeros(0, BF16)}
    found = opened(tmp_path, "one", tensors)
    chosen = [found.tensors[name] for name in "bca"]
    assert numbers_of(found, chosen).tolist() == [0.5, 0.0, 1.0, 2.0]
    assert numbers_of(found, []).size == 0


def test_a_checkpoint_of_numbers_is_itself(tmp_path: Path) -> None:
    plain = opened(tmp_path, "child", {"a.weight": np.ones((4, 64), BF16)})
    assert decoded(plain) is plain
