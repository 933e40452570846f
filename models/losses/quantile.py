"""pinball: the loss of quantiles."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from data.schema import InputSchema
from models.losses.base import LOSSES, Loss
from models.units import Units


@LOSSES.register("pinball")
class Pinball(Loss):
    """max(q e, (q - 1) e) with e = y - forecast, scaled, mean over the quantiles q."""

    points: ClassVar[bool] = False
    level: Tensor

    def __init__(self, schema: InputSchema) -> None:
        super().__init__(schema)
        self.register_buffer("level", torch.tensor(schema.quantile), persistent=False)

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        error = target[..., None] - parameters  # (B, L, K, Q)
        return torch.maximum(self.level * error, (self.level - 1.0) * error).mean(-1)
