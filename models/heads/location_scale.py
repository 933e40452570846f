"""gaussian, laplace, student_t: distributions of the scaled target around a location."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import scipy.stats
import torch
from torch import Tensor, distributions

from models.heads.base import HEADS
from models.heads.distribution import DistributionHead, by_scipy, positive
from models.units import Units


class LocationScaleHead(DistributionHead):
    """Parameters (location, scale, further ones), scaled: y = location + scale * x, x of a standard form.

    The scale is softplus(o) + 1e-4 of the network's output o, so that a likelihood stays bounded.
    """

    count: ClassVar[int] = 2  # of parameters

    @property
    def outputs(self) -> int:
        return self.count

    @property
    def level_outputs(self) -> int:
        return 1

    def forward(self, output: Tensor, units: Units) -> Tensor:
        location, *rest = super().forward(output, units).unbind(-1)
        return torch.stack([location, *self.shape(rest)], dim=-1)

    def shape(self, raw: list[Tensor]) -> list[Tensor]:
        """Raw outputs after the location -> scale, and what stands behind it."""
        return [positive(raw[0])]

    @abstractmethod
    def distribution(self, parameters: Tensor) -> distributions.Distribution:
        """torch's distribution of (..., K) scaled values."""

    def log_likelihood(self, parameters: Tensor, target: Tensor) -> Tensor:
        likelihood: Tensor = self.distribution(parameters).log_prob(target)  # type: ignore[no-untyped-call]
        return likelihood

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0]

    def quantile(self, parameters: Tensor, level: Tensor) -> Tensor:
        quantile: Tensor = self.distribution(parameters[..., None, :]).icdf(level)  # type: ignore[no-untyped-call]
        return quantile


@HEADS.register("gaussian")
class GaussianHead(LocationScaleHead):
    """Normal(mean, deviation), as DeepAR's for real values (Salinas et al. 2020, section 3.1)."""

    def distribution(self, parameters: Tensor) -> distributions.Distribution:
        return distributions.Normal(parameters[..., 0], parameters[..., 1], validate_args=False)

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, deviation = parameters.unbind(-1)
        return mean + deviation * torch.randn(
            mean.shape, generator=generator, device=mean.device, dtype=mean.dtype
        )


@HEADS.register("laplace")
class LaplaceHead(LocationScaleHead):
    """Laplace(median, scale): its likelihood is an L1 loss that learns how sure it is, row by row."""

    def distribution(self, parameters: Tensor) -> distributions.Distribution:
        return distributions.Laplace(parameters[..., 0], parameters[..., 1], validate_args=False)

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        median, scale = parameters.unbind(-1)
        # The difference of two exponentials; unlike the inverse at 0 it is never infinite.
        waits = torch.empty((2, *median.shape), device=median.device, dtype=median.dtype)
        first, second = waits.exponential_(generator=generator).unbind(0)
        return median + scale * (first - second)


@HEADS.register("student_t")
class StudentTHead(LocationScaleHead):
    """Student t(location, scale, degrees of freedom above 2, so that its variance is finite)."""

    count: ClassVar[int] = 3

    def shape(self, raw: list[Tensor]) -> list[Tensor]:
        return [positive(raw[0]), 2.0 + positive(raw[1])]

    def distribution(self, parameters: Tensor) -> distributions.Distribution:
        location, scale, freedom = parameters.unbind(-1)
        return distributions.StudentT(freedom, location, scale, validate_args=False)

    def quantile(self, parameters: Tensor, level: Tensor) -> Tensor:
        location, scale, freedom = (part[..., None] for part in parameters.unbind(-1))
        return location + scale * by_scipy(scipy.stats.t.ppf, level, freedom)

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location, scale, freedom = parameters.unbind(-1)
        normal = torch.randn(
            location.shape, generator=generator, device=location.device, dtype=location.dtype
        )
        chi_square = 2.0 * torch._standard_gamma(freedom / 2.0, generator=generator)
        return location + scale * normal * (freedom / chi_square).sqrt()
