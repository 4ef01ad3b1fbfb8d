"""The checkpoints of a corpus, by family, and every true and false combination of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

BF16 = ml_dtypes.bfloat16


@dataclass(frozen=True)
class Case:
    """A child, the checkpoints it is traced with, and the verdicts that are right."""

    group: str
    child: Path
    base: Path
    parents: tuple[Path, ...]
    right: frozenset[str]


def load(folder: Path) -> dict[str, np.ndarray]:
    """Return all tensors of a checkpoint."""
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118
                out[name] = file.get_tensor(name)
    return out


def save(tensors: dict[str, np.ndarray], folder: Path) -> Path:
    """Write tensors as a checkpoint of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    return folder


def f32(tensor: np.ndarray) -> np.ndarray:
    """Return a tensor as float32."""
    return tensor.astype(np.float32)


class Family:
    """Checkpoints of one architecture, by what they are."""

    def __init__(self, folder: Path, manifest: dict, name: str, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        members = {key: each for key, each in manifest.items() if each["family"] == name}
        self.roots = [key for key, each in members.items() if not each["parents"]]
        self.base = self.roots[0]
        self.tunes = [key for key, each in members.items() if each["method"] == "fine-tune"]
        self.first = [key for key in self.tunes if members[key]["parents"] == [self.base]]
        self.grand = [key for key in self.tunes if key not in self.first]
        self.merges = {
            key: [parent for parent in each["parents"] if parent != self.base]
            for key, each in members.items()
            if each["expected_verdict"] == "merge" and key != "d_noise_ulp"
        }

    def path(self, name: str) -> Path:
        """Return the folder of a member."""
        return self.folder / name

    def case(self, group: str, child: str | Path, parents: list[str], *right: str) -> Case:
        """Return a case whose parents are members of the family."""
        child = self.path(child) if isinstance(child, str) else child
        paths = tuple(self.path(parent) for parent in parents)
        return Case(group, child, self.path(self.base), paths, frozenset(right))

    def cases(self) -> list[Case]:
        """Return every case."""
        return [*self.true_cases(), *self.false_cases(), *self.made_cases()]

    def true_cases(self) -> list[Case]:
        """Return merges and fine-tunes with the parents that they have, and decoys."""
        out = []
        for child, parents in self.merges.items():
            out.append(self.case("merge, true parents", child, parents, "merge"))
            for decoy in self.first:
                if decoy not in parents:
                    offered = [*parents, decoy]
                    out.append(
                        self.case("merge, true parents and a decoy", child, offered, "merge")
                    )
        for child in self.first:
            out.append(self.case("fine-tune, no parent", child, [], "fine-tune"))
        return out

    def false_cases(self) -> list[Case]:
        """Return children with relatives offered that are not their parents."""
        out = []
        not_merge = ("fine-tune", "merge-then-changed", "unrelated")
        for child, parents in self.merges.items():
            others = [each for each in self.first if each not in parents]
            for wrong in others:
                # Of a merge with another fine-tune nothing is left but a displacement.
                out.append(self.case("merge, wrong parent", child, [wrong], *not_merge))
            for wrong in combinations(others, 2):
                out.append(self.case("merge, two wrong parents", child, list(wrong), *not_merge))
            if len(parents) > 1:
                for missing in parents:
                    rest = [each for each in parents if each != missing]
                    out.append(self.case("merge, a parent missing", child, rest, *not_merge))
        for child in self.first:
            siblings = [each for each in self.first if each != child]
            for one in siblings:
                out.append(self.case("fine-tune, sibling", child, [one], "fine-tune"))
            for pair in combinations(siblings, 2):
                out.append(self.case("fine-tune, two siblings", child, list(pair), "fine-tune"))
        for child in self.grand:
            for pair in combinations(self.first, 2):
                out.append(self.case("grandchild", child, list(pair), "fine-tune"))
            for one in self.first:
                out.append(self.case("grandchild, one candidate", child, [one], "fine-tune"))
        for stranger in self.roots[1:]:
            for one in self.first[:2]:
                out.append(self.case("unrelated", stranger, [one], "unrelated"))
        return out

    def made_cases(self) -> list[Case]:
        """Return children made on the fly."""
        out = []
        base = {name: f32(x) for name, x in load(self.path(self.base)).items()}
        rng = np.random.default_rng(7)
        for parent in self.first[:3]:
            tuned = {name: f32(x) for name, x in load(self.path(parent)).items()}
            for weight in (0.3, 0.5714, 0.8):
                merged = {
                    name: np.float32(weight) * tuned[name] + np.float32(1 - weight) * base[name]
                    for name in base
                }
                label = f"{parent}_{weight}"
                pure = self.write(f"{label}_pure", merged)
                out.append(self.case("made merge", pure, [parent], "merge"))
                for sibling in [each for each in self.first if each != parent][:2]:
                    out.append(self.case("made merge, wrong parent", pure, [sibling], "fine-tune"))
                for noise in (0.25, 0.5, 1.0, 4.0):
                    step = np.float32(noise)
                    noisy = {
                        name: x + step * ulp(x) * rng.standard_normal(x.shape, dtype=np.float32)
                        for name, x in merged.items()
                    }
                    made = self.write(f"{label}_noise_{noise}", noisy)
                    group = f"merge with noise of {noise} ulp"
                    # A merge rounded in another order looks like one with noise of a unit, and what
                    # is said of a merge of which only units are left names both.
                    kinds = ("merge", "merge-then-changed")[noise > 1.0 :]
                    out.append(self.case(group, made, [parent], *kinds))
            for scale in (0.001, 0.01, 0.1):
                # A fine-tune so light that displacements are about one unit in the last place.
                light = {
                    name: x + np.float32(scale) * (tuned[name] - x) for name, x in base.items()
                }
                folder = self.write(f"{parent}_light_{scale}", light)
                stored = {name: f32(x) for name, x in load(folder).items()}
                merged = {
                    name: np.float32(0.6) * stored[name] + np.float32(0.4) * base[name]
                    for name in base
                }
                made = self.write(f"{parent}_light_{scale}_merged", merged)
                group = f"merge of {scale} of a displacement"
                right = frozenset({"merge"})
                out.append(Case(group, made, self.path(self.base), (folder,), right))
                for sibling in [each for each in self.first if each != parent][:2]:
                    group = f"light fine-tune ({scale}), sibling"
                    out.append(self.case(group, folder, [sibling], "fine-tune", "identical"))
        for grand in self.grand[:1]:
            out.extend(self.trained(grand, base))
        out.extend(self.changed_in_part(base, rng))
        out.extend(self.noise_as_parent(base, rng))
        return out

    def changed_in_part(self, base: dict[str, np.ndarray], rng: np.random.Generator) -> list[Case]:
        """Return merges of which some matrices were changed: by low rank, an ablation, noise."""
        out = []
        for parent in self.first[:2]:
            tuned = {name: f32(x) for name, x in load(self.path(parent)).items()}
            merged = {n: np.float32(0.6) * tuned[n] + np.float32(0.4) * x for n, x in base.items()}
            for what in ("a LoRA", "an ablation", "training of a layer"):
                changed = dict(merged)
                for name, x in merged.items():
                    attention = any(part in name for part in ("attn", "attention"))
                    if x.ndim != 2:
                        continue
                    size = float(np.std(tuned[name] - base[name]))
                    if what == "a LoRA" and attention:
                        left = rng.standard_normal((x.shape[0], 8), dtype=np.float32)
                        right = rng.standard_normal((8, x.shape[1]), dtype=np.float32)
                        changed[name] = x + np.float32(0.2 * size) * (left @ right)
                    elif what == "an ablation" and any(
                        part in name for part in ("o_proj", "down_proj", "output.dense")
                    ):
                        way = rng.standard_normal(x.shape[0])
                        way /= np.linalg.norm(way)
                        changed[name] = (x - np.outer(way, way @ x)).astype(np.float32)
                    elif what == "training of a layer" and ".0." in name:
                        noise = rng.standard_normal(x.shape, dtype=np.float32)
                        changed[name] = x + np.float32(0.3 * size) * noise
                made = self.write(f"{parent}_{what}", changed)
                out.append(self.case(f"merge, then {what}", made, [parent], "merge-then-changed"))
        return out

    def noise_as_parent(self, base: dict[str, np.ndarray], rng: np.random.Generator) -> list[Case]:
        """Return merges and fine-tunes with noise of their displacement's size for a parent."""
        out = []
        for child in [*self.merges, *self.first[:2]]:
            found = {name: f32(x) for name, x in load(self.path(child)).items()}
            if found.keys() != base.keys():
                continue
            noise = {
                name: x
                + np.float32(np.std(found[name] - x))
                * rng.standard_normal(x.shape, dtype=np.float32)
                for name, x in base.items()
            }
            made = self.write(f"{child}_noise_parent", noise)
            right = frozenset({"fine-tune", "merge-then-changed"})
            path = self.path(child)
            out.append(Case("noise for a parent", path, self.path(self.base), (made,), right))
        return out

    def trained(self, grand: str, base: dict[str, np.ndarray]) -> list[Case]:
        """Return merges with shares of a real training displacement on top."""
        out = []
        after = {name: f32(x) for name, x in load(self.path(grand)).items()}
        for parent in self.first[:2]:
            before = {name: f32(x) for name, x in load(self.path(parent)).items()}
            merged = {n: np.float32(0.6) * before[n] + np.float32(0.4) * base[n] for n in base}
            # The step is one that was really taken from the fine-tune that the grandchild is of.
            origin = {name: f32(x) for name, x in load(self.path(self.first[0])).items()}
            for share in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
                changed = {
                    name: x + np.float32(share) * (after[name] - origin[name])
                    for name, x in merged.items()
                }
                made = self.write(f"{parent}_trained_{share}", changed)
                group = f"merge and {share} of a training step"
                out.append(self.case(group, made, [parent], "merge-then-changed"))
        return out

    def write(self, name: str, tensors: dict[str, np.ndarray]) -> Path:
        """Round tensors to bf16 and write them."""
        return save({key: x.astype(BF16) for key, x in tensors.items()}, self.scratch / name)


def ulp(x: np.ndarray) -> np.ndarray:
    """Return one unit in the last place of bf16 at every element."""
    exponent = np.frexp(np.abs(x))[1]
    return np.ldexp(np.float32(1.0), np.maximum(exponent - 1, -126) - 7).astype(np.float32)
