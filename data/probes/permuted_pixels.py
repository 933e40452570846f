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

    After Le, Jaitly and Hinton 2015 (arXiv 1504.00941), who permute MNIST.

        pixel  .88 0 0 .50 0 .81 .56 0 0 .25 0 .62 .. 0 .50 .12 0 .25 .50 .94 0 0 0 .38 1
        target   . . .   . .   .   . . .   . .   . .. .   .   . .   .   .   . . . .   . 8
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
