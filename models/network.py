"""The base class of everything that maps a SequenceBatch to (B, L, K * P)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.registry import Registry
from data.schema import InputSchema
from models.interpretation import Looked
from models.own_forecasts import OwnForecasts

if TYPE_CHECKING:
    from models.heads import Head

NETWORKS: Registry[type[Network]] = Registry("network", "models.networks")


class Network(nn.Module, ABC):
    """A network states its settings as a nested frozen dataclass `Config` and its inputs by an InputSchema.

    `outputs` is P, the number of outputs per target (and row) that the head asked for. In evaluation the
    output must not depend on `batch.target`.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults; the fields are the keys of conf/member/<name>.yaml."""

    #: True: row t of the output depends on rows up to t only, whatever the settings.
    causal: ClassVar[bool] = False
    tasks: ClassVar[tuple[str, ...]] = ("sequence", "horizon")
    #: The head that it is made for, for fit.head=auto; None: quantile if quantiles are asked for, else point.
    default_head: ClassVar[str | None] = None

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__()
        self.schema = schema
        self.config = config
        self.outputs = outputs
        #: How many of a target's outputs, from the first on, are values in its own scaled units (set by what
        #: knows the head): a level that is added to the output is added to these.
        self.level_outputs = outputs
        #: What its outputs say, for a network that reads its own forecasts.
        self.own_forecasts = OwnForecasts(schema)

    def read_by(self, head: Head) -> None:
        """Tell it the head that reads its outputs."""
        self.level_outputs = head.level_outputs
        self.own_forecasts = OwnForecasts(self.schema, head)

    @abstractmethod
    def forward(self, batch: SequenceBatch) -> Tensor:
        """(B, L, K * P), target-major: output p of target k stands at k * P + p."""

    def taught(self, batch: SequenceBatch) -> Tensor:
        """What the loss judges, (B, L, K * P): the one place where `batch.target` may be read in evaluation.

        That is on an inner slice of the training part, for a network that is fitted to the next row given
        the true ones before it, as in training.
        """
        output: Tensor = self(batch)
        return output

    def sample(self, batch: SequenceBatch) -> Tensor | None:
        """(N, B, L, K), scaled: N futures of each window, for a network whose forecast is made of them.

        None: `forward` says it all. The futures of a window are the same again and again, whatever the
        windows beside it, and `batch.target` is not read.
        """
        return None

    def add_level(self, output: Tensor, level: Tensor) -> Tensor:
        """output (B, L, K * P) with a level (B, L, K) added where it is in the target's units."""
        moved = torch.zeros(self.outputs, dtype=output.dtype, device=output.device)
        moved[: self.level_outputs] = 1.0
        return output + (level[..., None] * moved).flatten(-2)

    def interpret(self, batch: SequenceBatch, looked: Looked) -> None:
        """Add what it looks at in these windows to `looked`; a network that cannot tell leaves this as it is.

        Rows count by `batch.weight`. Called in evaluation, without a gradient, on a few windows at a time.
        """

    def is_causal(self) -> bool:
        """Whether this instance, with its settings, is causal."""
        return type(self).causal

    @classmethod
    def small(cls) -> Any:
        """A Config small enough for tests."""
        return cls.Config()

    @classmethod
    def variants(cls) -> list[Any]:
        """Configs that between them run every branch of the code; the contract tests go over them."""
        return [cls.small()]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        """Settings drawn from an Optuna trial."""
        return {}


def context_window(batch: SequenceBatch, context: int) -> tuple[Tensor, Tensor]:
    """The `context` rows before each origin, with the origin at the end: for networks with fixed places.

    Returns (B, context, F) reals, zero-padded in front, and a (B, context) bool mask that is True where a
    row stands.
    """
    steps = torch.arange(context, device=batch.origin.device)
    index = batch.origin[:, None] - context + steps[None, :]
    mask = index >= 0
    gathered = batch.real.gather(1, index.clamp(min=0)[:, :, None].expand(-1, -1, batch.real.shape[2]))
    return gathered * mask[:, :, None], mask


def counted_in_context(batch: SequenceBatch, context: int) -> Tensor:
    """(B, context) bool: which rows of `context_window` have targets that are known and judged."""
    steps = torch.arange(context, device=batch.origin.device)
    index = batch.origin[:, None] - context + steps[None, :]
    return batch.counted_past().gather(1, index.clamp(min=0)) & (index >= 0)
