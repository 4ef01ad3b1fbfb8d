"""Names that mean the same: one table of how tools call the parts of a model.

The names of transformers' Llama stand for all others, as ``layers.3.mlp.up_proj.weight``. Names say
what may belong together; shapes and values decide whether it does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from parentage.checkpoint.image_names import image_name

if TYPE_CHECKING:
    from collections.abc import Iterable


class Synonyms(NamedTuple):
    """How one part of a model is called."""

    name: str
    """What stands for all."""
    others: str
    """The others, with spaces between."""
    source: str
    """Which tools call it so."""
    beside: str = ""
    """What some name of the same checkpoint has to hold, for these to be meant."""
    within: str = ""
    """What has to stand before the layer's number."""


LAYERS = ("layers", "layer", "blk", "h", "block", "blocks", "resblocks")
"""What stands before the number of a layer."""

_META = "llama, model.py"
_GGUF = "gguf, tensor_mapping.py and constants.py"
_GPT2 = "transformers, modeling_gpt2.py"
_BERT = "transformers, modeling_bert.py, modeling_distilbert.py and modeling_vit.py"
_NEOX = "transformers, modeling_gpt_neox.py, modeling_bloom.py and modeling_falcon.py"
_CLIP = "CLIP, model.py; transformers, modeling_clip.py"
_T5 = "transformers, modeling_t5.py"
_WHISPER = "whisper, model.py; transformers, modeling_whisper.py"
_DEEPSEEK = "DeepSeek-V3, inference/model.py"
_MIXTRAL = "transformers, modeling_mixtral.py of version 4"

