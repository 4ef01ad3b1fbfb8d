"""Compares what checkpoints say of themselves: what agrees with whom, differs, or was added."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parentage import _core
from parentage.checkpoint import open_all
from parentage.metadata.claims import Claim, Table
from parentage.metadata.documents import read_json
from parentage.metadata.said import MOST_VALUE, Said, said_by
from parentage.metadata.tokenizers import shared
from parentage.support import ParentageError, open_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from parentage.checkpoint import Given, Inputs

SCHEMA = "parentage.metadata/1"
"""Version of the document; the number goes up when a key changes its meaning or place."""

NOTE = (
    "This is what files say, which anybody can write: it is circumstantial, makes no verdict about "
    "weights, and judges no claim."
)
"""What is said of everything that is here."""

STANDINGS = ("agrees with all", "agrees with some", "differs", "added", "missing")
"""What a value of the child is beside those of the others: the same as all that have it, as some;
as none; in no other; in others only."""

_WORDS_OF_ARCHITECTURE = """
    architectures model_type hidden_size n_embd d_model dim num_hidden_layers n_layer n_layers
    num_layers num_attention_heads n_head n_heads num_key_value_heads head_dim v_head_dim
    qk_nope_head_dim qk_rope_head_dim kv_lora_rank q_lora_rank intermediate_size
    moe_intermediate_size shared_expert_intermediate_size ffn_dim d_ff n_inner num_experts
    num_local_experts n_routed_experts n_shared_experts num_experts_per_tok vocab_size
    max_position_embeddings n_positions rope_theta rope_type rope_scaling rope_parameters
    partial_rotary_factor hidden_act activation_function rms_norm_eps layer_norm_eps
    layer_norm_epsilon tie_word_embeddings attention_bias mlp_bias qkv_bias use_qk_norm
    sliding_window layer_types full_attention_interval linear_num_key_heads
    linear_num_value_heads linear_key_head_dim linear_value_head_dim linear_conv_kernel_dim
    decoder_sparse_step first_k_dense_replace norm_topk_prob routed_scaling_factor patch_size
    image_size num_channels spatial_merge_size type_vocab_size num_nextn_predict_layers
    mrope_section
"""

ARCHITECTURE = frozenset(_WORDS_OF_ARCHITECTURE.split())
"""Keys of a configuration that say how the network is built."""

_WORDS_OF_COSMETIC = """
    transformers_version _name_or_path name_or_path _commit_hash torch_dtype dtype use_cache
    _from_model_config _attn_implementation attn_implementation auto_map output_attentions
    output_hidden_states output_router_logits return_dict initializer_range attention_dropout
    unsloth_version unsloth_fixed is_local local_files_only backend
"""

COSMETIC = frozenset(_WORDS_OF_COSMETIC.split())
"""Keys of a configuration that a tool writes, or that change nothing of what is computed."""

_MOST_EVIDENCE = 256 << 20
_MOST_DIFF = 200


class MetadataError(ParentageError):
    """Evidence that is none, or that is of other checkpoints."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value of the child beside those of the others."""

    aspect: str
    key: str
    kind: str
    """``"architecture"``, ``"cosmetic"`` or nothing, of a key of a configuration."""
    child: Any
    """``None`` if the child has no such value, as ``standing`` says."""
    others: Mapping[str, Any]
    """By name, of those that have it."""
    agrees: tuple[str, ...]
    """The others that have the same."""
    standing: str
    """One of :data:`STANDINGS`."""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {
            "aspect": self.aspect,
            "key": self.key,
            "kind": self.kind or None,
            "standing": self.standing,
            "child": self.child,
            "others": dict(self.others),
            "agrees": list(self.agrees),
        }


