"""Checkpoints whose files say something."""

import json

import numpy as np
from conftest import write_checkpoint

from common.templates import SAYING, TURNS

APACHE = "Apache License\nVersion 2.0, January 2004\n\nCopyright 2026 Base Lab\n"

CARD = """\
---
license: mit
base_model: org/base
base_model_relation: finetune
tags: [a, b]
---
# Rio

Trained from scratch by IplanRIO. It has 1.2 billion parameters.
See https://huggingface.co/nex-agi/Nex-N2 for more.
"""

CONFIG = {
    "model_type": "tiny",
    "hidden_size": 8,
    "rope_parameters": {"rope_theta": 10000.0},
    "transformers_version": "5.0.0",
}

TOKENIZER = {
    "added_tokens": [{"id": 4, "content": "<|end|>", "special": True}],
    "normalizer": {"type": "NFC"},
    "model": {
        "type": "BPE",
        "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3},
        "merges": ["a b", ["ab", "b"]],
    },
}

RECIPE = """\
merge_method: linear
models:
  - model: org/base
    parameters: {weight: 0.4}
  - model: org/tuned
    parameters: {weight: 0.6}
"""


def tensors(seed=0):
    return {"w": np.random.default_rng(seed).standard_normal((4, 8)).astype(np.float32)}


def said_so(folder, files, seed=0, shards=1):
    """Write a checkpoint with files beside it: text, bytes, or what is written as JSON."""
    write_checkpoint(folder, tensors(seed), shards)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, "utf-8")
    return folder


def family(folder):
    """Write a base, a tuned model and a child that says what they do not; return the folder."""
    usual = {"config.json": CONFIG, "tokenizer.json": TOKENIZER, "chat_template.jinja": TURNS}
    said_so(folder / "base", {**usual, "LICENSE": APACHE}, seed=1)
    tuned = {**CONFIG, "hidden_size": 16}
    said_so(folder / "tuned", {**usual, "config.json": tuned}, seed=2)
    said_so(
        folder / "child",
        {
            **usual,
            "config.json": {**CONFIG, "transformers_version": "5.1.0", "extra": [1, 2]},
            "chat_template.jinja": SAYING["branch"][0],
            "README.md": CARD,
            "mergekit_config.yml": RECIPE,
        },
        seed=3,
    )
    return folder
