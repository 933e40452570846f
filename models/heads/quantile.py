"""quantile: one output a quantile, sorted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from data.errors import InputError
from data.schema import InputSchema
from models.heads.base import HEADS, Head
from models.units import Units


@HEADS.register("quantile")
class QuantileHead(Head):
    """One output a quantile, sorted, so that they never cross.

    Sorting never makes the pinball loss worse (Chernozhukov, Fernandez-Val and Galichon 2010, "Quantile and
    probability curves without crossing"). The point forecast is the median, interpolated between the
    nearest levels if 0.5 is not one, the nearest level if 0.5 lies outside of all. Draws come from the
    inverse distribution function, linear between the levels and constant beyond the outermost.
    """

    loss = "pinball"
    level: Tensor

    def __init__(self, schema: InputSchema, config: Any = None) -> None:
        super().__init__(schema, config)
        if not schema.quantile:
            raise InputError("head 'quantile' needs the quantiles to forecast, and there are none")
        if list(schema.quantile) != sorted(set(schema.quantile)):
            raise InputError(f"quantiles {list(schema.quantile)} must be given once each, in rising order")
        self.register_buffer("level", torch.tensor(schema.quantile), persistent=False)

    @property
    def outputs(self) -> int:
        return len(self.schema.quantile)

    def forward(self, output: Tensor, units: Units) -> Tensor:
        return super().forward(output, units).sort(dim=-1).values

    def forecast(self, parameters: Tensor) -> Tensor:
        half = self.level.new_full(parameters.shape[:-1], 0.5)
        return torch.cat([self._at(parameters, half)[..., None], parameters], dim=-1)

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        shape = parameters.shape[:-1]
        return self._at(parameters, torch.rand(shape, generator=generator, device=parameters.device))

    def _at(self, parameters: Tensor, level: Tensor) -> Tensor:
        """(..., K, Q), (..., K) -> (..., K): the inverse distribution function, each row at its level."""
        above = torch.searchsorted(self.level, level).clamp(max=len(self.level) - 1)
        below = (above - 1).clamp(min=0)
        # Beyond the outermost levels, and where there is one level only, both ends are the same one.
        below = torch.where(level >= self.level[-1], above, below)
        gap = self.level[above] - self.level[below]
        share = ((level - self.level[below]) / torch.where(gap > 0, gap, 1.0)).clamp(0.0, 1.0)
        low = parameters.gather(-1, below[..., None])[..., 0]
        high = parameters.gather(-1, above[..., None])[..., 0]
        return torch.lerp(low, high, share)
