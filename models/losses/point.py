"""Losses of points: l1, l2, huber on scaled values; mape, rmspe, smape, rmsle in original units."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from models.losses.base import LOSSES, Loss
from models.units import Units


@LOSSES.register("l1")
class L1(Loss):
    """Absolute error, scaled."""

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        return functional.l1_loss(parameters[..., 0], target, reduction="none")


@LOSSES.register("l2")
class L2(Loss):
    """Squared error, scaled."""

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        return functional.mse_loss(parameters[..., 0], target, reduction="none")


@LOSSES.register("huber")
class Huber(Loss):
    """Squared error up to 1, absolute beyond, scaled."""

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        return functional.huber_loss(parameters[..., 0], target, reduction="none")


class RelativeLoss(Loss):
    """A loss of the error relative to the truth, original units; rows whose truth is 0 count as 0."""

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        truth = units.original(target)
        zero = units.is_zero(truth)
        error = (units.original(parameters[..., 0]) - truth) / torch.where(zero, 1.0, truth)
        return self.of_ratio(error.masked_fill(zero, 0.0))

    @abstractmethod
    def of_ratio(self, error: Tensor) -> Tensor:
        """error: (B, L, K), (forecast - y) / y."""


@LOSSES.register("mape")
class MAPE(RelativeLoss):
    """|forecast - y| / |y|."""

    def of_ratio(self, error: Tensor) -> Tensor:
        return error.abs()


@LOSSES.register("rmspe")
class RMSPE(RelativeLoss):
    """((forecast - y) / y)^2; the root is left out, since it would weigh batches against each other."""

    def of_ratio(self, error: Tensor) -> Tensor:
        return error.square()


@LOSSES.register("smape")
class SMAPE(Loss):
    """2 |forecast - y| / (|forecast| + |y|), original units, 0 where both are 0."""

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        truth, forecast = units.original(target), units.original(parameters[..., 0])
        size = forecast.abs() + truth.abs()
        return 2.0 * (forecast - truth).abs() / torch.where(size > 0, size, 1.0)


@LOSSES.register("rmsle")
class RMSLE(Loss):
    """(log(1 + forecast) - log(1 + y))^2, original units, negative values taken as 0, without the root."""

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        if units.transform == "log1p":  # then the transformed values are the logarithms themselves
            error = (parameters[..., 0] - target) * units.scale[:, None, :]
        else:
            # A forecast below 0 would get no gradient from a clamp; the line that continues log1p gives one.
            forecast = units.original(parameters[..., 0])
            logarithm = torch.where(forecast > 0, forecast.clamp(min=0.0).log1p(), forecast)
            error = logarithm - units.original(target).clamp(min=0.0).log1p()
        return error.square()
