"""point: one number, the forecast itself."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from models.heads.base import HEADS, Head


@HEADS.register("point")
class PointHead(Head):
    """One output: the forecast. Which property of the future it estimates is the loss's affair."""

    certain: ClassVar[bool] = True

    @property
    def outputs(self) -> int:
        return 1

    @property
    def levels(self) -> tuple[float, ...]:
        return ()

    def forecast(self, parameters: Tensor) -> Tensor:
        return parameters

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return parameters[..., 0]
