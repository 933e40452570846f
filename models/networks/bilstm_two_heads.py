"""bilstm_two_heads: a deep BiLSTM whose rows are read by one of two heads, as a known column says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.errors import UnfitForData, unknown
from data.schema import InputSchema
from models.network import NETWORKS
from models.networks.stack import Stack, StackConfig


@NETWORKS.register("bilstm_two_heads")
class BiLSTMTwoHeads(Stack):
    """Model A of the first place in Google Brain's Ventilator Pressure Prediction (Kaggle 2021).

    h = BiLSTM(inputs), 4 layers; z = SiLU(W h); y_t = V_s z_t with s = 0 or 1 as the known column `switch`
    says at row t: there `switch: u_out`, one head for inspiration and one for expiration; for Rossmann
    `switch: Open`. Without a switch all rows have one head, and what is left is model A's trunk.

    The first place's loss is half the error of either phase, although only inspiration is judged:
    fit.unjudged_weight gives rows that are not judged a part in the loss. With 0 the head of rows that are
    never judged learns nothing.

    A real switch has been scaled by the training rows (windows.input_scaling), so it is compared with
    `threshold` in scaled units: 0 lies between the two values of a column that is standardised, scaled by
    ranks, or left as 0 and 1. Only `robust` may put one of them at 0 itself: then give what lies between.
    The published size is hidden 512.
    """

    @dataclass(frozen=True)
    class Config(StackConfig):
        """Settings with their defaults."""

        hidden: int = 64  # units of each direction
        layers: int = 4
        dropout: float = 0.0  # between layers
        switch: str | None = None  # a known column of two values; null: one head for all rows
        threshold: float = 0.0  # of a real switch, scaled: rows above it have the second head
        skip: bool = False

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        self._switch = None if config.switch is None else _find(schema, config.switch)
        if self._switch is not None:
            last = self.head[-1]
            assert isinstance(last, nn.Linear)
            both = nn.Linear(last.in_features, 2 * last.out_features)
            with torch.no_grad():  # both start as the one head would, which may be at the naive forecast
                both.weight.copy_(last.weight.repeat(2, 1))
                both.bias.copy_(last.bias.repeat(2))
            self.head[-1] = both

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        return [
            {
                "name": "lstm",
                "hidden": config.hidden,
                "layers": config.layers,
                "bidirectional": True,
                "dropout": config.dropout,
            }
        ]

    def read_out(self, hidden: Tensor, batch: SequenceBatch) -> Tensor:
        output = super().read_out(hidden, batch)
        if self._switch is None:
            return output
        first, second = output.chunk(2, dim=-1)  # (B, L, K * P) each
        rows = hidden.shape[1]  # the last one of the batch alone, where no other is wanted
        return torch.where(self._second(batch)[:, -rows:, None], second, first)

    def _second(self, batch: SequenceBatch) -> Tensor:
        """(B, L) bool: rows that the second head reads."""
        assert self._switch is not None
        kind, column = self._switch
        if kind == "real":
            return batch.real[:, :, column] > self.config.threshold
        return batch.category[:, :, column] > 1  # codes: 0 unknown, then the two values

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6, layers=2, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=6, layers=1, static_width=8, switch="known_0", head="linear")]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [64, 128, 256, 512]),
            "layers": trial.suggest_int("layers", 2, 5),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
            "static_state": trial.suggest_categorical("static_state", ["state", "concatenate", "both"]),
        }


def _find(schema: InputSchema, name: str) -> tuple[str, int]:
    """Kind (real or category) and column of the switch. Raises UnfitForData for what cannot be one."""
    known = [schema.real[column] for column in schema.reals("known")]
    if name in known:
        return "real", schema.real.index(name)
    if name not in schema.category:
        raise UnfitForData(str(unknown("known column", name, [*known, *schema.category], "switch")))
    column = schema.category.index(name)
    values = schema.category_size[column] - 1
    if values != 2:
        raise UnfitForData(
            f"switch: the categorical column {name!r} has {values} values; expected 2, one for each head"
        )
    return "category", column
