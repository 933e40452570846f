"""first_plus_last: the sum of both ends of a row of noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import unknown
from data.probes.base import PROBES, Probe, last_row
from data.probes.judged import Chance, Goal, Published
from data.probes.parts import Part

_ARTICLE = "Katariya 2021, How long dependencies can LSTM & T-CNN really remember?, Towards Data Science"
_SETTING = (
    "LSTM(8), LSTM(6), softplus; T-CNN: a convolution as long as the sequence; batch 256, RMSprop 1e-3,"
    " 1,000 epochs of 1,000 series, one run a length"
)


@dataclass(frozen=True)
class _Function:
    """An element's function with its mean and variance under N(0, 1)."""

    of: Callable[[Tensor], Tensor]
    mean: float
    variance: float


FUNCTIONS = {
    "identity": _Function(lambda x: x, 0.0, 1.0),
    "square": _Function(torch.square, 1.0, 2.0),  # chi-squared with one degree of freedom
    "sine": _Function(torch.sin, 0.0, (1 - math.exp(-2)) / 2),  # E sin^2 = (1 - E cos 2x) / 2
}


@PROBES.register("first_plus_last")
class FirstPlusLast(Probe):
    """y = f(x[0]) + f(x[-1]) of x_t ~ N(0, 1), judged at the last row (Katariya 2021, f the identity).

    Chance is the variance of y, 2 for the identity; a model that has only forgotten x[0] still sees x[-1] and
    errs by half of that (`Chance.present`). What a trained model makes of either end: `data.probes.ends`.

        x      1.54 -.29 -2.18 .57 -1.08 -1.40 .40  .84
        target    .    .     .   .     .     .   . 2.38
    """

    @dataclass(frozen=True)
    class Config(Probe.Config):
        """Settings; training_size=1000 is the article's text (its code draws new series at every step)."""

        function: str = "identity"  # identity, square, sine

        def check(self, where: str) -> None:
            super().check(where)
            if self.function not in FUNCTIONS:
                raise unknown("function", self.function, FUNCTIONS, f"{where}.function")

    title = "First plus last"
    published = (
        Published("lstm", None, "longest length remembered", 68, _ARTICLE, setting=_SETTING),
        Published("lstm", None, "shortest length forgotten", 69, _ARTICLE, setting=_SETTING),
    )
    reals = ("x",)

    @property
    def function(self) -> _Function:
        """f, with its mean and variance."""
        return FUNCTIONS[self.config.function]

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        x = torch.randn(count, length, generator=generator)
        y = self.function.of(x[:, 0]) + self.function.of(x[:, -1])
        judged = (torch.arange(length) == length - 1).expand(count, length)
        return self.windows(y[:, None].expand(count, length), judged, real=x[..., None])

    def chance(self, length: int) -> Chance:
        return Chance(2 * self.function.variance, present=self.function.variance)

    def goal(self, length: int) -> Goal:
        """1e-3 for the identity, and the same share of the variance for the others."""
        return Goal(error=1e-3 * self.function.variance)

    def oracle(self, batch: SequenceBatch) -> Tensor:
        x = self.function.of(batch.real[..., 0])
        return torch.where(last_row(batch), x[:, :1] + x, 0.0)[..., None]

    def blind(self, batch: SequenceBatch) -> Tensor:
        return torch.full((*batch.weight.shape, 1), 2 * self.function.mean)

    @classmethod
    def variants(cls) -> list[Config]:
        return [cls.Config(function=function) for function in FUNCTIONS] + [cls.Config(training_size=10)]
