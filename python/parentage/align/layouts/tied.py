"""Heads that a checkpoint does not hold because its embedding is its head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.checkpoint import component_of, place_of

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint, Tensor


def tied_to(head: Tensor, checkpoint: Checkpoint) -> Tensor | None:
    """Return the embedding that stands in for a head that ``checkpoint`` does not hold.

    That is the one matrix of the head's shape among the embeddings, where there is no head at all.
    """
    if len(head.shape) != 2 or component_of(head.name) != "head":
        return None
    if heads(checkpoint):
        return None
    found = [each for each in embeddings(checkpoint) if each.shape == head.shape]
    return found[0] if len(found) == 1 else None


def heads(checkpoint: Checkpoint) -> list[Tensor]:
    """Return the heads outside all layers that are matrices."""
    return _matrices(checkpoint, "head")


def embeddings(checkpoint: Checkpoint) -> list[Tensor]:
    """Return the embeddings outside all layers that are matrices."""
    return _matrices(checkpoint, "embed")


def _matrices(checkpoint: Checkpoint, component: str) -> list[Tensor]:
    """Return the matrices of a component that are in no layer."""
    names = (
        name for name in checkpoint.core.names(".weight") if place_of(name)[:2] == (component, None)
    )
    return [found for name in names if len((found := checkpoint.tensors[name]).shape) == 2]
