"""Families of encoders and of image models in two layouts each, and all families."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.decoders import (
    gemma3,
    gguf_gpt_oss,
    gguf_shared,
    glm45,
    gpt_oss,
    qwen2_moe,
    qwen3,
    qwen3_gguf,
    wrapped,
)
from common.hybrids import gguf_latent, latent, qwen3_next, qwen35
from common.images import diffusers, stable_diffusion
from common.layouts import (
    HEAD,
    LAYERS,
    H,
    M,
    Q,
    Shapes,
    Tensors,
    V,
    deepseek,
    deepseek_original,
    fused_experts,
    gguf,
    gguf_gpt2,
    gguf_moe,
    gpt2,
    internlm2,
    linears,
    llama,
    meta,
    mixtral,
    moe,
    neox,
    phi3,
    renamed,
    split_gpt2,
)


def bert() -> Shapes:
    shapes: Shapes = {
        "bert.embeddings.word_embeddings.weight": (V, H),
        "bert.embeddings.position_embeddings.weight": (64, H),
        "bert.embeddings.token_type_embeddings.weight": (2, H),
        "bert.embeddings.LayerNorm.weight": (H,),
        "bert.embeddings.LayerNorm.bias": (H,),
    }
    for layer in range(LAYERS):
        at = f"bert.encoder.layer.{layer}"
        for module, rows, columns in (
            ("attention.self.query", H, H),
            ("attention.self.key", H, H),
            ("attention.self.value", H, H),
            ("attention.output.dense", H, H),
            ("intermediate.dense", 4 * H, H),
            ("output.dense", H, 4 * H),
        ):
            shapes |= {f"{at}.{module}.weight": (rows, columns), f"{at}.{module}.bias": (rows,)}
        for module in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}.{module}.weight": (H,), f"{at}.{module}.bias": (H,)}
    return shapes


def gguf_bert(tensors: Tensors) -> Tensors:
    return renamed(
        tensors,
        (r"bert\.embeddings\.word_embeddings", "token_embd"),
        (r"bert\.embeddings\.position_embeddings", "position_embd"),
        (r"bert\.embeddings\.token_type_embeddings", "token_types"),
        (r"bert\.embeddings\.LayerNorm", "token_embd_norm"),
        (r"bert\.encoder\.layer\.(\d+)", r"blk.\1"),
        (r"attention\.self\.query", "attn_q"),
        (r"attention\.self\.key", "attn_k"),
        (r"attention\.self\.value", "attn_v"),
        (r"attention\.output\.dense", "attn_output"),
        (r"attention\.output\.LayerNorm", "attn_output_norm"),
        (r"intermediate\.dense", "ffn_up"),
        (r"output\.LayerNorm", "layer_output_norm"),
        (r"(blk\.\d+\.)output\.dense", r"\1ffn_down"),
    )


def clip() -> Shapes:
    shapes: Shapes = {
        "text_model.embeddings.token_embedding.weight": (V, H),
        "text_model.embeddings.position_embedding.weight": (20, H),
        "text_projection.weight": (24, H),
        "visual_projection.weight": (24, 40),
        "logit_scale": (),
        "vision_model.embeddings.class_embedding": (40,),
        "vision_model.embeddings.patch_embedding.weight": (40, 3, 4, 4),
        "vision_model.embeddings.position_embedding.weight": (17, 40),
        "vision_model.pre_layrnorm.weight": (40,),
        "vision_model.pre_layrnorm.bias": (40,),
        "vision_model.post_layernorm.weight": (40,),
        "vision_model.post_layernorm.bias": (40,),
        "text_model.final_layer_norm.weight": (H,),
        "text_model.final_layer_norm.bias": (H,),
    }
    for tower, width in (("text_model", H), ("vision_model", 40)):
        for layer in range(LAYERS):
            at = f"{tower}.encoder.layers.{layer}"
            for module, rows, columns in (
                ("self_attn.q_proj", width, width),
                ("self_attn.k_proj", width, width),
                ("self_attn.v_proj", width, width),
                ("self_attn.out_proj", width, width),
                ("mlp.fc1", 4 * width, width),
                ("mlp.fc2", width, 4 * width),
            ):
                shapes |= {f"{at}.{module}.weight": (rows, columns), f"{at}.{module}.bias": (rows,)}
            for module in ("layer_norm1", "layer_norm2"):
                shapes |= {f"{at}.{module}.weight": (width,), f"{at}.{module}.bias": (width,)}
    return shapes


def openai_clip(tensors: Tensors) -> Tensors:
    out = dict(tensors)
    for tower in ("text_model", "vision_model"):
        for layer in range(LAYERS):
            at = f"{tower}.encoder.layers.{layer}.self_attn"
            for end in ("weight", "bias"):
                parts = [out.pop(f"{at}.{one}_proj.{end}") for one in "qkv"]
                out[f"{at}.in_proj_{end}"] = np.concatenate(parts)
    out["text_projection"] = out.pop("text_projection.weight").T.copy()
    out["visual.proj"] = out.pop("visual_projection.weight").T.copy()
    return renamed(
        out,
        (r"text_model\.encoder\.layers", "transformer.resblocks"),
        (r"vision_model\.encoder\.layers", "visual.transformer.resblocks"),
        (r"text_model\.embeddings\.token_embedding", "token_embedding"),
        (r"text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
        (r"vision_model\.embeddings\.position_embedding\.weight", "visual.positional_embedding"),
        (r"vision_model\.embeddings\.patch_embedding", "visual.conv1"),
        (r"vision_model\.embeddings\.class_embedding", "visual.class_embedding"),
        (r"vision_model\.pre_layrnorm", "visual.ln_pre"),
        (r"vision_model\.post_layernorm", "visual.ln_post"),
        (r"text_model\.final_layer_norm", "ln_final"),
        ("self_attn", "attn"),
        ("layer_norm", "ln_"),
        (r"mlp\.fc1", "mlp.c_fc"),
        (r"mlp\.fc2", "mlp.c_proj"),
    )


def t5() -> Shapes:
    shapes: Shapes = {"shared.weight": (V, H), "lm_head.weight": (V, H)}
    for tower in ("encoder", "decoder"):
        for layer in range(LAYERS):
            at = f"{tower}.block.{layer}.layer"
            parts = {"0.SelfAttention": "0"}
            if tower == "decoder":
                parts["1.EncDecAttention"] = "1"
            for part, number in parts.items():
                shapes |= {f"{at}.{part}.{one}.weight": (24, H) for one in "qkv"}
                shapes |= {
                    f"{at}.{part}.o.weight": (H, 24),
                    f"{at}.{number}.layer_norm.weight": (H,),
                }
            last = len(parts)
            shapes |= {
                f"{at}.{last}.DenseReluDense.wi_0.weight": (M, H),
                f"{at}.{last}.DenseReluDense.wi_1.weight": (M, H),
                f"{at}.{last}.DenseReluDense.wo.weight": (H, M),
                f"{at}.{last}.layer_norm.weight": (H,),
            }
        shapes[f"{tower}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (16, 3)
        shapes[f"{tower}.final_layer_norm.weight"] = (H,)
    return shapes


def gguf_t5(tensors: Tensors) -> Tensors:
    return renamed(
        tensors,
        ("shared", "token_embd"),
        ("lm_head", "output"),
        ("final_layer_norm", "output_norm"),
        (r"layer\.0\.SelfAttention\.relative_attention_bias", "attn_rel_b"),
        (r"layer\.0\.SelfAttention\.([qkv])\.", r"attn_\1."),
        (r"layer\.0\.SelfAttention\.o\.", "attn_output."),
        (r"layer\.1\.EncDecAttention\.", "cross_attn_"),
        (r"layer\.0\.layer_norm", "attn_norm"),
        (r"(decoder.*)layer\.1\.layer_norm", r"\1cross_attn_norm"),
        (r"layer\.[12]\.layer_norm", "ffn_norm"),
        (r"layer\.[12]\.DenseReluDense\.wi_0", "ffn_gate"),
        (r"layer\.[12]\.DenseReluDense\.wi_1", "ffn_up"),
        (r"layer\.[12]\.DenseReluDense\.wo", "ffn_down"),
        (r"encoder\.block", "enc.blk"),
        (r"decoder\.block", "dec.blk"),
        ("encoder", "enc"),
        ("decoder", "dec"),
    )


def whisper() -> Shapes:
    shapes: Shapes = {
        "model.encoder.conv1.weight": (H, 10, 3),
        "model.encoder.conv1.bias": (H,),
        "model.encoder.embed_positions.weight": (60, H),
        "model.decoder.embed_positions.weight": (44, H),
        "model.decoder.embed_tokens.weight": (V, H),
    }
    for tower in ("encoder", "decoder"):
        shapes |= {f"model.{tower}.layer_norm.{end}": (H,) for end in ("weight", "bias")}
        for layer in range(LAYERS):
            at = f"model.{tower}.layers.{layer}"
            parts = ["self_attn"] + ["encoder_attn"] * (tower == "decoder")
            for part in parts:
                for one in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    shapes[f"{at}.{part}.{one}.weight"] = (H, H)
                    if one != "k_proj":
                        shapes[f"{at}.{part}.{one}.bias"] = (H,)
                shapes |= {f"{at}.{part}_layer_norm.{end}": (H,) for end in ("weight", "bias")}
            shapes |= {
                f"{at}.fc1.weight": (M, H),
                f"{at}.fc1.bias": (M,),
                f"{at}.fc2.weight": (H, M),
                f"{at}.fc2.bias": (H,),
                f"{at}.final_layer_norm.weight": (H,),
                f"{at}.final_layer_norm.bias": (H,),
            }
    return shapes


def openai_whisper(tensors: Tensors) -> Tensors:
    return renamed(
        tensors,
        (r"^model\.", ""),
        (r"layers\.", "blocks."),
        ("self_attn_layer_norm", "attn_ln"),
        ("encoder_attn_layer_norm", "cross_attn_ln"),
        (r"self_attn\.", "attn."),
        (r"encoder_attn\.", "cross_attn."),
        ("q_proj", "query"),
        ("k_proj", "key"),
        ("v_proj", "value"),
        ("out_proj", "out"),
        ("fc1", "mlp.0"),
        ("fc2", "mlp.2"),
        ("final_layer_norm", "mlp_ln"),
        (r"encoder\.layer_norm", "encoder.ln_post"),
        (r"decoder\.layer_norm", "decoder.ln"),
        (r"embed_positions\.weight", "positional_embedding"),
        ("embed_tokens", "token_embedding"),
    )


def weight_norms() -> Shapes:
    shapes: Shapes = {}
    for number in range(3):
        shapes |= {
            f"dec.ups.{number}.weight_g": (24, 1, 1),
            f"dec.ups.{number}.weight_v": (24, 16, 8),
            f"dec.ups.{number}.bias": (24,),
        }
    return shapes


def parametrised(tensors: Tensors) -> Tensors:
    return renamed(
        tensors,
        ("weight_g", "parametrizations.weight.original0"),
        ("weight_v", "parametrizations.weight.original1"),
    )


def flux() -> Shapes:
    shapes: Shapes = {
        "x_embedder.weight": (H, 8),
        "x_embedder.bias": (H,),
        "context_embedder.weight": (H, 40),
        "context_embedder.bias": (H,),
        "proj_out.weight": (8, H),
        "proj_out.bias": (8,),
        "norm_out.linear.weight": (2 * H, H),
        "norm_out.linear.bias": (2 * H,),
    }
    for one, width in (("timestep_embedder", 16), ("text_embedder", 20), ("guidance_embedder", 16)):
        at = f"time_text_embed.{one}"
        shapes |= {
            f"{at}.linear_1.weight": (H, width),
            f"{at}.linear_1.bias": (H,),
            f"{at}.linear_2.weight": (H, H),
            f"{at}.linear_2.bias": (H,),
        }
    for layer in range(LAYERS):
        at = f"transformer_blocks.{layer}"
        modules = {
            **{f"attn.to_{one}": (H, H) for one in "qkv"},
            **{f"attn.add_{one}_proj": (H, H) for one in "qkv"},
            "attn.to_out.0": (H, H),
            "attn.to_add_out": (H, H),
            "ff.net.0.proj": (4 * H, H),
            "ff.net.2": (H, 4 * H),
            "ff_context.net.0.proj": (4 * H, H),
            "ff_context.net.2": (H, 4 * H),
            "norm1.linear": (6 * H, H),
            "norm1_context.linear": (6 * H, H),
        }
        for module, shape in modules.items():
            shapes |= {f"{at}.{module}.weight": shape, f"{at}.{module}.bias": shape[:1]}
        shapes |= {
            f"{at}.attn.norm_{one}.weight": (HEAD,) for one in ("q", "k", "added_q", "added_k")
        }
        at = f"single_transformer_blocks.{layer}"
        modules = {
            **{f"attn.to_{one}": (H, H) for one in "qkv"},
            "proj_mlp": (4 * H, H),
            "proj_out": (H, 5 * H),
            "norm.linear": (3 * H, H),
        }
        for module, shape in modules.items():
            shapes |= {f"{at}.{module}.weight": shape, f"{at}.{module}.bias": shape[:1]}
        shapes |= {f"{at}.attn.norm_{one}.weight": (HEAD,) for one in "qk"}
    return shapes


def flux_original(tensors: Tensors) -> Tensors:
    out = dict(tensors)
    for layer in range(LAYERS):
        double, single = f"transformer_blocks.{layer}", f"single_transformer_blocks.{layer}"
        for end in ("weight", "bias"):
            for names, to in (
                ([f"{double}.attn.to_{one}" for one in "qkv"], f"{double}.img_attn.qkv"),
                ([f"{double}.attn.add_{one}_proj" for one in "qkv"], f"{double}.txt_attn.qkv"),
                (
                    [*(f"{single}.attn.to_{one}" for one in "qkv"), f"{single}.proj_mlp"],
                    f"{single}.linear1",
                ),
            ):
                out[f"{to}.{end}"] = np.concatenate([out.pop(f"{name}.{end}") for name in names])
    for end in ("weight", "bias"):
        scale, shift = np.split(out.pop(f"norm_out.linear.{end}"), 2)
        out[f"final_layer.adaLN_modulation.1.{end}"] = np.concatenate([shift, scale])
    return renamed(
        out,
        (r"^x_embedder", "img_in"),
        (r"^context_embedder", "txt_in"),
        (r"^proj_out", "final_layer.linear"),
        (r"time_text_embed\.timestep_embedder", "time_in"),
        (r"time_text_embed\.text_embedder", "vector_in"),
        (r"time_text_embed\.guidance_embedder", "guidance_in"),
        (r"_in\.linear_1", "_in.in_layer"),
        (r"_in\.linear_2", "_in.out_layer"),
        (r"(single_transformer_blocks\.\d+)\.proj_out", r"\1.linear2"),
        (r"(single_transformer_blocks\.\d+)\.norm\.linear", r"\1.modulation.lin"),
        (r"(single_transformer_blocks\.\d+)\.attn\.norm_q\.weight", r"\1.norm.query_norm.scale"),
        (r"(single_transformer_blocks\.\d+)\.attn\.norm_k\.weight", r"\1.norm.key_norm.scale"),
        (r"attn\.norm_q\.weight", "img_attn.norm.query_norm.scale"),
        (r"attn\.norm_k\.weight", "img_attn.norm.key_norm.scale"),
        (r"attn\.norm_added_q\.weight", "txt_attn.norm.query_norm.scale"),
        (r"attn\.norm_added_k\.weight", "txt_attn.norm.key_norm.scale"),
        (r"attn\.to_out\.0", "img_attn.proj"),
        (r"attn\.to_add_out", "txt_attn.proj"),
        (r"ff\.net\.0\.proj", "img_mlp.0"),
        (r"ff\.net\.2", "img_mlp.2"),
        (r"ff_context\.net\.0\.proj", "txt_mlp.0"),
        (r"ff_context\.net\.2", "txt_mlp.2"),
        (r"norm1\.linear", "img_mod.lin"),
        (r"norm1_context\.linear", "txt_mod.lin"),
        (r"^transformer_blocks", "double_blocks"),
        (r"^single_transformer_blocks", "single_blocks"),
    )


FAMILIES: dict[str, tuple[Shapes, Callable[[Tensors], Tensors]]] = {
    "Meta's Llama": (llama(), meta),
    "GGUF, llama": (llama(), gguf),
    "GGUF, qwen2": (llama(bias=True), lambda x: gguf(x, permuted=False)),
    "Qwen3, GGUF": (qwen3(), qwen3_gguf),
    "Gemma 3, text model": (gemma3(), wrapped),
    "Qwen3.5, text model": (qwen35(), lambda x: wrapped(x, "model.language_model.")),
    "Qwen2-MoE, GGUF": (qwen2_moe(), gguf_shared),
    "GLM-4.5, GGUF": (glm45(), gguf_shared),
    "gpt-oss, GGUF": (gpt_oss(), gguf_gpt_oss),
    "Phi-3": (llama(), phi3),
    "GPT-NeoX": (llama(kv=Q, bias=True), neox),
    "InternLM2": (llama(), internlm2),
    "Mixtral": (moe(), mixtral),
    "Mixtral, GGUF": (moe(), gguf_moe),
    "Qwen3.5-MoE": (moe(), fused_experts),
    "Qwen3-VL-MoE": (moe(), lambda x: fused_experts(x, transposed=True)),
    "gpt-oss": (moe(), lambda x: fused_experts(x, transposed=True, turns=True)),
    "DeepSeek-V3": (deepseek(), deepseek_original),
    "DeepSeek-V3, GGUF": (latent(), gguf_latent),
    "Qwen3-Next": (qwen35(), qwen3_next),
    "Qwen3-Next, experts": (qwen35(experts=True), lambda x: qwen3_next(fused_experts(x))),
    "GPT-2, GGUF": (gpt2(), gguf_gpt2),
    "GPT-2, Linear": (gpt2(), linears),
    "GPT-2, split": (gpt2(), split_gpt2),
    "BERT, GGUF": (bert(), gguf_bert),
    "CLIP": (clip(), openai_clip),
    "T5, GGUF": (t5(), gguf_t5),
    "Whisper": (whisper(), openai_whisper),
    "weight norm": (weight_norms(), parametrised),
    "Flux": (flux(), flux_original),
    "Stable Diffusion": (stable_diffusion(), diffusers),
}