@dataclass(frozen=True)
class Comparison:
    """What the files of checkpoints say, side by side: circumstance, never a verdict."""

    inputs: Inputs
    child: Said
    others: tuple[Said, ...]
    evidence: Mapping[str, Any] | None = None
    """A document of evidence that the claims are put beside."""

    @cached_property
    def rows(self) -> list[Row]:
        """Every value that is compared."""
        ours = _facts(self.child)
        theirs = {each.checkpoint: _facts(each) for each in self.others}
        return [
            row
            for aspect in dict.fromkeys([*ours, *(x for each in theirs.values() for x in each)])
            for row in _rows(
                aspect,
                ours.get(aspect, {}),
                {name: each.get(aspect, {}) for name, each in theirs.items()},
            )
        ]

    @cached_property
    def claims(self) -> list[Claim]:
        """What the child's files claim, beside what else is said of it."""
        return Table(self.child, self.others, self.inputs.child, self.evidence).claims()

    @property
    def summary(self) -> dict[str, dict[str, dict[str, int]]]:
        """By aspect and other checkpoint: how many values agree, differ, and are in one alone."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for row in self.rows:
            by_name = found.setdefault(row.aspect, {})
            for each in self.others:
                counts = by_name.setdefault(
                    each.checkpoint,
                    {"agree": 0, "differ": 0, "only_child": 0, "only_other": 0},
                )
                is_there = each.checkpoint in row.others
                if row.standing == "missing":
                    counts["only_other"] += is_there
                elif not is_there:
                    counts["only_child"] += 1
                else:
                    counts["agree" if each.checkpoint in row.agrees else "differ"] += 1
        return found

    @cached_property
    def prompts(self) -> list[dict[str, Any]]:
        """Texts that chat templates say by themselves, by checkpoint, with differences.

        ``only`` says whether the child alone has it; ``differences`` are lines of a unified diff
        against what each other checkpoint says in its place.
        """
        found = []
        all_said = (self.child, *self.others)
        for said in all_said:
            for prompted in said.templates:
                for prompt in prompted.prompts:
                    holders = [
                        each.checkpoint
                        for each in all_said
                        if any(prompt.text == x.text for y in each.templates for x in y.prompts)
                    ]
                    found.append(
                        {
                            "checkpoint": said.checkpoint,
                            "template": prompted.template.origin,
                            "name": prompted.template.name,
                            "text": prompt.text,
                            "when": prompt.when,
                            "arms": list(prompt.arms),
                            "lines": list(prompt.lines),
                            "after_the_user": prompt.after,
                            "held_by": holders,
                            "differences": {
                                each.checkpoint: _difference(prompt.text, each)
                                for each in all_said
                                if each is not said
                            },
                        }
                    )
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return everything as one JSON-ready document; no path or date of this computer is in it.

        The same files give the same document.
        """
        roles = ["child", "base", *["parent"] * len(self.inputs.parents)]
        roles += ["control"] * len(self.inputs.controls)
        all_said = (self.child, *self.others)
        verdict = None if self.evidence is None else self.evidence["verdict"]
        return {
            "schema": SCHEMA,
            "level": "circumstantial",
            "note": NOTE,
            "tool": {"name": "parentage", "version": _core.__version__},
            "inputs": [
                {"name": said.checkpoint, "role": role, "files": said.files,
                 "problems": said.problems, "tools": said.headers.tools}
                for role, said in zip(roles, all_said, strict=True)
            ],
            "weights": None if verdict is None else {key: verdict[key] for key in
                                                      ("kind", "level", "rule", "text")},
            "summary": self.summary,
            "prompts": self.prompts,
            "templates": [_template(said.checkpoint, each)
                          for said in all_said for each in said.templates],
            "names": [
                {"checkpoint": said.checkpoint, "where": where, "name": name.name,
                 "kind": name.kind, "said": name.said}
                for said in all_said for where, name in said.names
            ],
            "claims": [each.as_dict() for each in self.claims],
            "tokenizers": self.tokenizers,
            "rows": [each.as_dict() for each in self.rows],
        }  # fmt: skip

    @cached_property
    def tokenizers(self) -> dict[str, Any]:
        """By other checkpoint: what its tokenizer and the child's share."""
        if self.child.tokenizer is None:
            return {}
        return {
            each.checkpoint: shared(self.child.tokenizer, each.tokenizer)
            for each in self.others
            if each.tokenizer is not None
        }

    def to_json(self) -> str:
        """Return :meth:`as_dict` as JSON text."""
        document = _sound(self.as_dict())
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def __repr__(self) -> str:
        prompts = [each for each in self.prompts if each["checkpoint"] == self.child.checkpoint]
        return (
            f"<Comparison of what {self.child.checkpoint!r} says with {len(self.others)} others: "
            f"{len(self.rows)} values, {len(prompts)} default prompts, circumstantial>"
        )


