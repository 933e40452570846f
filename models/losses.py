"""Training losses by name, each in scaled or in original units, as its metric wants it.

A loss gives one number a row; rows are weighted by `batch.weight` and divided by the sum of the weights,
so that padding, closed days and unknown targets count for nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from data.batch import SequenceBatch
from data.errors import InputError
from data.registry import Registry
from data.scaling import inverse_transform
from data.schema import InputSchema
from models.heads import Head

LOSSES: Registry[type[Loss]] = Registry("loss", "models.losses")


class Units(NamedTuple):
    """From scaled to original units: y = inverse_transform(location + scale * scaled)."""

    transform: str
    location: Tensor  # (B, K)
    scale: Tensor  # (B, K)

    @classmethod
    def of(cls, batch: SequenceBatch, schema: InputSchema) -> Units:
        """The units of a batch's windows."""
        return cls(schema.target_transform, batch.location, batch.scale)

    def original(self, scaled: Tensor) -> Tensor:
        """scaled: (B, L, K) or (B, L, K, P); the same shape in original units."""
        shape = (len(self.location), 1, -1) + (1,) * (scaled.dim() - 3)
        location, scale = self.location.reshape(shape), self.scale.reshape(shape)
        return inverse_transform(self.transform, location + scale * scaled)

    def is_zero(self, original: Tensor) -> Tensor:
        """(B, L, K) bool: 0 up to the rounding of float32, measured against the window's own level."""
        level = self.original(torch.ones_like(original)).abs()
        return original.abs() <= 1e-6 * level


class Loss(nn.Module, ABC):
    """Subclasses give the loss of each row and target."""

    head: ClassVar[str] = "point"  # the head that it fits

    def __init__(self, schema: InputSchema) -> None:
        super().__init__()
        self.schema = schema

    @abstractmethod
    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        """parameters: (B, L, K, P) from the head, target: (B, L, K), both scaled -> (B, L, K)."""

    def forward(self, parameters: Tensor, batch: SequenceBatch) -> Tensor:
        """() mean over the weighted rows and the targets; 0 where no row has weight."""
        assert batch.target is not None
        each = self.elementwise(parameters, batch.target, Units.of(batch, self.schema)).mean(-1)  # (B, L)
        # A row without weight may hold anything: it must not bring NaN in as 0 * NaN.
        each = each.masked_fill(batch.weight == 0, 0.0)
        total = batch.weight.sum()
        return (each * batch.weight).sum() / torch.where(total > 0, total, 1.0)


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


@LOSSES.register("pinball")
class Pinball(Loss):
    """max(q e, (q - 1) e) with e = y - forecast, scaled, mean over the quantiles q."""

    head = "quantile"
    level: Tensor

    def __init__(self, schema: InputSchema) -> None:
        super().__init__(schema)
        self.register_buffer("level", torch.tensor(schema.quantile), persistent=False)

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        error = target[..., None] - parameters  # (B, L, K, Q)
        return torch.maximum(self.level * error, (self.level - 1.0) * error).mean(-1)


def choose_loss(name: str, head: Head, hint: str = "l1") -> Loss:
    """The loss called `name`; `auto` is the head's own, else what the metric hints at (`hint`).

    Raises InputError for an unknown name or a loss that does not fit the head.
    """
    if name == "auto":
        name = head.loss or ("l1" if hint == "pinball" else hint)
    kind = LOSSES.get(name, "fit.loss")
    wanted = head.loss
    if (wanted is not None and name != wanted) or (wanted is None and kind.head != "point"):
        raise InputError(
            f"fit.loss={name} fits the head {kind.head!r}, not {type(head).__name__}"
            + (f", whose loss is {wanted!r}" if wanted else "; set quantiles, or choose another loss")
        )
    return kind(head.schema)
