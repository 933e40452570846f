"""poisson, negative_binomial: counts in original units."""

from __future__ import annotations

from typing import ClassVar

import scipy.stats
import torch
from torch import Tensor, distributions

from models.heads.base import HEADS
from models.heads.distribution import by_scipy, positive
from models.heads.original_units import NonNegativeHead


@HEADS.register("poisson")
class PoissonHead(NonNegativeHead):
    """Poisson(mean): the variance is the mean."""

    count: ClassVar[int] = 1

    def log_mass(self, law: list[Tensor], value: Tensor) -> Tensor:
        mass: Tensor = distributions.Poisson(law[0], validate_args=False).log_prob(value)  # type: ignore[no-untyped-call]
        return mass

    def inverse(self, law: list[Tensor], level: Tensor) -> Tensor:
        return by_scipy(scipy.stats.poisson.ppf, level, law[0]).clamp(min=0.0)

    def sample(self, law: list[Tensor], generator: torch.Generator | None) -> Tensor:
        return torch.poisson(law[0], generator=generator)


@HEADS.register("negative_binomial")
class NegativeBinomialHead(NonNegativeHead):
    """Negative binomial with mean mu and shape alpha: variance mu + alpha mu^2.

    As in DeepAR alpha = softplus(o) / sqrt(nu) (Salinas et al. 2020, sections 3.1 and 3.3).
    """

    count: ClassVar[int] = 2

    def law(self, raw: list[Tensor], size: Tensor) -> list[Tensor]:
        return [*super().law(raw, size), positive(raw[1]) / size.sqrt()]

    def log_mass(self, law: list[Tensor], value: Tensor) -> Tensor:
        mean, shape = law
        law_of_torch = distributions.NegativeBinomial(
            1.0 / shape, logits=(mean * shape).log(), validate_args=False
        )
        mass: Tensor = law_of_torch.log_prob(value)  # type: ignore[no-untyped-call]
        return mass

    def inverse(self, law: list[Tensor], level: Tensor) -> Tensor:
        mean, shape = law
        return by_scipy(
            lambda at, mean, shape: scipy.stats.nbinom.ppf(at, 1.0 / shape, 1.0 / (1.0 + mean * shape)),
            level,
            mean,
            shape,
        ).clamp(min=0.0)

    def sample(self, law: list[Tensor], generator: torch.Generator | None) -> Tensor:
        mean, shape = law  # a Poisson whose rate is gamma distributed
        rate = torch._standard_gamma(1.0 / shape, generator=generator) * mean * shape
        return torch.poisson(rate, generator=generator)
