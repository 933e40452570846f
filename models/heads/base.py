"""What a head is, the registry of heads, and the one way to make one from its name and settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from data.registry import Registry
from data.schema import InputSchema
from models.configure import make_settings
from models.units import Units

HEADS: Registry[type[Head]] = Registry("head", "models.heads")


class Head(nn.Module, ABC):
    """Turns the network's outputs into parameters of the forecast, and those into forecasts and draws.

    The parameters hold all that is needed further on: heads of original units put the window's location and
    scale beside what the network says. So `forecast`, `draw` and the losses take parameters of any leading
    shape (a decoder calls them step by step and with its paths as windows).
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults; the fields are the keys of fit.head_settings."""

    loss: ClassVar[str | None] = None  # the only loss by name that fits; None: any loss of points

    def __init__(self, schema: InputSchema, config: Any = None) -> None:
        super().__init__()
        self.schema = schema
        self.config: Any = type(self).Config() if config is None else config

    @property
    @abstractmethod
    def outputs(self) -> int:
        """P, outputs per target and row that the network gives."""

    @property
    def level_outputs(self) -> int:
        """How many of the P outputs, from the first on, are values in the target's own scaled units.

        A network that adds a level (the last value, a season) adds it to these alone: neither a deviation
        nor the logit of a class moves with the series.
        """
        return self.outputs

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles that stand behind the point in what `forecast` returns: the schema's, or none."""
        return self.schema.quantile

    def forward(self, output: Tensor, units: Units) -> Tensor:
        """The network's (B, L, K * P), units of its B windows -> (B, L, K, .): valid parameters."""
        return output.float().unflatten(-1, (self.schema.targets, self.outputs))

    @abstractmethod
    def forecast(self, parameters: Tensor) -> Tensor:
        """(..., K, .) from `forward` -> (..., K, 1 + Q), scaled: the point forecast, then `levels`."""

    @abstractmethod
    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(..., K, .) from `forward` -> (..., K), scaled: one draw from each predictive distribution.

        A head of points draws the point itself. All randomness comes from `generator` (None: torch's own).
        """

    def summarise(self, draws: Tensor) -> Tensor:
        """(N, ..., K) N draws, scaled -> (..., K, 1 + Q): what `forecast` would say, from draws.

        The point is the median, as that of most heads; quantiles are interpolated between draws.
        """
        level = torch.tensor([0.5, *self.levels], dtype=draws.dtype, device=draws.device)
        ordered = draws.sort(dim=0).values
        place = level * (len(draws) - 1)
        below = place.floor().long()
        above = (below + 1).clamp(max=len(draws) - 1)
        share = (place - below).view(-1, *(1,) * (draws.dim() - 1))
        return torch.lerp(ordered[below], ordered[above], share).movedim(0, -1)

    @classmethod
    def suited(cls, config: Any, hint: str) -> Any:
        """`config` with what it leaves open (`auto`) settled by the loss that the metric hints at."""
        return config


def choose_head(
    name: str,
    schema: InputSchema,
    settings: Mapping[str, Any] | None = None,
    default: str | None = None,
    hint: str = "l1",
) -> Head:
    """The head called `name` with its settings (fit.head_settings).

    `auto` is the network's own (`default`), else `quantile` if quantiles are asked for, else `point`; a
    network made for quantiles gives points where none are asked for. hint: the loss that suits the metric.
    Raises InputError for unknown names and settings.
    """
    if name == "auto":
        name = default if default and (default != "quantile" or schema.quantile) else ""
        name = name or ("quantile" if schema.quantile else "point")
    kind = HEADS.get(name, "fit.head")
    config = make_settings(kind.Config, settings, "fit.head_settings")
    return kind(schema, kind.suited(config, hint))


def head_name(head: Head) -> str:
    """The name that `head` is registered by."""
    return next(name for name, kind in HEADS.items() if kind is type(head))
