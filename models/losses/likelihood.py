"""nll: the loss of distributions."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from models.heads import Head
from models.heads.distribution import DistributionHead
from models.losses.base import LOSSES, Loss
from models.units import Units


@LOSSES.register("nll")
class NegativeLogLikelihood(Loss):
    """-log p(y) of the head's distribution: of the scaled value, or of the count in original units."""

    points: ClassVar[bool] = False

    def __init__(self, head: DistributionHead) -> None:
        super().__init__(head.schema)
        self._log_likelihood = head.log_likelihood  # of the head where it is, not a second copy of the module

    @classmethod
    def of(cls, head: Head) -> NegativeLogLikelihood:
        assert isinstance(head, DistributionHead)
        return cls(head)

    def elementwise(self, parameters: Tensor, target: Tensor, units: Units) -> Tensor:
        return -self._log_likelihood(parameters, target)
