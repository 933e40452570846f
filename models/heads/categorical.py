"""What heads share that give a probability to each of many bins or classes."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from models.heads.base import Head
from models.heads.original_units import with_units
from models.units import Units


class CategoricalHead(Head):
    """P logits; the parameters are these, then the window's location and scale."""

    loss: ClassVar[str | None] = "cross_entropy"

    @property
    def level_outputs(self) -> int:
        return 0

    def forward(self, output: Tensor, units: Units) -> Tensor:
        return with_units(super().forward(output, units), units)

    def logits(self, parameters: Tensor) -> Tensor:
        """(..., K, P + 2) -> (..., K, P)."""
        return parameters[..., :-2]

    @abstractmethod
    def labels(self, parameters: Tensor, target: Tensor) -> Tensor:
        """(..., K, P + 2), (..., K) scaled -> (..., K, P): the probabilities that the target stands for."""

    def draw_category(self, parameters: Tensor, generator: torch.Generator | None) -> Tensor:
        """(..., K) int64: one bin or class from each."""
        share = self.logits(parameters).softmax(-1)
        drawn = torch.multinomial(share.reshape(-1, share.shape[-1]), 1, generator=generator)
        return drawn.view(share.shape[:-1])
