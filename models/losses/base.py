"""What a loss is, the registry of losses, and the one way to choose one for a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.errors import InputError
from data.registry import Registry
from data.schema import InputSchema
from models.heads import HEADS, Head, head_name
from models.units import Units

LOSSES: Registry[type[Loss]] = Registry("loss", "models.losses")


class Loss(nn.Module, ABC):
    """Subclasses give the loss of each row and target."""

    points: ClassVar[bool] = True  # False: of one kind of head only, which names it as its `loss`

    def __init__(self, schema: InputSchema) -> None:
        super().__init__()
        self.schema = schema

    @classmethod
    def of(cls, head: Head) -> Loss:
        """The loss of what `head` returns."""
        return cls(head.schema)

    @abstractmethod
    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        """parameters: (B, L, K, .) from the head, target: (B, L, K), both scaled -> (B, L, K)."""

    def forward(self, parameters: Tensor, batch: SequenceBatch, every: Tensor | None = None) -> Tensor:
        """() mean over the weighted rows and the targets; 0 where no row has weight.

        every: weights of all windows, where `batch` is a part of them; see `weighted_mean`.
        """
        assert batch.target is not None
        each = self.elementwise(parameters, batch.target, Units.of(batch, self.schema)).mean(-1)  # (B, L)
        return weighted_mean(each, batch.weight, every)


def weighted_mean(each: Tensor, weight: Tensor, every: Tensor | None = None) -> Tensor:
    """() mean of (B, L) losses over the rows with weight (B, L); 0 where there is none.

    every: weights of all windows of which these are a part; the sum is divided by their total, so that the
    parts add up to the mean over all.
    """
    # A row without weight may hold anything: it must not bring NaN in as 0 * NaN.
    each = each.masked_fill(weight == 0, 0.0)
    total = weight.sum() if every is None else every.sum()
    return (each * weight).sum() / torch.where(total > 0, total, 1.0)


def check_loss(name: str, head: type[Head], head_called: str, where: str = "fit.loss") -> None:
    """InputError for an unknown loss (`auto` is known), or one that does not fit the head `head_called`."""
    if name == "auto":
        return
    kind = LOSSES.get(name, where)
    if head.loss is None and not kind.points:
        fitting = ", ".join(called for called, other in HEADS.items() if other.loss == name)
        raise InputError(f"{where}={name} fits the heads {fitting} (fit.head), not {head_called!r}")
    if head.loss not in (None, name):
        raise InputError(f"{where}={name} does not fit the head {head_called!r}, whose loss is {head.loss!r}")


def choose_loss(name: str, head: Head, hint: str = "l1") -> Loss:
    """The loss called `name`; `auto` is the head's own, else what the metric hints at (`hint`).

    Raises InputError for an unknown name or a loss that does not fit the head.
    """
    if name == "auto":
        name = head.loss or ("l1" if hint == "pinball" else hint)
    check_loss(name, type(head), head_name(head))
    return LOSSES.get(name).of(head)
