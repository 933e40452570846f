"""What a head is, the registry of heads, and the one way to make one from its name and settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from data.configure import make_settings
from data.errors import InputError
from data.registry import Registry
from data.schema import InputSchema
from models.units import Units

HEADS: Registry[type[Head]] = Registry("head", "models.heads")


class TrainingTargets(NamedTuple):
    """Targets of the rows that a fit learns from, for heads whose settings hang on them."""

    name: tuple[str, ...]  # K
    original: np.ndarray  # (N, K) float64
    scaled: Callable[[], np.ndarray]  # (M, K) float32 of windows spread over the training part


class Head(nn.Module, ABC):
    """Turns the network's outputs into parameters of the forecast, and those into forecasts and draws.

    The parameters hold all that is needed further on: heads of original units put the window's location and
    scale beside what the network says. So `forecast`, `draw` and the losses take parameters of any leading
    shape (a decoder calls them step by step and with its paths as windows).
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults; the fields are the keys of fit.head_settings."""

        def check(self, where: str) -> None:
            """InputError for a value that is out of its range; `where` is what the settings belong to."""

    loss: ClassVar[str | None] = None  # the only loss by name that fits; None: any loss of points
    transforms: ClassVar[tuple[str, ...] | None] = None  # of the target, that it can live with; None: all
    mixable: ClassVar[bool] = True  # a target between two targets is one too
    certain: ClassVar[bool] = False  # all draws are the point

    def __init__(self, schema: InputSchema, config: Any = None) -> None:
        super().__init__()
        refuse_transform(type(self), schema.target_transform, "fit")
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

    @property
    def discrete(self) -> bool:
        """Whether only certain values occur, as counts: then a median or a quantile is one of them."""
        return False

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

        The point is the median, as that of most heads; quantiles are interpolated between draws, or the
        draw below where nothing lies between two values.
        """
        level = torch.tensor([0.5, *self.levels], dtype=draws.dtype, device=draws.device)
        ordered = draws.sort(dim=0).values
        place = level * (len(draws) - 1)
        below = place.floor().long()
        if self.discrete:
            return ordered[below].movedim(0, -1)
        above = (below + 1).clamp(max=len(draws) - 1)
        share = (place - below).view(-1, *(1,) * (draws.dim() - 1))
        return torch.lerp(ordered[below], ordered[above], share).movedim(0, -1)

    @classmethod
    def suited(cls, config: Any, hint: str) -> Any:
        """`config` with what it leaves open (`auto`) settled by the loss that the metric hints at."""
        return config

    @classmethod
    def learnt(cls, config: Any, targets: TrainingTargets, called: str) -> Any:
        """`config` with what it leaves to the training rows (the range of bins, the number of classes).

        called: the head's name. Raises InputError for targets that the head cannot stand for.
        """
        return config


def choose_head(
    name: str,
    schema: InputSchema,
    settings: Mapping[str, Any] | None = None,
    default: str | None = None,
    hint: str = "l1",
    targets: TrainingTargets | None = None,
) -> Head:
    """The head called `name` with its settings (fit.head_settings).

    hint: the loss that suits the metric. targets: those of a fit that is to come. Raises InputError for
    unknown names and settings, and for what does not fit the target.
    """
    name = resolved_head(name, default, bool(schema.quantile))
    kind = HEADS.get(name, "fit.head")
    if hint == "rmsle" and schema.target_transform == "log1p":
        hint = "l2"  # of the logarithms, which the transformed values are
    config = kind.suited(head_config(kind, settings, "fit.head_settings"), hint)
    refuse_transform(kind, schema.target_transform)
    return kind(schema, config if targets is None else kind.learnt(config, targets, name))


def resolved_head(name: str, default: str | None, quantiles: bool) -> str:
    """`name`; for `auto` the network's own head (`default`), else `quantile` if quantiles are asked for, else
    `point`. A network made for quantiles gives points where none are asked for.
    """
    if name != "auto":
        return name
    if default is not None and (default != "quantile" or quantiles):
        return default
    return "quantile" if quantiles else "point"


def head_config(kind: type[Head], settings: Mapping[str, Any] | None, where: str) -> Any:
    """The Config of a head from its settings, checked; raises InputError, naming `where`."""
    config = make_settings(kind.Config, settings, where)
    config.check(where)
    return config


def refuse_mixup(kind: type[Head], mixup: float, prefix: str = "fit") -> None:
    """InputError if targets are to be mixed that the head cannot stand for then."""
    if mixup > 0 and not kind.mixable:
        raise InputError(
            f"{prefix}.mixup: found {mixup:g}, expected 0: {prefix}.head={_called(kind)} needs whole numbers"
        )


def refuse_transform(kind: type[Head], transform: str, prefix: str = "fit") -> None:
    """InputError if the head cannot live with the target's transform."""
    if kind.transforms is not None and transform not in kind.transforms:
        raise InputError(
            f"{prefix}.head={_called(kind)} is of the target in its own units: found"
            f" competition.target_transform {transform!r}, expected {' or '.join(kind.transforms)}"
        )


def head_name(head: Head) -> str:
    """The name that `head` is registered by."""
    return _called(type(head))


def _called(kind: type[Head]) -> str:
    return next((name for name, other in HEADS.items() if other is kind), kind.__name__)