INSIDE = (
    # Attention.
    Synonyms("self_attn.q_proj", "attention.wq attn.wq attn_q", f"{_META}; {_DEEPSEEK}; {_GGUF}"),
    Synonyms("self_attn.k_proj", "attention.wk attn.wk attn_k", _META),
    Synonyms("self_attn.v_proj", "attention.wv attn.wv attn_v", _META),
    Synonyms("self_attn.o_proj", "attention.wo attn.wo attn_output", _META),
    Synonyms(
        "self_attn.q_proj",
        "attention.self.query attention.attention.query attention.q_lin attn.query",
        f"{_BERT}; {_WHISPER}",
    ),
    Synonyms(
        "self_attn.k_proj",
        "attention.self.key attention.attention.key attention.k_lin attn.key",
        _BERT,
    ),
    Synonyms(
        "self_attn.v_proj",
        "attention.self.value attention.attention.value attention.v_lin attn.value",
        _BERT,
    ),
    Synonyms(
        "self_attn.o_proj",
        "attention.output.dense attention.out_lin attn.out attn.Wo self_attn.out_proj",
        f"{_BERT}; {_WHISPER}; {_CLIP}",
    ),
    Synonyms(
        "self_attn.o_proj",
        "attn.c_proj attn.out_proj attention.dense self_attention.dense attn.proj self_attn.dense",
        f"{_GPT2}; {_NEOX}; {_CLIP}",
    ),
    Synonyms(
        "self_attn.qkv_proj",
        "attn.c_attn attention.query_key_value self_attention.query_key_value attention.wqkv "
        "attn.Wqkv attn.qkv attn.in_proj self_attn.in_proj self_attn.qkv attn.qkv_proj",
        f"{_GPT2}; {_NEOX}; internlm2, modeling_internlm2.py; {_CLIP}",
    ),
    Synonyms("linear_attn.in_proj_qkv", "attn_qkv", _GGUF, beside="ssm_a"),
    Synonyms("linear_attn.in_proj_z", "attn_gate", _GGUF, beside="ssm_a"),
    Synonyms("self_attn.qkv_proj", "attn_qkv", _GGUF),
    Synonyms("self_attn.q_norm", "attn_q_norm", _GGUF),
    Synonyms("self_attn.k_norm", "attn_k_norm", _GGUF),
    Synonyms("self_attn.sinks", "attn_sinks", _GGUF),
    Synonyms("self_attn.q_a_proj", "attn.wq_a attn_q_a", f"{_DEEPSEEK}; {_GGUF}"),
    Synonyms("self_attn.q_b_proj", "attn.wq_b attn_q_b", _DEEPSEEK),
    Synonyms("self_attn.kv_a_proj_with_mqa", "attn.wkv_a attn_kv_a_mqa", _DEEPSEEK),
    Synonyms("self_attn.kv_b_proj", "attn.wkv_b attn_kv_b", _DEEPSEEK),
    Synonyms("self_attn.k_b_proj", "attn_k_b", _GGUF),
    Synonyms("self_attn.v_b_proj", "attn_v_b", _GGUF),
    Synonyms("self_attn.q_a_layernorm", "attn.q_norm attn_q_a_norm", _DEEPSEEK, beside="wkv_a"),
    Synonyms("self_attn.kv_a_layernorm", "attn.kv_norm attn_kv_a_norm", _DEEPSEEK),
    Synonyms("self_attn.q_a_layernorm", "attn_q_a_norm", _GGUF),
    # The recurrent layers of hybrids.
    Synonyms("linear_attn.conv1d", "ssm_conv1d", _GGUF),
    Synonyms("linear_attn.A_log", "ssm_a", _GGUF),
    Synonyms("linear_attn.dt_bias", "ssm_dt.bias ssm_dt_bias", _GGUF),
    Synonyms("linear_attn.norm", "ssm_norm", _GGUF),
    Synonyms("linear_attn.out_proj", "ssm_out", _GGUF),
    Synonyms("linear_attn.in_proj_a", "ssm_alpha", _GGUF),
    Synonyms("linear_attn.in_proj_b", "ssm_beta", _GGUF),
    Synonyms("linear_attn.in_proj_ba", "ssm_ba", _GGUF),
    Synonyms("linear_attn.in_proj_qkvz", "ssm_in", _GGUF, beside="ssm_ba"),
    # Mamba, whose parts have the names of linear attention.
    *(
        Synonyms(f"linear_attn.{name}", others, f"transformers, modeling_mamba.py and "
                 f"modeling_mamba2.py; {_GGUF}")
        for name, others in (
            ("in_proj", "mixer.in_proj ssm_in"),
            ("conv1d", "mixer.conv1d"),
            ("x_proj", "mixer.x_proj ssm_x"),
            ("dt_proj", "mixer.dt_proj ssm_dt"),
            ("dt_bias", "mixer.dt_bias mixer.dt_proj.bias"),
            ("A_log", "mixer.A_log"),
            ("D", "mixer.D ssm_d"),
            ("norm", "mixer.norm"),
            ("out_proj", "mixer.out_proj"),
        )
    ),
    Synonyms("input_layernorm", "norm", "transformers, modeling_mamba.py", within="backbone."),
    # Cross attention.
    *(
        Synonyms(
            f"encoder_attn.{one}_proj",
            f"cross_attn.{word} layer.1.EncDecAttention.{one} cross_attn_{gguf}",
            f"{_WHISPER}; {_T5}; {_GGUF}",
        )
        for one, word, gguf in (("q", "query", "q"), ("k", "key", "k"), ("v", "value", "v"))
    ),
    Synonyms(
        "encoder_attn.o_proj",
        "cross_attn.out encoder_attn.out_proj layer.1.EncDecAttention.o cross_attn_o",
        f"{_WHISPER}; {_T5}",
    ),
    Synonyms("encoder_attn_layernorm", "cross_attn_ln encoder_attn_layer_norm cross_attn_norm",
             f"{_WHISPER}; {_GGUF}"),
    *(
        Synonyms(f"self_attn.{one}_proj", f"layer.0.SelfAttention.{one}", _T5) for one in "qkvo"
    ),
    Synonyms("self_attn.relative_attention_bias", "layer.0.SelfAttention.relative_attention_bias "
             "attn_rel_b", f"{_T5}; {_GGUF}"),
    # Norms.
    Synonyms(
        "input_layernorm",
        "attention_norm attn_norm ln_1 layer_norm1 attn_ln self_attn_layer_norm "
        "layer.0.layer_norm layernorm_before norm1",
        f"{_META}; {_DEEPSEEK}; {_GGUF}; {_GPT2}; {_CLIP}; {_WHISPER}; {_T5}",
    ),
    Synonyms("pre_feedforward_layernorm", "ffn_norm", f"{_GGUF}, of Gemma",
             beside="post_attention_norm"),
    Synonyms("encoder_attn_layernorm", "layer.1.layer_norm", _T5, within="decoder."),
    Synonyms(
        "post_attention_layernorm",
        "ffn_norm ln_2 layer_norm2 mlp_ln final_layer_norm layer.1.layer_norm layer.2.layer_norm "
        "layernorm_after post_attention_norm mlp_norm norm2",
        f"{_META}; {_GGUF}; {_GPT2}; {_CLIP}; {_WHISPER}; {_T5}",
    ),
    Synonyms("post_feedforward_layernorm", "post_ffw_norm", _GGUF),
    Synonyms("attention.output.LayerNorm", "sa_layer_norm attn_output_norm", f"{_BERT}; {_GGUF}"),
    Synonyms("output.LayerNorm", "output_layer_norm layer_output_norm", f"{_BERT}; {_GGUF}"),
    # Feed-forward.
    Synonyms(
        "mlp.gate_proj",
        "feed_forward.w1 ffn.w1 mlp.w1 ffn_gate layer.1.DenseReluDense.wi_0 "
        "layer.2.DenseReluDense.wi_0",
        f"{_META}; {_DEEPSEEK}; {_GGUF}; {_T5}",
    ),
    Synonyms(
        "mlp.up_proj",
        "feed_forward.w3 ffn.w3 mlp.w3 ffn_up layer.1.DenseReluDense.wi_1 "
        "layer.2.DenseReluDense.wi_1 layer.1.DenseReluDense.wi layer.2.DenseReluDense.wi",
        f"{_META}; {_DEEPSEEK}; {_GGUF}; {_T5}",
    ),
    Synonyms(
        "mlp.down_proj",
        "feed_forward.w2 ffn.w2 mlp.w2 ffn_down layer.1.DenseReluDense.wo "
        "layer.2.DenseReluDense.wo",
        f"{_META}; {_DEEPSEEK}; {_GGUF}; {_T5}",
    ),
    Synonyms(
        "mlp.up_proj",
        "mlp.c_fc mlp.fc1 fc1 mlp.0 intermediate.dense ffn.lin1 mlp.dense_h_to_4h mlp.linear_fc1 "
        "mlp.fc_in",
        f"{_GPT2}; {_CLIP}; {_WHISPER}; {_BERT}; {_NEOX}",
    ),
    Synonyms(
        "mlp.down_proj",
        "mlp.c_proj mlp.fc2 fc2 mlp.2 output.dense ffn.lin2 mlp.dense_4h_to_h mlp.linear_fc2 "
        "mlp.fc_out",
        f"{_GPT2}; {_CLIP}; {_WHISPER}; {_BERT}; {_NEOX}",
    ),
    Synonyms("mlp.gate_up_proj", "mlp.Wi", "transformers, modeling_modernbert.py"),
    Synonyms("mlp.down_proj", "mlp.Wo", "transformers, modeling_modernbert.py"),
    # Experts; # is a number.
    *(
        Synonyms(
            f"mlp.experts.#.{name}_proj",
            f"block_sparse_moe.experts.#.{w} feed_forward.experts.#.{w} ffn.experts.#.{w} "
            f"mlp.experts.#.{w}",
            f"{_MIXTRAL}; {_DEEPSEEK}",
        )
        for name, w in (("gate", "w1"), ("up", "w3"), ("down", "w2"))
    ),
    *(
        Synonyms(
            f"mlp.experts.{name}_proj",
            f"ffn_{name}_exps mlp.switch_mlp.{name}_proj block_sparse_moe.switch_mlp.{name}_proj",
            f"{_GGUF}; mlx-lm, switch_layers.py",
        )
        for name in ("gate", "up", "down")
    ),
    Synonyms("mlp.experts.gate_up_proj", "ffn_gate_up_exps feed_forward.experts.gate_up_proj",
             f"{_GGUF}; transformers, modeling_llama4.py"),
    Synonyms("mlp.experts.down_proj", "feed_forward.experts.down_proj",
             "transformers, modeling_llama4.py"),
    Synonyms(
        "mlp.gate",
        "block_sparse_moe.gate feed_forward.gate feed_forward.router ffn.gate mlp.router "
        "ffn_gate_inp moe.gate",
        f"{_MIXTRAL}; {_DEEPSEEK}; {_GGUF}; transformers, modeling_gpt_oss.py",
    ),
    Synonyms("mlp.gate.e_score_correction_bias", "exp_probs_b.bias ffn.gate.bias",
             f"{_GGUF}; {_DEEPSEEK}"),
    *(
        Synonyms(
            f"mlp.shared_expert.{name}_proj",
            f"mlp.shared_experts.{name}_proj ffn.shared_experts.{w} ffn_{name}_shexp "
            f"feed_forward.shared_expert.{name}_proj",
            f"{_DEEPSEEK}; {_GGUF}",
        )
        for name, w in (("gate", "w1"), ("up", "w3"), ("down", "w2"))
    ),
    Synonyms("mlp.shared_expert_gate", "ffn_gate_inp_shexp", _GGUF),
)  # fmt: skip
"""What stands after the number of a layer, without ``.weight`` or ``.bias``."""

