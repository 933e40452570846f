"""es_rnn: exponential smoothing of every series, and a recurrent network for all that it cannot say.

Smyl 2020, "A hybrid method of exponential smoothing and recurrent neural networks for time series
forecasting", IJF 36 (first place of the M4 competition). With level l_t and seasonal factors s_k,t by
models/layers/exponential_smoothing.py, whose coefficients are trained for every series with the network,

    x_t      = log(y_t / (l_T prod_k s_k,t))                              T: the row before the origin
    forecast = l_T prod_k s_k,t * exp(network(x, s, all other inputs))

(additive: without logarithm and exponential, "-" and "+"). So the network sees all series alike, without
their levels, seasons and scales, and its training starts at the forecast of the smoothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.configure import one_of
from data.errors import InputError, UnfitForData
from data.schema import InputSchema, Role
from models.layers.exponential_smoothing import Seasonality
from models.layers.series_smoothing import Decomposition, SeriesSmoothing, SmoothingSettings
from models.network import NETWORKS, Network
from models.networks.stack import Stack

KINDS = ("auto", "multiplicative", "additive")

#: Rows that the recurrent layers look back at least, where there are as many.
LEAST_LOOKBACK = 24

#: Inputs are squashed to within +-SQUASH by c tanh(x / c), which is x where x is small.
SQUASH = 3.0

#: The exponential is continued by its tangents outside of these.
LOWEST_EXPONENT, HIGHEST_EXPONENT = -1.0, 3.0


@NETWORKS.register("es_rnn")
class ESRNN(Network):
    """A smoothing of every series, and a stack of dilated LSTM layers on what it leaves.

    The layers run over the last `lookback` rows of history and the horizon. A row's inputs are, for every
    target: x_t (0 from the origin on); the seasonal factors; what the level did over the last season; and the
    window of Smyl's network by phases: the last `rounds` rows before the origin (and before this row) of the
    same phase of each season, over this row's own l_T s_k,t. Beside them stand all other columns of a batch.
    Static metadata gives the initial states. Each row of the horizon has an output of its own, since known
    inputs differ by row; Smyl has all steps from one row.

    seasonality_kind=auto is additive under a logarithm (target_transform log, log1p), where that is
    multiplicative in the target's own units, else multiplicative. Phases are counted in rows of the window:
    gaps in a calendar are rows too. All scalings will do; `windows.scaling=mean` is the nearest to Smyl's.

    Raises InputError for periods that the history does not hold, and for settings out of their range.
    """

    tasks: ClassVar[tuple[str, ...]] = ("horizon",)

    @dataclass(frozen=True)
    class Config(SmoothingSettings):
        """Settings with their defaults."""

        hidden: int = 40
        # By block, then layer; []: 1, 4 and the periods, a block each (Smyl for hourly series: two of two).
        dilations: list[list[int]] = field(default_factory=list)
        dropout: float = 0.0  # on each block's output
        lookback: int = 0  # rows before the origin that the layers see; 0: the longest period, or 24
        periods: list[int] = field(
            default_factory=list
        )  # []: of the seasonality, what the context holds twice
        rounds: int = 7  # rows of its own phase that a row sees, of each period
        seasonality_kind: str = "auto"  # multiplicative, additive, auto
        static_state: str = (
            "state"  # how static metadata enters: state, concatenate, both, none, learned, random
        )
        static_width: int = 32
        head: str = "mlp"  # linear, or mlp: Linear, SiLU, Linear
        head_dropout: float = 0.0

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        _check(config)
        one_of(config.seasonality_kind, KINDS, "seasonality_kind", "seasonality_kind")
        logarithm = schema.target_transform.startswith("log")
        additive = config.seasonality_kind == "additive" or (config.seasonality_kind == "auto" and logarithm)
        self.kind = Seasonality(not additive)
        self.periods = _periods(schema, config.periods)
        self.rounds = [min(config.rounds, schema.context // period) for period in self.periods]
        self.lookback = min(config.lookback or max(LEAST_LOOKBACK, *self.periods, 0), schema.context)
        self.smoothing = SeriesSmoothing(schema, self.periods, self.kind, config)
        past_target = schema.reals("past_target")
        self.other = [index for index in range(len(schema.real)) if index not in past_target]
        self.stack = Stack(self._stack_schema(), self._stack_settings(), outputs)
        last: Any = self.stack.head[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, batch: SequenceBatch) -> Tensor:
        with torch.autocast(batch.real.device.type, enabled=False):
            parts = self.smoothing(batch)  # a level in bfloat16 would be off by half a per cent
            row = self._rows(batch)
            features = self._features(parts, batch, row)
        inner = _cut(batch, row)
        real = torch.cat([inner.real[:, :, self.other], features.to(inner.real.dtype)], dim=-1)
        output = self.stack(inner._replace(real=real)).float()  # (B, R, K * P)
        forecast = self._joined(output, parts, row)
        place = torch.arange(batch.rows, device=row.device)[None, :] - row[:, :1]  # in `row`, of each row
        asked = (place >= 0) & (place < row.shape[1]) & batch.used()
        index = place.clamp(0, row.shape[1] - 1)[:, :, None].expand(-1, -1, forecast.shape[2])
        return forecast.gather(1, index).masked_fill(~asked[:, :, None], 0.0)

    def _rows(self, batch: SequenceBatch) -> Tensor:
        """(B, R) rows of each window that the layers run over; the last ones may lie outside of it."""
        start = (batch.origin - self.lookback).clamp(min=0)
        count = min(self.lookback + self.schema.horizon, batch.rows)
        return start[:, None] + torch.arange(count, device=start.device)[None, :]

    def _features(self, parts: Decomposition, batch: SequenceBatch, row: Tensor) -> Tensor:
        """(B, R, K * .) inputs of the layers from the smoothing, in the order of `_feature_names`."""
        targets = self.schema.targets
        origin = self._of_targets(batch.origin[:, None])  # (N, 1)
        row = self._of_targets(row)  # (N, R)
        base = self.kind.coordinate(at_rows(parts.base, row))
        past = (row < origin) & at_rows(parts.known, row)
        features = [(at_rows(parts.value, row) - base).masked_fill(~past, 0.0)]
        for period, rounds, seasonal in zip(self.periods, self.rounds, parts.seasonal, strict=True):
            features.append(at_rows(seasonal, row))
            earlier = at_rows(parts.level, (origin - 1 - period).clamp(min=0))
            features.append((parts.level[:, -1:] - earlier).expand_as(base))
            # Whole seasons back to before the origin, and one at least.
            seasons = ((row - origin).div(period, rounding_mode="floor") + 1).clamp(min=1)
            for more in range(rounds):
                other = row - (seasons + more) * period
                known = (other >= 0) & at_rows(parts.known, other)
                features.append((at_rows(parts.value, other) - base).masked_fill(~known, 0.0))
        stacked = SQUASH * torch.tanh(torch.stack(features, dim=-1) / SQUASH)  # (N, R, .)
        step = ((row[::targets] - origin[::targets]) / self.schema.horizon).clamp(-1.0, 1.0)
        of_targets = stacked.unflatten(0, (-1, targets)).transpose(1, 2).flatten(2)
        return torch.cat([of_targets, step[:, :, None]], dim=-1)

    def _joined(self, output: Tensor, parts: Decomposition, row: Tensor) -> Tensor:
        """The stack's output (B, R, K * P) joined with the smoothing, where it is in the target's units."""
        moved, rest = output.unflatten(-1, (-1, self.outputs)).tensor_split([self.level_outputs], dim=-1)
        base = at_rows(parts.base, self._of_targets(row)).view(len(row), -1, row.shape[1]).transpose(1, 2)
        joined = base[..., None] * growth(moved) if self.kind.multiplicative else base[..., None] + moved
        joined = joined - parts.shift.view(len(row), 1, -1, 1)
        return torch.cat([joined, rest], dim=-1).flatten(2)

    def _of_targets(self, of_windows: Tensor) -> Tensor:
        """(B, .) -> (N, .): the same for all targets of a window."""
        return of_windows.repeat_interleave(self.schema.targets, dim=0)

    def _feature_names(self) -> list[str]:
        names = []
        for target in self.schema.target:
            names.append(f"smoothed.{target}")
            for period, rounds in zip(self.periods, self.rounds, strict=True):
                names += [f"season.{period}.{target}", f"trend.{period}.{target}"]
                names += [f"phase.{period}.{back}.{target}" for back in range(1, rounds + 1)]
        return [*names, "step"]

    def _stack_schema(self) -> InputSchema:
        names = self._feature_names()
        role: list[Role] = ["past"] * len(names)
        return self.schema._replace(
            real=(*(self.schema.real[index] for index in self.other), *names),
            real_role=(*(self.schema.real_role[index] for index in self.other), *role),
            context=self.lookback,
        )

    def _stack_settings(self) -> Any:
        config = self.config
        dilations = config.dilations or [[dilation] for dilation in (1, 4, *self.periods)]
        mixer = {"hidden": config.hidden, "dilations": dilations, "dropout": config.dropout}
        return Stack.Config(
            mixers=[{"name": "dilated_lstm", **mixer}],
            static_state=config.static_state,
            static_width=config.static_width,
            head=config.head,
            head_dropout=config.head_dropout,
        )

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=8, dilations=[[1, 2]], rounds=2, lookback=6, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=6, seasonality_kind="additive", zeros=True, static_width=8)]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [24, 40, 64, 96]),
            "lookback": trial.suggest_categorical("lookback", [0, 48, 96]),
            "rounds": trial.suggest_int("rounds", 2, 10),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
            "head_dropout": trial.suggest_float("head_dropout", 0.0, 0.3),
            "series_rate": trial.suggest_float("series_rate", 1.0, 30.0, log=True),
            "seasonality_kind": trial.suggest_categorical("seasonality_kind", ["multiplicative", "additive"]),
        }


def growth(exponent: Tensor) -> Tensor:
    """exp(x), continued by its tangents below -1 and above 3.

    So it neither overflows nor loses its gradient, and a forecast below zero can be learnt.
    """
    inside = exponent.clamp(LOWEST_EXPONENT, HIGHEST_EXPONENT)
    return inside.exp() * (1.0 + exponent - inside)


def at_rows(values: Tensor, row: Tensor) -> Tensor:
    """values (N, L) at rows (N, R); of rows outside of the window the nearest one."""
    return values.gather(1, row.clamp(0, values.shape[1] - 1))


def _cut(batch: SequenceBatch, row: Tensor) -> SequenceBatch:
    """The rows (B, R) of a batch as windows of their own, without target."""
    index = row.clamp(max=batch.rows - 1)
    cut = {
        name: field.gather(1, index if field.dim() == 2 else index[:, :, None].expand(-1, -1, field.shape[2]))
        for name, field in batch._asdict().items()
        if name in ("real", "category", "time", "asked", "weight", "row_id", "counted") and field is not None
    }
    return batch._replace(
        **cut,
        length=(batch.length - row[:, 0]).clamp(max=row.shape[1]),
        origin=batch.origin - row[:, 0],
        target=None,
    )


def _check(config: Any) -> None:
    for name in ("rounds", "lookback"):
        if getattr(config, name) < 0:
            raise InputError(f"es_rnn.{name}={getattr(config, name)}: expected 0 or more")
    for name in ("floor", "series_rate"):
        if getattr(config, name) <= 0:
            raise InputError(f"es_rnn.{name}={getattr(config, name)}: expected a number above 0")


def _periods(schema: InputSchema, wanted: list[int]) -> tuple[int, ...]:
    """Periods in rows, rising: those that are wanted, else all of the schema that the context holds twice."""
    if not wanted:
        return tuple(sorted({period for period in schema.seasonality if 2 <= period <= schema.context // 2}))
    outside = [period for period in wanted if not 2 <= period <= schema.context]
    if outside:
        raise UnfitForData(
            f"es_rnn.periods: found {outside[0]}, expected 2 to the {schema.context} rows of windows.context"
        )
    return tuple(sorted(set(wanted)))
