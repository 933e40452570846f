"""What heads with a whole predictive distribution share: how it becomes a point and quantiles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data.configure import one_of
from models.heads.base import Head

#: What the point forecast of a distribution is.
POINTS = ("auto", "median", "mean")

#: The least deviation, as a share of the scaling's own: below it a likelihood has no bound.
LEAST_DEVIATION = 1e-4


class ProbabilisticHead(Head):
    """A head that knows mean and quantiles of its predictive distribution.

    The point is the mean where the metric hints at squared errors, which the mean makes least, else the
    median, which makes absolute errors least. The mean is that of the transformed target, as it is what
    `l2` fits: with a log transform it is not the mean in original units, but what RMSLE wants.
    """

    @dataclass(frozen=True)
    class Config(Head.Config):
        """Settings."""

        point: str = "auto"  # auto: mean if the metric hints at squared errors, else median; median, mean

        def check(self, where: str) -> None:
            one_of(self.point, POINTS, "point", f"{where}.point")

    @classmethod
    def suited(cls, config: Any, hint: str) -> Any:
        if config.point != "auto":
            return config
        return replace(config, point="mean" if hint == "l2" else "median")

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """(..., K, .) -> (..., K), scaled."""

    @abstractmethod
    def quantile(self, parameters: Tensor, level: Tensor) -> Tensor:
        """(..., K, .), (Q,) -> (..., K, Q), scaled: the least value with at least that much below."""

    def forecast(self, parameters: Tensor) -> Tensor:
        if self.config.point == "mean":
            point = self.mean(parameters)[..., None]
            levels: tuple[float, ...] = self.levels
        else:
            point = parameters.new_empty(*parameters.shape[:-1], 0)
            levels = (0.5, *self.levels)
        if not levels:
            return point
        level = torch.tensor(levels, dtype=parameters.dtype, device=parameters.device)
        return torch.cat([point, self.quantile(parameters, level)], dim=-1)

    def summarise(self, draws: Tensor) -> Tensor:
        summary = super().summarise(draws)
        if self.config.point == "mean":
            summary[..., 0] = draws.mean(0)
        return summary


class DistributionHead(ProbabilisticHead):
    """A parametric distribution, fitted by its likelihood."""

    loss: ClassVar[str | None] = "nll"

    @abstractmethod
    def log_likelihood(self, parameters: Tensor, target: Tensor) -> Tensor:
        """(..., K, .), (..., K) scaled -> (..., K): of the scaled value, or of the original count."""


def positive(raw: Tensor, least: float = LEAST_DEVIATION) -> Tensor:
    """A deviation, rate or weight from any number: softplus, from `least` on."""
    return functional.softplus(raw) + least


def by_scipy(function: Callable[..., np.ndarray], *arguments: Tensor) -> Tensor:
    """A function of scipy on tensors, in float64 on the CPU: for forecasts, where no gradient is due."""
    arrays = [argument.detach().double().cpu().numpy() for argument in arguments]
    return torch.from_numpy(np.asarray(function(*arrays))).to(arguments[0].device, arguments[0].dtype)