OUTSIDE = (
    Synonyms(
        "embed_tokens",
        "tok_embeddings token_embd wte embeddings.word_embeddings word_embeddings embed_in shared "
        "token_embedding embeddings.token_embedding embed embeddings.tok_embeddings "
        "backbone.embeddings",
        f"{_META}; {_GGUF}; {_GPT2}; {_BERT}; {_NEOX}; {_T5}; {_CLIP}; {_WHISPER}; {_DEEPSEEK}",
    ),
    Synonyms(
        "embed_positions",
        "wpe position_embd embeddings.position_embeddings embeddings.position_embedding "
        "positional_embedding",
        f"{_GPT2}; {_GGUF}; {_BERT}; {_CLIP}; {_WHISPER}",
    ),
    Synonyms("embeddings.token_type_embeddings", "token_types", _GGUF),
    Synonyms("embeddings.LayerNorm", "token_embd_norm embeddings.norm", _GGUF),
    Synonyms(
        "norm",
        "output_norm norm_f ln_f final_layer_norm final_layernorm ln_final ln_post layer_norm "
        "final_norm post_layernorm",
        f"{_GGUF}; {_GPT2}; {_T5}; {_CLIP}; {_WHISPER}; {_NEOX}",
    ),
    Synonyms("decoder.norm", "decoder.ln", _WHISPER),
    Synonyms("lm_head", "output head embed_out", f"{_META}; {_GGUF}; {_DEEPSEEK}; {_NEOX}"),
    Synonyms("pre_layrnorm", "ln_pre", _CLIP),
    Synonyms("embeddings.class_embedding", "class_embedding embeddings.class_embedding", _CLIP),
    Synonyms("text_projection", "text_projection", _CLIP),
    Synonyms("visual.embeddings.patch_embedding", "visual.conv1", _CLIP),
    Synonyms("visual_projection", "visual.proj visual_projection", _CLIP),
)
"""How names outside of all layers end, without ``.weight`` or ``.bias``."""

