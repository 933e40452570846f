"""tweedie: amounts that are exactly 0 or anything above, in original units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from data.errors import InputError
from data.schema import InputSchema
from models.heads.base import HEADS
from models.heads.distribution import ProbabilisticHead, positive
from models.heads.original_units import NonNegativeHead

#: Terms of the density's series on each side of its largest one, n. They fall off as those of a normal
#: distribution with deviation sqrt(n / (1 + alpha)) and have to reach DEVIATIONS of it. Where that is further
#: than TERMS (towards power 2, in a series' peaks) every second, third, ... term stands for its neighbours,
#: by steps of a quarter of the deviation: a sum over a bell is the same by any step up to its deviation. So
#: how many there are does not hang on the data, which a GPU would have to be asked for.
TERMS = 24
DEVIATIONS = 6.0
LEAST_DISPERSION = 0.05  # without, a likelihood has no bound
BISECTIONS = 40


@HEADS.register("tweedie")
class TweedieHead(NonNegativeHead):
    """Tweedie with mean mu, dispersion phi and power p: variance phi mu^p, 1 < p < 2.

    A Poisson number of gamma amounts: N ~ Poisson(lambda), y = sum of N draws of Gamma(alpha, gamma), with
    lambda = mu^(2-p) / (phi (2-p)), alpha = (2-p) / (p-1), gamma = phi (p-1) mu^(p-1). The density is the
    series over N around its largest term n = y^(2-p) / (phi (2-p)) (Dunn and Smyth 2005, "Series evaluation
    of Tweedie exponential dispersion model densities"). phi = softplus(o) * nu^(2-p), so that a series in
    another currency has the same law.
    """

    count: ClassVar[int] = 2
    whole: ClassVar[bool] = False
    mixable: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Config(ProbabilisticHead.Config):
        """Settings."""

        power: float = 1.5  # p: towards 1 like Poisson's, towards 2 like gamma's

        def check(self, where: str) -> None:
            super().check(where)
            if not 1.0 < self.power < 2.0:
                raise InputError(
                    f"{where}.power: found {self.power:g}, expected a number between 1 and 2, exclusive"
                )

    def __init__(self, schema: InputSchema, config: Any = None) -> None:
        super().__init__(schema, config)
        self.power = float(self.config.power)
        self.alpha = (2.0 - self.power) / (self.power - 1.0)

    def law(self, raw: list[Tensor], size: Tensor) -> list[Tensor]:
        dispersion = positive(raw[1], LEAST_DISPERSION) * size ** (2.0 - self.power)
        return [*super().law(raw, size), dispersion]

    def _compound(self, law: list[Tensor]) -> tuple[Tensor, Tensor]:
        """lambda and gamma."""
        mean, dispersion = law
        rate = mean ** (2.0 - self.power) / (dispersion * (2.0 - self.power))
        return rate, dispersion * (self.power - 1.0) * mean ** (self.power - 1.0)

    def log_mass(self, law: list[Tensor], value: Tensor) -> Tensor:
        rate, scale = self._compound(law)
        zero = value == 0
        amount = torch.where(zero, law[0].detach(), value)
        largest = amount ** (2.0 - self.power) / (law[1].detach() * (2.0 - self.power))
        step = (DEVIATIONS / TERMS * (largest / (1.0 + self.alpha)).sqrt()).ceil().clamp(min=1.0)
        first = (largest.round() - TERMS * step).clamp(min=1.0)
        number = first[..., None] + step[..., None] * torch.arange(2 * TERMS + 1, device=value.device)
        shape = number * self.alpha
        rate_, scale_, amount_ = rate[..., None], scale[..., None], amount[..., None]
        poisson = number * rate_.log() - rate_ - torch.lgamma(number + 1.0)
        gamma = (shape - 1.0) * amount_.log() - amount_ / scale_ - shape * scale_.log() - torch.lgamma(shape)
        return torch.where(zero, -rate, step.log() + torch.logsumexp(poisson + gamma, dim=-1))

    def inverse(self, law: list[Tensor], level: Tensor) -> Tensor:
        law = [part.detach().double().expand(level.shape) for part in law]
        level_ = level.double()
        rate, scale = self._compound(law)
        spread = (law[1] * law[0] ** self.power).sqrt()
        low, high = torch.zeros_like(rate), law[0] + spread
        while bool((below := self._distribution(rate, scale, high) < level_).any()):
            high = torch.where(below, 2.0 * high, high)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = self._distribution(rate, scale, middle) < level_
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return torch.where(level_ <= (-rate).exp(), 0.0, high).to(level.dtype)

    def _distribution(self, rate: Tensor, scale: Tensor, value: Tensor) -> Tensor:
        """P(Y <= value): e^-lambda + sum over n of Poisson(n; lambda) times the gamma's own."""
        largest = float(rate.max()) if rate.numel() else 0.0
        side = int(8.0 * largest**0.5 + 20.0)
        number = (rate.round() - side).clamp(min=1.0)[..., None] + torch.arange(
            2 * side + 1, device=rate.device
        )
        weight = (number * rate[..., None].log() - rate[..., None] - torch.lgamma(number + 1.0)).exp()
        below = torch.special.gammainc(number * self.alpha, (value / scale)[..., None])
        return (-rate).exp() + (weight * below).sum(-1)

    def sample(self, law: list[Tensor], generator: torch.Generator | None) -> Tensor:
        rate, scale = self._compound(law)
        number = torch.poisson(rate, generator=generator)
        some = number > 0
        amount = torch._standard_gamma(torch.where(some, number, 1.0) * self.alpha, generator=generator)
        return torch.where(some, amount * scale, 0.0)
