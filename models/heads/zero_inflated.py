"""zero_inflated_poisson, zero_inflated_negative_binomial: counts that are 0 more often than they should."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from data.schema import InputSchema
from models.heads.base import HEADS
from models.heads.counts import NegativeBinomialHead, PoissonHead
from models.heads.original_units import NonNegativeHead


class ZeroInflatedHead(NonNegativeHead):
    """0 with probability pi, else a draw of `inner` (Lambert 1992); the law's last parameter is logit(pi)."""

    inner: ClassVar[type[NonNegativeHead]]

    def __init__(self, schema: InputSchema, config: Any = None) -> None:
        super().__init__(schema, config)
        self._inner = self.inner(schema, self.inner.Config(point=self.config.point))

    @property
    def outputs(self) -> int:
        return self._inner.outputs + 1

    def law(self, raw: list[Tensor], size: Tensor) -> list[Tensor]:
        return [*self._inner.law(raw[:-1], size), raw[-1]]

    def log_mass(self, law: list[Tensor], value: Tensor) -> Tensor:
        counted = functional.logsigmoid(-law[-1]) + self._inner.log_mass(law[:-1], value)
        return torch.where(value == 0, torch.logaddexp(functional.logsigmoid(law[-1]), counted), counted)

    def inverse(self, law: list[Tensor], level: Tensor) -> Tensor:
        inflation = law[-1].sigmoid()
        rest = (level - inflation) / (1.0 - inflation).clamp(min=1e-12)
        value = self._inner.inverse(law[:-1], rest.clamp(0.0, 1.0 - 1e-7))
        return torch.where(level <= inflation, 0.0, value)

    def sample(self, law: list[Tensor], generator: torch.Generator | None) -> Tensor:
        value = self._inner.sample(law[:-1], generator)
        chance = torch.rand(value.shape, generator=generator, device=value.device, dtype=value.dtype)
        return torch.where(chance < law[-1].sigmoid(), 0.0, value)

    def expectation(self, law: list[Tensor]) -> Tensor:
        return (-law[-1]).sigmoid() * self._inner.expectation(law[:-1])


@HEADS.register("zero_inflated_poisson")
class ZeroInflatedPoissonHead(ZeroInflatedHead):
    """0 with probability pi, else Poisson."""

    inner: ClassVar[type[NonNegativeHead]] = PoissonHead


@HEADS.register("zero_inflated_negative_binomial")
class ZeroInflatedNegativeBinomialHead(ZeroInflatedHead):
    """0 with probability pi, else negative binomial."""

    inner: ClassVar[type[NonNegativeHead]] = NegativeBinomialHead