ENDINGS = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
    "gamma": "weight",
    "beta": "bias",
}
"""Spellings of endings: torch.nn.utils.parametrizations.weight_norm against weight_norm; and those
of TensorFlow's norms."""

TOWERS = {"enc": "encoder", "dec": "decoder"}
"""Spellings of what a name begins with: gguf, constants.py."""

_LAYER = re.compile(rf"(?:^|(?<=\.))(?:{'|'.join(LAYERS)})\.(?=[0-9]+\.)")
_EXPERT = re.compile(r"(?<=experts\.)[0-9]+(?=\.)")
_NUMBER = re.compile(r"(?<=\.)[0-9]+(?=\.)")
_ENDING = re.compile(rf"\.({'|'.join(map(re.escape, ENDINGS))}|weight_[gv]|weight|bias)$")
_BARE = re.compile(r"\.?(in_proj|(?:gate_up|down|gate|up)_proj)_(weight|bias)$")


def _table(rows: Iterable[Synonyms]) -> dict[str, list[Synonyms]]:
    found: dict[str, list[Synonyms]] = {}
    for row in rows:
        for other in row.others.split():
            found.setdefault(other, []).append(row)
    return found


_INSIDE, _OUTSIDE = _table(INSIDE), _table(OUTSIDE)
_LONGEST = max(name.count(".") + 1 for name in _OUTSIDE)
_BESIDE = tuple({row.beside for row in (*INSIDE, *OUTSIDE) if row.beside})


