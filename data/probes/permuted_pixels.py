"""permuted_pixels: the same digits, their pixels read in one fixed random order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from data.probes.base import PROBES
from data.probes.judged import Published
from data.probes.sequential_pixels import MNIST, PIXELS, TABLE, SequentialPixels


@PROBES.register("permuted_pixels")
class PermutedPixels(SequentialPixels):
    """`sequential_pixels` in an order drawn once: neighbours in the image are no neighbours in the window.

    pixel  .50 0 0 .50 .75 0 1 .94 .38 0 0 .06 .. .06 0 .62 .31 0 0 0 .69 .81 0 .75 0
    target   . . .   .   . . .   .   . . .   . ..   . .   .   . . . .   .   . .   . 0
    """

    @dataclass(frozen=True)
    class Config(SequentialPixels.Config):
        """Settings."""

        permutation: int = 0  # seed of the order

    title = "Permuted pixels"
    published = (
        Published("lstm", 784, "accuracy", 0.857, TABLE, 70_000, MNIST),
        Published("gru", 784, "accuracy", 0.873, TABLE, 70_000, MNIST),
        Published("tcn", 784, "accuracy", 0.972, TABLE, 70_000, MNIST),
    )

    def order(self) -> Tensor:
        return torch.randperm(PIXELS, generator=torch.Generator().manual_seed(self.config.permutation))