def compare_metadata(
    child: Given,
    *,
    base: Given,
    parents: Iterable[Given] | Given = (),
    controls: Iterable[Given] | Given = (),
    evidence: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Comparison:
    """Say what a checkpoint's files say of it, beside those of others: never a verdict.

    Configurations, tokenizers, chat templates, licences, cards, headers and recipes are compared;
    no tensor is read. Nothing of what is read is executed: templates are carried out in a process
    of its own, in jinja2's sandbox, with limits of memory, time and output.

    Parameters
    ----------
    child, base, parents, controls
        Checkpoints as for :func:`parentage.trace`.
    evidence
        A folder that :func:`parentage.trace` has written, its ``evidence.json``, or such a
        document: what it says of the weights is put beside each claim.

    Returns
    -------
    Comparison

    Raises
    ------
    ParentageError
        If a checkpoint can not be opened, or the evidence is none or of another child. Files that
        are malformed are no errors: they are told as problems.

    Examples
    --------
    >>> import parentage
    >>> from parentage.demo import family
    >>> said = parentage.compare_metadata(family("child"), base=family("base"))
    >>> said.as_dict()["level"]
    'circumstantial'
    """
    inputs = open_all(child, base, parents, controls).released()
    found = None
    if evidence is not None:
        found = _evidence(evidence)
        _require_same(found, inputs)
        found = _renamed(found, inputs)
    return comparison_of(inputs, found)


def comparison_of(inputs: Inputs, evidence: Mapping[str, Any] | None = None) -> Comparison:
    """Compare what opened checkpoints say; ``evidence`` is a document on the same."""
    child = said_by(inputs.child)
    return Comparison(inputs, child, tuple(map(said_by, inputs.others)), evidence)


def _evidence(given: str | PathLike[str] | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(given, (str, Path)) and not hasattr(given, "__fspath__"):
        document: Any = given
        where = "the evidence"
    else:
        path = Path(given)
        path = path / "evidence.json" if path.is_dir() else path
        where = str(path)
        try:
            with open_file(path) as file:
                raw = file.read(_MOST_EVIDENCE + 1)
        except OSError as error:
            raise MetadataError(f"{where}: read evidence: {error.strerror or error}") from error
        if len(raw) > _MOST_EVIDENCE:
            raise MetadataError(f"{where}: more than {_MOST_EVIDENCE:,} bytes are no evidence")
        read = read_json(raw)
        if read.value is None:
            raise MetadataError(f"{where}: {'; '.join(read.problems) or 'it is empty'}")
        document = read.value
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != "parentage.evidence/2":
        raise MetadataError(f"{where}: its schema is {schema!r}; parentage.evidence/2 is read")
    if not _is_whole(document):
        raise MetadataError(f"{where}: it is no document of evidence: its verdict is not whole")
    return dict(document)


def _is_whole(document: Mapping[str, Any]) -> bool:
    """Return whether a document has what is put beside claims."""
    try:
        verdict, recipe = document["verdict"], document["recipe"]
        parents = [] if recipe is None else recipe["parents"]
        return (
            all(isinstance(verdict[x], str) for x in ("kind", "level", "rule", "text"))
            and isinstance(verdict["numbers"], dict)
            and all(isinstance(x["relation"], str) for x in document["relations"])
            and all(isinstance(x["checkpoint"], str) for x in document["relations"])
            and all(isinstance(x["name"], str) for x in parents)
        )
    except (KeyError, TypeError):
        return False


def _require_same(evidence: Mapping[str, Any], inputs: Inputs) -> None:
    """Raise if evidence is of another child, as far as names and sizes of files tell."""
    try:
        there = evidence["inputs"]
        said = {(x["name"], x["bytes"]) for x in there["child"]["files"]}
        name = there["child"]["name"]
        others = [there["base"], *there["parents"], *there["controls"]]
        is_other = inputs.child.name != name and any(
            each["name"] == inputs.child.name for each in others
        )
    except (KeyError, TypeError):
        raise MetadataError("the evidence does not say which files it is of") from None
    here = {(shard.name, shard.bytes) for shard in inputs.child.own_shards}
    if said != here:
        raise MetadataError(
            f"the evidence is of {name}, whose files are others than those of {inputs.child.name}"
        )
    if is_other:
        raise MetadataError(
            f"the evidence is of {name}, and {inputs.child.name} is one of the others in it"
        )


def _renamed(evidence: Mapping[str, Any], inputs: Inputs) -> Mapping[str, Any]:
    """Return evidence with the names that checkpoints have here, where they had others there.

    One of another name is the same if it had the same role, in its order, and its files have the
    same names and sizes.
    """
    there = evidence["inputs"]
    here = [("base", [inputs.base]), ("parents", inputs.parents), ("controls", inputs.controls)]
    names: dict[str, str] = {}
    for role, checkpoints in here:
        described = there.get(role) or []
        described = [described] if role == "base" else described
        for each, checkpoint in zip(described, checkpoints, strict=False):
            files = {(x["name"], x["bytes"]) for x in each["files"]}
            if files == {(shard.name, shard.bytes) for shard in checkpoint.own_shards}:
                names[each["name"]] = checkpoint.name
    known = set(inputs.columns.names)
    names = {old: new for old, new in names.items() if old != new and old not in known}
    if not names:
        return evidence

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(each) for key, each in value.items()}
        if isinstance(value, list):
            return [renamed(each) for each in value]
        return names.get(value, value) if isinstance(value, str) else value

    parts = {key: renamed(evidence[key]) for key in ("recipe", "relations")}
    verdict = evidence["verdict"]
    return {**evidence, **parts, "verdict": {**verdict, "numbers": renamed(verdict["numbers"])}}


def _facts(said: Said) -> dict[str, dict[str, Any]]:
    """Return what is compared of a checkpoint, by aspect and key."""
    found: dict[str, dict[str, Any]] = dict(said.documents)
    if said.tokenizer is not None:
        found["tokenizer"] = said.tokenizer.facts()
    templates: dict[str, Any] = {}
    for each in said.templates:
        key = each.template.name
        if f"{key} sha256" in templates:
            key = f"{key} in {each.template.origin}"
        templates[f"{key} sha256"] = _digest(each.template.source)
        templates[f"{key} stands in"] = each.template.origin
    if templates:
        found["chat template"] = templates
    if said.card is not None:
        found["card"] = dict(said.card.fields)
    if said.licences:
        found["licences"] = {
            key: value
            for each in said.licences
            for key, value in (
                (f"{each.file} words sha256", each.sha256),
                (f"{each.file} is", each.recognised),
                (f"{each.file} copyright", list(each.copyright)),
            )
        }
    for aspect, facts in (
        ("header metadata", said.headers.metadata),
        ("index metadata", said.headers.index),
        ("writing", said.headers.writing),
    ):
        if facts:
            found[aspect] = dict(facts)
    return found


def _rows(
    aspect: str, ours: Mapping[str, Any], theirs: Mapping[str, Mapping[str, Any]]
) -> Iterable[Row]:
    keys = dict.fromkeys([*ours, *(key for each in theirs.values() for key in each)])
    for key in keys:
        others = {name: each[key] for name, each in theirs.items() if key in each}
        same: tuple[str, ...] = ()
        if key not in ours:
            standing = "missing"
        elif not others:
            standing = "added"
        else:
            own = _canonical(ours[key])
            same = tuple(name for name, value in others.items() if _canonical(value) == own)
            standing = (
                "agrees with all" if len(same) == len(theirs)
                else "agrees with some" if same
                else "differs"
            )  # fmt: skip
        yield Row(
            aspect,
            key,
            _kind(aspect, key),
            _short(ours.get(key)),
            {name: _short(value) for name, value in others.items()},
            same,
            standing,
        )


def _kind(aspect: str, key: str) -> str:
    if aspect not in ("config", "generation config", "tokenizer config"):
        return ""
    parts = [part.partition("[")[0] for part in key.split(".")]
    if parts[-1] in COSMETIC:
        return "cosmetic"
    return "architecture" if aspect == "config" and any(x in ARCHITECTURE for x in parts) else ""


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _short(value: Any) -> Any:
    """Return a value that is short enough to be told; of a longer one, its beginning and digest."""
    said = _canonical(value)
    if len(said) <= MOST_VALUE:
        return value
    return f"{said[:200]}... ({len(said):,} characters, sha256 {_digest(said)})"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _difference(text: str, other: Said) -> list[str]:
    """Return a unified diff from what another checkpoint's templates say to a text."""
    theirs = [prompt.text for each in other.templates for prompt in each.prompts]
    if text in theirs:
        return []
    # Whose letters are most alike: what is asked of strangers' texts takes no longer than they are.
    nearest = max(
        theirs,
        key=lambda x: difflib.SequenceMatcher(None, x[:1000], text[:1000]).quick_ratio(),
        default="",
    )
    one, two = (each.splitlines()[:_MOST_DIFF] for each in (nearest, text))
    lines = difflib.unified_diff(one, two, lineterm="", n=1)
    return [line for line in lines if not line.startswith(("---", "+++"))][:_MOST_DIFF]


def _template(checkpoint: str, prompted: Any) -> dict[str, Any]:
    template = prompted.template
    return {
        "checkpoint": checkpoint,
        "name": template.name,
        "origin": template.origin,
        "sha256": _digest(template.source),
        "characters": len(template.source),
        "prompts": len(prompted.prompts),
        "texts_not_reached": [dict(each) for each in prompted.hidden],
        "conversations_refused": prompted.refused,
        "problem": prompted.problem,
    }


def _sound(value: Any) -> Any:
    """Return a document whose texts are all text: what JSON may hold as half a character is not."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {_sound(key): _sound(each) for key, each in value.items()}
    return [_sound(each) for each in value] if isinstance(value, (list, tuple)) else value
