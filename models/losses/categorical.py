"""cross_entropy: the loss of bins and classes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from models.heads import Head
from models.heads.categorical import CategoricalHead
from models.losses.base import LOSSES, Loss
from models.units import Units


@LOSSES.register("cross_entropy")
class CrossEntropy(Loss):
    """-sum over bins or classes of label * log p; the head says which label a target stands for."""

    points: ClassVar[bool] = False

    def __init__(self, head: CategoricalHead) -> None:
        super().__init__(head.schema)
        self._logits, self._labels = head.logits, head.labels

    @classmethod
    def of(cls, head: Head) -> CrossEntropy:
        assert isinstance(head, CategoricalHead)
        return cls(head)

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        logits, labels = self._logits(parameters), self._labels(parameters, target)
        each = functional.cross_entropy(logits.flatten(0, -2), labels.flatten(0, -2), reduction="none")
        return each.view(target.shape)
