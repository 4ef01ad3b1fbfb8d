"""Checkpoints over the files of two: what is computed from both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from parentage.checkpoint.checkpoint import Checkpoint, Tensor
    from parentage.checkpoint.codings import Coding


class Joined(NamedTuple):
    """Two checkpoints whose files are seen as those of one.

    Its files are those of ``first``, then those of ``second``; codings follow, in the same order.
    """

    first: Checkpoint
    second: Checkpoint

    @property
    def places(self) -> int:
        """What the next coding is called where tensors say their shard."""
        return self.first.places + self.second.places

    def of_first(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the first, as it lies here."""
        is_file = tensor.shard < len(self.first.shards)
        return tensor if is_file else self._moved(tensor, len(self.second.shards))

    def of_second(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the second, as it lies here."""
        is_file = tensor.shard < len(self.second.shards)
        before = len(self.first.shards) if is_file else self.first.places
        return self._moved(tensor, before)

    @staticmethod
    def _moved(tensor: Tensor, before: int) -> Tensor:
        return tensor._replace(shard=tensor.shard + before)

    def view(self, tensors: Iterable[Tensor], codings: Sequence[Coding] = ()) -> Checkpoint:
        """Return a checkpoint of tensors of both; the path and the name are the first's.

        Those whose ``shard`` is ``places + k`` are what ``codings[k]`` gives, from byte 0 on.

        Raises
        ------
        CheckpointError
            As :meth:`parentage.checkpoint.Checkpoint.seen_as`.
        """
        listed = sorted(tensors, key=lambda each: each.name)
        core = self.first.core.joined(self.second.core, listed, codings)
        return replace(self.first, core=core, encodings={}, borrowed=len(self.second.shards))
