"""The part of every batch that one process of a fit works on: all of it, unless there are several processes.

All processes draw the same windows, cut the whole batch, and change it alike (mixup needs windows of the
whole batch); then each takes its own windows. So the weights of the whole batch are known to all of them
without a word between them, and each divides its sum of losses by the same total. The gradients of the parts
then add up to the gradient of the whole, however unequal the parts and their weights are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from data.batch import SequenceBatch


class Share:
    """Process `rank` of `count`."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        assert 0 <= rank < count
        self.rank, self.count = rank, count
        self._common: torch.Tensor | None = None  # state of the stream that all processes draw from alike

    @property
    def alone(self) -> bool:
        """There is one process only."""
        return self.count == 1

    def seed(self, common: int, own: int) -> None:
        """Begin an epoch: what changes the batch is drawn from `common`, what is in the network from `own`.

        One process draws everything from `common`.
        """
        torch.manual_seed(common)
        if not self.alone:
            self._common = torch.get_rng_state()
            torch.manual_seed(own)

    @contextmanager
    def common_draws(self) -> Iterator[None]:
        """Within, torch's generator of the CPU gives the same numbers in all processes."""
        if self._common is None:
            yield
            return
        own = torch.get_rng_state()
        torch.set_rng_state(self._common)
        try:
            yield
        finally:
            self._common = torch.get_rng_state()
            torch.set_rng_state(own)

    def of(self, batch: SequenceBatch) -> SequenceBatch:
        """Its windows: neighbours, as many as the other processes have, or one more or less.

        Where there are fewer windows than processes, some have the first window at weight 0: it has to go
        through the network, since the others wait for the gradient, but it counts for nothing.
        """
        if self.alone:
            return batch
        windows = len(batch.length)
        first, end = windows * self.rank // self.count, windows * (self.rank + 1) // self.count
        if first == end:
            return batch.cut(0, 1)._replace(weight=torch.zeros_like(batch.weight[:1]))
        return batch.cut(first, end)
