"""Heads: what the P outputs of a target mean, and how they become forecasts.

A head is a plain map without parameters of its own; the network's last layer belongs to the network. To
add one (a distribution, bins, classes), register a class here or in a plugin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from data.errors import InputError
from data.registry import Registry
from data.schema import InputSchema

HEADS: Registry[type[Head]] = Registry("head", "models.heads")


class Head(nn.Module, ABC):
    """`outputs` is P. Losses see what `forward` returns; predictions are what `forecast` returns."""

    loss: ClassVar[str | None] = None  # the only loss by name that fits; None: any loss of points

    def __init__(self, schema: InputSchema) -> None:
        super().__init__()
        self.schema = schema

    @property
    @abstractmethod
    def outputs(self) -> int:
        """P, outputs per target and row."""

    def forward(self, output: Tensor) -> Tensor:
        """The network's (B, L, K * P) -> (B, L, K, P), scaled: valid parameters of the forecast."""
        return output.float().unflatten(-1, (self.schema.targets, self.outputs))

    @abstractmethod
    def forecast(self, parameters: Tensor) -> Tensor:
        """(B, L, K, P) -> (B, L, K, 1 + Q), scaled: the point forecast, then the schema's quantiles."""


@HEADS.register("point")
class PointHead(Head):
    """One output: the forecast itself."""

    @property
    def outputs(self) -> int:
        return 1

    def forecast(self, parameters: Tensor) -> Tensor:
        return parameters


@HEADS.register("quantile")
class QuantileHead(Head):
    """One output a quantile, sorted, so that they never cross.

    Sorting never makes the pinball loss worse (Chernozhukov, Fernandez-Val and Galichon 2010, "Quantile and
    probability curves without crossing"). The point forecast is the median, interpolated between the
    nearest levels if 0.5 is not one, the nearest level if 0.5 lies outside of all.
    """

    loss = "pinball"
    level: Tensor

    def __init__(self, schema: InputSchema) -> None:
        super().__init__(schema)
        if not schema.quantile:
            raise InputError("head 'quantile' needs the quantiles to forecast, and there are none")
        if list(schema.quantile) != sorted(set(schema.quantile)):
            raise InputError(f"quantiles {list(schema.quantile)} must be given once each, in rising order")
        self.register_buffer("level", torch.tensor(schema.quantile), persistent=False)

    @property
    def outputs(self) -> int:
        return len(self.schema.quantile)

    def forward(self, output: Tensor) -> Tensor:
        return super().forward(output).sort(dim=-1).values

    def forecast(self, parameters: Tensor) -> Tensor:
        levels = self.schema.quantile
        above = min(int(torch.searchsorted(self.level, 0.5)), len(levels) - 1)
        below = above if levels[above] <= 0.5 else max(above - 1, 0)
        gap = levels[above] - levels[below]
        share = (0.5 - levels[below]) / gap if gap > 0 else 0.0
        median = torch.lerp(parameters[..., below], parameters[..., above], share)
        return torch.cat([median[..., None], parameters], dim=-1)


def choose_head(name: str, schema: InputSchema) -> Head:
    """The head called `name`; `auto` is `quantile` if quantiles are asked for, else `point`."""
    if name == "auto":
        name = "quantile" if schema.quantile else "point"
    return HEADS.get(name, "head")(schema)
