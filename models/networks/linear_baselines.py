"""nlinear, dlinear: one linear map from the past of a series to its next rows (Zeng et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.configure import one_of
from data.errors import InputError
from data.schema import InputSchema
from models.layers.direct_forecast import DirectConfig, DirectForecast, by_target
from models.layers.lagged_values import newest_known
from models.network import NETWORKS

INDIVIDUAL = ("none", "target", "series")


@dataclass(frozen=True)
class LinearConfig(DirectConfig):
    """Settings of both."""

    individual: str = "none"  # who has maps of their own: none (all share one), target, series


class HorizonMap(nn.Module):
    """y = W x + b from C rows of the past to O outputs, for all, for each target, or for each series.

    A series' own map is added to the shared one and starts at zero, so a series that training has not seen
    (index -1) is forecast by the shared one.

    Every output starts at the mean of the past (weights of 1 / C), as in the paper's code for pictures of the
    weights: a map is convex to fit, so a random start only has to be unlearnt.
    """

    def __init__(self, schema: InputSchema, outputs: int, individual: str) -> None:
        super().__init__()
        one_of(individual, INDIVIDUAL, "individual", "individual")
        context = schema.context
        maps = schema.targets if individual == "target" else 1
        self.weight = nn.Parameter(torch.full((maps, context, outputs), 1.0 / context))
        self.bias = nn.Parameter(torch.zeros(maps, outputs))
        self.own: nn.Embedding | None = None
        if individual == "series":
            self.own = nn.Embedding(schema.series, context * outputs)
            nn.init.zeros_(self.own.weight)

    def forward(self, past: Tensor, series: Tensor) -> Tensor:
        """past (B, C, K), series (B,) -> (B, K, O)."""
        weight = self.weight.expand(past.shape[2], -1, -1)
        mapped = torch.einsum("bck,kco->bko", past, weight) + self.bias
        if self.own is not None:
            own = self.own(series.clamp(min=0)).unflatten(-1, self.weight.shape[1:])  # (B, C, O)
            own = own.masked_fill((series < 0)[:, None, None], 0.0)
            mapped = mapped + torch.einsum("bck,bco->bko", past, own)
        return mapped


@NETWORKS.register("nlinear")
class NLinear(DirectForecast):
    """One linear map of the changes from the last known value x_C: y = W (x - x_C) + b + x_C.

    Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", AAAI, arXiv 2205.13504,
    section 4.2. Rows that a short history lacks, and rows that are missing or not judged, stand at x_C, so
    they take no part, and are never x_C themselves (0 where no row is left). A head's outputs that are no
    values (a deviation, logits) do not get x_C back.
    """

    @dataclass(frozen=True)
    class Config(LinearConfig):
        """Settings with their defaults."""

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        self.map = HorizonMap(schema, schema.horizon * outputs, config.individual)

    def direct(self, past: Tensor, there: Tensor, counted: Tensor, batch: SequenceBatch) -> Tensor:
        last, _ = newest_known(past, counted)  # (B, 1, K)
        change = (past - last).masked_fill(~counted[:, :, None], 0.0)
        steps = by_target(self.map(change, batch.series), self.schema.horizon)
        return self.add_level(steps, last.expand(-1, self.schema.horizon, -1))

    @classmethod
    def small(cls) -> Any:
        return cls.Config(static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), *(cls.Config(static_width=8, individual=kind) for kind in INDIVIDUAL[1:])]


@NETWORKS.register("dlinear")
class DLinear(DirectForecast):
    """A linear map of the trend, and one of what is left: y = W_t trend + W_s (x - trend) + b.

    Zeng et al. 2023 (arXiv 2205.13504), section 4.2. The trend is the average over `kernel` rows around each,
    ends repeated, as in Autoformer. Rows that a short history lacks stand at its first value; rows that are
    not judged are read like others, since no level is taken from them.
    """

    @dataclass(frozen=True)
    class Config(LinearConfig):
        """Settings with their defaults."""

        kernel: int = 25  # rows of the moving average; odd

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        if config.kernel < 1 or config.kernel % 2 == 0:
            raise InputError(f"kernel: {config.kernel}; expected an odd number of rows, e.g. 25")
        self.trend = HorizonMap(schema, schema.horizon * outputs, config.individual)
        self.season = HorizonMap(schema, schema.horizon * outputs, config.individual)

    def direct(self, past: Tensor, there: Tensor, counted: Tensor, batch: SequenceBatch) -> Tensor:
        trend, season = decompose(fill_front(past, there), self.config.kernel)
        steps = self.trend(trend, batch.series) + self.season(season, batch.series)
        return by_target(steps, self.schema.horizon)

    @classmethod
    def small(cls) -> Any:
        return cls.Config(static_width=8, kernel=5)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(static_width=8, kernel=25, individual="series")]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        kernel = trial.suggest_int("kernel", 5, 51, step=2)
        return {**super().search(trial), "kernel": kernel}


def fill_front(past: Tensor, there: Tensor) -> Tensor:
    """(B, C, K) with the first value that is there in the rows before it; `there`: (B, C) bool."""
    first = (~there).sum(1).clamp(max=there.shape[1] - 1)
    value = past.gather(1, first[:, None, None].expand(-1, 1, past.shape[2]))
    return torch.where(there[:, :, None], past, value)


def decompose(past: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """(B, C, K) -> its moving average over `kernel` rows (odd), ends repeated, and what is left of it."""
    reach = (kernel - 1) // 2
    padded = nn.functional.pad(past.transpose(1, 2), (reach, reach), mode="replicate")
    trend = nn.functional.avg_pool1d(padded, kernel, stride=1).transpose(1, 2)
    return trend, past - trend
