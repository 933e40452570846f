"""tcnn: a convolution as long as the window, the baseline of "How long dependencies can LSTM & T-CNN really
remember?" (D. Wipam, Towards Data Science; code in github.com/dwipam/medium-3, t-cnn.py).

    a = softplus(sum over places p of W_p x_p + b)       Conv1d, kernel as long as the window: (B, filters)
    u = softplus(W_u a + b_u)                            Dense(units)
    y = W_y u + b_y                                      Dense: one output a row that can be asked

The article has one output, 3 filters and 2 units. Here every row from the origin on has outputs of its own,
and filters and units are by themselves three and two an output: with one asked row that is the article's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.configure import one_of
from data.errors import InputError
from data.schema import InputSchema
from models.embedding import CategoryEmbedding
from models.network import NETWORKS, Network
from models.static_state import MODES, StaticState

#: Filters and units an output in the article, and the most that they become by themselves.
FILTERS, UNITS, MOST = 3, 2, 256


@NETWORKS.register("tcnn")
class TCNNNetwork(Network):
    """One filter bank over the whole window, whose rows stand at fixed places counted from the origin.

    Place p is row origin - context + p of a window, p = 0 .. context + horizon - 1: in sequence tasks the
    window from its first row (origin 0, context 0), in horizon tasks the history and then the known inputs of
    the horizon. Where a window has no row the place holds zeros. Static metadata is added to every row.

    What it cannot do: nothing is shared along the rows, so it learns every lag by itself, its parameters grow
    with the window's length, and a pattern one row later is a new one to it. Windows longer than the schema's
    are cut: rows before origin - context are not seen, rows from origin + horizon on have no output (0.0).
    It has no memory to lose, which makes it the baseline of the memory probes. A probe that judges the last
    row alone trains one output of a window's many; the parameters of the others are counted all the same.

    Raises InputError where `filters` or `units` is negative.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        filters: int = 0  # 0: three for each output of the horizon, at most 256; the article's 3 for one
        units: int = 0  # of the first dense layer; 0: two for each output, at most 256
        dropout: float = 0.0  # on the filters' outputs
        static_state: str = "state"  # concatenate and both do the same; learned and random: none
        static_width: int = 32

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        one_of(config.static_state, MODES, "static_state", "static_state")
        if min(config.filters, config.units) < 0:
            raise InputError(f"tcnn: filters={config.filters}, units={config.units}; expected 0 or more")
        self.category = CategoryEmbedding(schema.category_size) if schema.category_size else None
        # Without any input column a row has one that is zero: the place is all there is to go by.
        self.blank = not schema.real and self.category is None
        width = 1 if self.blank else len(schema.real) + (self.category.width if self.category else 0)
        self.static_state = StaticState(schema, [[]], [width], config.static_state, config.static_width)
        total = schema.horizon * schema.targets * outputs
        filters = config.filters or min(FILTERS * total, MOST)
        units = config.units or min(UNITS * total, MOST)
        self.convolution = nn.Conv1d(width, filters, schema.length)
        self.dropout = nn.Dropout(config.dropout)
        self.first = nn.Linear(filters, units)
        self.second = nn.Linear(units, total)

    def forward(self, batch: SequenceBatch) -> Tensor:
        inputs = self._inputs(batch)  # (B, L, width)
        step = torch.arange(self.schema.length, device=inputs.device)
        row = batch.origin[:, None] - self.schema.context + step[None, :]  # (B, places)
        placed = rows_at(inputs, row, batch.length)
        activation = nn.functional.softplus(self.convolution(placed.transpose(1, 2)))[:, :, 0]  # (B, filters)
        units = nn.functional.softplus(self.first(self.dropout(activation)))
        forecast = self.second(units).unflatten(-1, (self.schema.horizon, -1))  # (B, horizon, K * P)
        steps = torch.arange(batch.rows, device=inputs.device)[None, :] - batch.origin[:, None]  # (B, L)
        output = rows_at(forecast, steps, torch.full_like(batch.length, self.schema.horizon))
        return output.masked_fill(~batch.used()[:, :, None], 0.0)

    def _inputs(self, batch: SequenceBatch) -> Tensor:
        """(B, L, width): reals beside the embedded categories, and the static encoding added to them."""
        unused = ~batch.used()[:, :, None]
        inputs = batch.real.masked_fill(unused, 0.0)
        if self.blank:
            inputs = inputs.new_zeros(*inputs.shape[:2], 1)
        if self.category is not None:
            looked_up = self.category(batch.category.masked_fill(unused, 0))
            inputs = torch.cat([inputs, looked_up], dim=-1)
        addition = self.static_state(batch)[1][0]
        return inputs if addition is None else inputs + addition

    @classmethod
    def small(cls) -> Any:
        return cls.Config(filters=12, units=12, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(static_width=8)]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "filters": trial.suggest_categorical("filters", [0, 16, 64, 256]),
            "units": trial.suggest_categorical("units", [0, 16, 64, 256]),
            "dropout": trial.suggest_float("dropout", 0.0, 0.5),
            "static_state": trial.suggest_categorical("static_state", ["state", "none"]),
        }


def rows_at(values: Tensor, row: Tensor, length: Tensor) -> Tensor:
    """(B, N, W): rows `row` (B, N) of `values` (B, L, W); zeros where a row is not in 0 .. `length` - 1."""
    there = (row >= 0) & (row < length[:, None])
    index = torch.where(there, row, 0)[:, :, None].expand(-1, -1, values.shape[2])
    return values.gather(1, index).masked_fill(~there[:, :, None], 0.0)