def context_of(names: Iterable[str]) -> frozenset[str]:
    """Return what names of a checkpoint hold that decides what others of it mean.

    >>> context_of(["blk.0.ffn_norm.weight", "blk.0.post_attention_norm.weight"])
    frozenset({'post_attention_norm'})
    """
    text = "\n".join({_NUMBER.sub("0", name) for name in names})
    return frozenset(each for each in _BESIDE if each in text)


def common_name(name: str, context: frozenset[str] = frozenset()) -> str:
    """Return the name that stands for all that mean the same.

    What stands before the layers stays, and what the table does not know. ``context`` is what
    :func:`context_of` says of the checkpoint.

    >>> common_name("blk.3.ffn_up.weight"), common_name("bert.encoder.layer.1.output.dense.bias")
    ('layers.3.mlp.up_proj.weight', 'bert.encoder.layers.1.mlp.down_proj.bias')
    >>> common_name("model.layers.0.block_sparse_moe.experts.5.w1.weight")
    'model.layers.0.mlp.experts.5.gate_proj.weight'
    >>> common_name("tok_embeddings.weight"), common_name("transformer.ln_f.bias")
    ('embed_tokens.weight', 'transformer.norm.bias')
    """
    begin, inside, end = name.partition(".experts.")
    expert, dot, rest = end.partition(".")
    if inside and dot and expert.isdigit():
        # There may be a hundred thousand of them, which differ in this number alone.
        found = _common_name(f"{begin}{inside}0.{rest}", context)
        return found.replace(".experts.0.", f".experts.{expert}.", 1)
    return _common_name(name, context)


@lru_cache(maxsize=1 << 15)
def _common_name(name: str, context: frozenset[str]) -> str:
    """Return what :func:`common_name` does, of a name that is kept."""
    name = image_name(name)
    numbers: list[str] = []

    def mask(found: re.Match[str]) -> str:
        numbers.append(found[0])
        return "#"

    layer = _LAYER.search(name)
    if layer is None:
        return _common(name, None, context)
    begin, rest = name[: layer.start()], name[layer.end() :]
    number, _, inner = rest.partition(".")
    inner = _EXPERT.sub(mask, inner)
    out = _common(begin, inner, context)
    head, _, tail = out.partition("\0")
    out = f"{head}{number}{tail}"
    for each in numbers:
        out = out.replace("#", each, 1)
    return out


@lru_cache(maxsize=16384)
def _common(begin: str, inner: str | None, context: frozenset[str]) -> str:
    """Return the common name; ``\\0`` stands for the layer's number."""
    whole = begin if inner is None else inner
    whole = _BARE.sub(r".\1.\2", whole).removeprefix(".")
    ending = _ENDING.search(whole)
    module = whole[: ending.start()] if ending else whole
    end = "" if ending is None else "." + ENDINGS.get(ending[1], ending[1])
    if inner is None:
        return _outside(module, end)
    tower, dot, rest = begin.partition(".")
    begin = TOWERS.get(tower, tower) + dot + rest
    # What ends a name may be a part of the module: "ssm_dt.bias" is no bias of a module.
    row = _row(whole, begin, context)
    if row is not None:
        module, end = row.name, ""
    else:
        row = _row(module, begin, context)
        module = module if row is None else row.name
    if end == "" and re.search(r"\.experts\.\w+_proj$", module):
        end = ".weight"
    elif module.rpartition(".")[2] in _BARE_PARAMETERS:
        end = ""
    return f"{begin}layers.\0.{module}{end}"


def _row(inner: str, begin: str, context: frozenset[str]) -> Synonyms | None:
    """Return what the table says of a part of a layer, if it knows it."""
    for row in _INSIDE.get(inner, ()):
        if (not row.beside or row.beside in context) and row.within in begin:
            return row
    return None


_BARE_PARAMETERS = ("sinks", "A_log", "dt_bias")
"""Tensors that are called like modules, and stored as ``NAME.weight`` in GGUF."""


def _outside(module: str, end: str) -> str:
    """Return the common name of what is in no layer."""
    parts = module.split(".")
    parts[0] = TOWERS.get(parts[0], parts[0]) if len(parts) > 1 else parts[0]
    for count in range(min(_LONGEST, len(parts)), 0, -1):
        rows = _OUTSIDE.get(".".join(parts[-count:]))
        if rows:
            parts[-count:] = [rows[0].name]
            end = end or ".weight"
            break
    return ".".join(parts) + end
