"""seasonal_lag: tomorrow's value is last year's, under noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.probes.base import PROBES, Probe
from data.probes.judged import Chance, Goal
from data.probes.parts import Part


@PROBES.register("seasonal_lag")
class SeasonalLag(Probe):
    """z_t = rho z_{t - lag} + sqrt(1 - rho^2) e_t: last year's price; the length is the lag, in rows.

    z and e are N(0, 1) and independent but for this line: no other lag tells anything. The window shows one
    season, z_0, ..., z_{lag - 1}; then come `horizon` rows that are asked, their inputs blank (`given` is 0),
    each with its answer `lag` rows before it. With lag 365 on daily data that is last year's day. Chance is
    the variance, 1; whoever knows rho and finds the row errs by 1 - rho^2, the noise (`floor`). It is our
    own, so no published figure is of it.

        z      1.54 -.29 -2.18 .57 -1.08 -1.40    0   0     0
        given     1    1     1   1     1     1    0   0     0
        target    .    .     .   .     .     . 1.56 .10 -2.27
    """

    @dataclass(frozen=True)
    class Config(Probe.Config):
        """Settings."""

        correlation: float = 0.9  # rho: of a value with last year's
        horizon: int = 28  # rows that are asked; at most the lag

        def check(self, where: str) -> None:
            super().check(where)
            if not 0 < self.correlation <= 1:
                raise InputError(f"{where}.correlation: found {self.correlation}, expected above 0, up to 1")
            if self.horizon < 1:
                raise InputError(f"{where}.horizon: found {self.horizon}, expected 1 or more")

    title = "Seasonal lag"
    lengths = (7, 28, 91, 182, 365)
    example = 6
    example_settings: ClassVar[Mapping[str, Any]] = {"horizon": 3}
    reals = ("z", "given")

    def rows(self, length: int) -> int:
        return length + self._asked(length)

    def _asked(self, length: int) -> int:
        return min(self.config.horizon, length)

    @property
    def floor(self) -> float:
        """Mean squared error of the best forecast there is."""
        return float(1 - self.config.correlation**2)

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        asked, rho = self._asked(length), self.config.correlation
        season = torch.randn(count, length, generator=generator)
        noise = math.sqrt(1 - rho**2) * torch.randn(count, asked, generator=generator)
        blank = torch.zeros(count, asked)
        given = (torch.arange(length + asked) < length).expand(count, -1)
        return self.windows(
            torch.cat([torch.zeros(count, length), rho * season[:, :asked] + noise], dim=1),
            ~given,
            real=torch.stack([torch.cat([season, blank], dim=1), given.float()], dim=-1),
        )

    def chance(self, length: int) -> Chance:
        return Chance(1.0)

    def goal(self, length: int) -> Goal:
        """Nine tenths of the variance that can be explained are."""
        return Goal(error=1 - 0.9 * (1 - self.floor))

    def oracle(self, batch: SequenceBatch) -> Tensor:
        season = int(batch.real[0, :, 1].sum())
        z = batch.real[..., 0]
        last_year = torch.cat([torch.zeros_like(z[:, :season]), z[:, : batch.rows - season]], dim=1)
        return self.config.correlation * last_year[..., None]

    def blind(self, batch: SequenceBatch) -> Tensor:
        return torch.zeros(*batch.weight.shape, 1)

    @classmethod
    def variants(cls) -> list[Config]:
        return [cls.Config(), cls.Config(correlation=1.0, horizon=3)]
