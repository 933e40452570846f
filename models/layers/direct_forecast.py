"""Networks that map the past of each target straight to all steps of the horizon, and what they share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.embedding import InputEmbedding
from models.network import Network, context_window, counted_in_context
from models.static_state import StaticEncoder


@dataclass(frozen=True)
class DirectConfig:
    """Settings that every direct forecast has."""

    covariates: bool = True  # add a linear term of each row's inputs and of the static metadata
    static_width: int = 16


class DirectForecast(Network):
    """(B, context, K) of past targets -> (B, horizon, K * P), every target by itself.

    Such models have fixed places: step h of the horizon is always so many rows after the last known one. A
    window with a shorter history is aligned at its origin; `direct` is told which rows are there, and which
    of them count: a model that takes a series' own level from its past must not take it from a day on which
    a shop was closed. Rows before the origin are 0 in the output.

    The papers' models see nothing but the past of the series. `covariates` is this project's addition: a
    linear map of what is known at the asked row (its inputs, past ones blanked) and of an encoding of the
    static metadata. It starts at zero, so training starts from the paper's model.
    """

    tasks: ClassVar[tuple[str, ...]] = ("horizon",)
    # Asked rows see the history and themselves; rows before the origin are 0.
    causal: ClassVar[bool] = True

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        self.columns = schema.reals("past_target")
        assert len(self.columns) == schema.targets, "a horizon task has the past of every target"
        self.known: InputEmbedding | None = None
        self.static_encoder: StaticEncoder | None = None
        self.static: nn.Linear | None = None
        if config.covariates:
            self.known = InputEmbedding(schema, schema.targets * outputs)
            nn.init.zeros_(self.known.project.weight)
            nn.init.zeros_(self.known.project.bias)
            if schema.static_real or schema.static_category:
                self.static_encoder = StaticEncoder(schema, config.static_width)
                self.static = nn.Linear(config.static_width, schema.targets * outputs, bias=False)
                nn.init.zeros_(self.static.weight)

    @abstractmethod
    def direct(self, past: Tensor, there: Tensor, counted: Tensor, batch: SequenceBatch) -> Tensor:
        """The forecast without covariates: (B, H, K * P), scaled.

        past: (B, context, K) scaled past targets, 0 where `there` (B, context) is False: before the window's
        first row. counted: (B, context) rows that are there, and whose targets are known and judged.
        """

    def forward(self, batch: SequenceBatch) -> Tensor:
        reals, there = context_window(batch, self.schema.context)
        counted = counted_in_context(batch, self.schema.context)
        steps = self.direct(reals[:, :, self.columns], there, counted, batch)
        output = _on_rows(steps, batch)
        if self.known is not None:
            output = output + self.known(batch)
        if self.static_encoder is not None and self.static is not None:
            output = output + self.static(self.static_encoder(batch))[:, None, :]
        asked = batch.used() & ~batch.past()
        return output.masked_fill(~asked[:, :, None], 0.0)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {"covariates": trial.suggest_categorical("covariates", [True, False])}


def by_target(steps: Tensor, horizon: int) -> Tensor:
    """(B, K, H * P) of every target by itself -> (B, H, K * P), as a network's output stands."""
    return steps.unflatten(-1, (horizon, -1)).transpose(1, 2).flatten(2)


def _on_rows(steps: Tensor, batch: SequenceBatch) -> Tensor:
    """(B, H, .) steps from the origin -> (B, L, .) rows; what stands on the others is not to be used."""
    place = torch.arange(batch.rows, device=steps.device)[None, :] - batch.origin[:, None]
    place = place.clamp(0, steps.shape[1] - 1)[:, :, None]
    return steps.gather(1, place.expand(-1, -1, steps.shape[2]))
