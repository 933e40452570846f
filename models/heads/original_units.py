"""What heads share whose distribution is one of original units: counts, amounts, grids, classes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from data.errors import InputError
from models.heads.base import TrainingTargets
from models.heads.distribution import DistributionHead, positive
from models.units import ROUNDING, Units


def with_units(parameters: Tensor, units: Units) -> Tensor:
    """(B, L, K, P) -> (B, L, K, P + 2): the window's location and scale stand behind the parameters."""
    shape = (*parameters.shape[:-1], 1)
    places = [part[:, None, :, None].to(parameters).expand(shape) for part in (units.location, units.scale)]
    return torch.cat([parameters, *places], dim=-1)


def to_original(parameters: Tensor, scaled: Tensor) -> Tensor:
    """(..., K, P + 2), (..., K) -> (..., K): location + scale * scaled."""
    return parameters[..., -2] + parameters[..., -1] * scaled


def to_scaled(parameters: Tensor, value: Tensor) -> Tensor:
    """(..., K, P + 2), (..., K) or (..., K, Q) -> the same shape: (value - location) / scale."""
    location, scale = parameters[..., -2], parameters[..., -1]
    if value.dim() > location.dim():
        location, scale = location[..., None], scale[..., None]
    return (value - location) / scale


class NonNegativeHead(DistributionHead):
    """A distribution of values from 0 on, in original units; its mean follows the size of the series.

    As in DeepAR (Salinas et al. 2020, section 3.3) the mean is softplus(o) * nu of the network's output o;
    nu = |location| + scale of the window, which is the series' own size however windows are scaled. The
    parameters are those of the distribution (the `law`), mean first, then location and scale.
    """

    transforms: ClassVar[tuple[str, ...] | None] = ("none",)
    count: ClassVar[int]  # parameters of the law
    mixable: ClassVar[bool] = False
    whole: ClassVar[bool] = True  # of whole numbers only

    @property
    def outputs(self) -> int:
        return self.count

    @property
    def level_outputs(self) -> int:
        return 0  # a level that is added would have to be positive

    @property
    def discrete(self) -> bool:
        return self.whole

    def forward(self, output: Tensor, units: Units) -> Tensor:
        raw = super().forward(output, units)
        size = _size(units.location, units.scale)[:, None, :].to(raw)  # (B, 1, K)
        law = [part.expand(raw.shape[:-1]) for part in self.law(list(raw.unbind(-1)), size)]
        return with_units(torch.stack(law, dim=-1), units)

    def law(self, raw: list[Tensor], size: Tensor) -> list[Tensor]:
        """Raw outputs (B, L, K) and the size nu (B, 1, K) -> parameters of the law; the mean only here."""
        return [positive(raw[0]) * size]

    @abstractmethod
    def log_mass(self, law: list[Tensor], value: Tensor) -> Tensor:
        """Log of the probability, or density, of `value` (of the shape of the law's parameters)."""

    @abstractmethod
    def inverse(self, law: list[Tensor], level: Tensor) -> Tensor:
        """The least value with at least `level` of the probability up to it; broadcast, no gradient."""

    @abstractmethod
    def sample(self, law: list[Tensor], generator: torch.Generator | None) -> Tensor:
        """One draw from each."""

    def expectation(self, law: list[Tensor]) -> Tensor:
        """The mean."""
        return law[0]

    def log_likelihood(self, parameters: Tensor, target: Tensor) -> Tensor:
        """As of every distribution; counted in float64, returned in the target's type.

        Logarithms of factorials grow with the series, their differences do not: at a level of some thousands
        float32 has nothing left of a shape's gradient.
        """
        value = to_original(parameters, target).clamp(min=0.0)
        if self.whole:
            value = value.round()  # scaling and back leaves it beside the whole number
        else:  # and beside 0, by a share of the window's size: a mean may be far smaller than that
            size = _size(parameters[..., -2], parameters[..., -1])
            value = torch.where(value <= ROUNDING * size, 0.0, value)
        return self.log_mass(_law(parameters.double()), value.double()).to(target.dtype)

    def mean(self, parameters: Tensor) -> Tensor:
        return to_scaled(parameters, self.expectation(_law(parameters)))

    def quantile(self, parameters: Tensor, level: Tensor) -> Tensor:
        law = [part[..., None] for part in _law(parameters)]
        return to_scaled(parameters, self.inverse(law, level.expand(*law[0].shape[:-1], -1)))

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return to_scaled(parameters, self.sample(_law(parameters), generator))

    @classmethod
    def learnt(cls, config: Any, targets: TrainingTargets, called: str) -> Any:
        refuse_values(targets, called, cls.whole)
        return config


def refuse_values(targets: TrainingTargets, called: str, whole: bool, below: float = np.inf) -> None:
    """InputError for the first training target that is negative, or no whole number, or not below `below`."""
    for index, name in enumerate(targets.name):
        value = targets.original[:, index]
        bad = (value < 0) | (value >= below)
        if whole:
            bad |= value != np.rint(value)
        if bad.any():
            numbers = "whole numbers" if whole else "values"
            upper = f" to {below - 1:g}" if np.isfinite(below) else " on"
            raise InputError(
                f"fit.head={called}: found {value[bad][0]:g} in target {name!r} ({int(bad.sum())} training"
                f" rows do not fit), expected {numbers} from 0{upper}"
            )


def _size(location: Tensor, scale: Tensor) -> Tensor:
    """nu: the series' own size, however windows are scaled."""
    return location.abs() + scale


def _law(parameters: Tensor) -> list[Tensor]:
    return list(parameters[..., :-2].unbind(-1))
