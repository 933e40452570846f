"""What a probe is: a sequence task (context 0, origin 0) whose answer lies a known distance back.

A probe speaks the same SequenceBatch and InputSchema as a competition, so that the same networks, heads and
LightningModule are trained on it: everything in a window is given, `asked` and `weight` stand only where it
is judged, and targets are scaled by nothing (location 0, scale 1).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.configure import make_settings
from data.errors import InputError
from data.probes.drawing import NOTHING, drawn, number
from data.probes.judged import (
    Chance,
    Goal,
    Measured,
    Published,
    Scores,
    score_classes,
    score_values,
    summarise,
)
from data.probes.parts import Part, generator
from data.registry import Registry
from data.schema import InputSchema

PROBES: Registry[type[Probe]] = Registry("probe", "data.probes")

#: Logit of an oracle for the class that it knows; the others have 0.
CERTAIN = 40.0


class Objective(NamedTuple):
    """How a probe is learnt, by the names of head and loss in models/."""

    head: str
    head_settings: dict[str, Any]
    loss: str


class Probe(ABC):
    """Predictions of a probe are (B, L, P): P = 1 value, or a logit for each of the P classes.

    A subclass says what its inputs are (`reals`, or `symbols` for a single categorical input), what its
    answer is (`class_names`, or none for a number) and draws windows. `length` is the distance that has to
    be bridged, or close to it; a window may have more rows.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        training_size: int | None = None  # windows of a fixed training set; null: new ones at every step

        def check(self, where: str) -> None:
            """InputError for a value that is out of its range; `where` is what the settings belong to."""
            if self.training_size is not None and self.training_size < 1:
                raise InputError(f"{where}.training_size: found {self.training_size}, expected 1 or more")

    title: ClassVar[str]
    lengths: ClassVar[tuple[int, ...]] = (25, 50, 100)  # by default
    shortest: ClassVar[int] = 2
    causal_only: ClassVar[bool] = False  # a row's target is the input of the next one
    perplexity: ClassVar[bool] = False  # exp of its cross-entropy is what people quote
    published: ClassVar[tuple[Published, ...]] = ()  # of the default settings
    #: Length and settings of the window that the docstring draws, the first one of seed 0.
    example: ClassVar[int] = 8
    example_settings: ClassVar[Mapping[str, Any]] = {}

    reals: tuple[str, ...] = ()  # names of real inputs
    symbols: tuple[str, ...] = ()  # what code 1, 2, ... of the categorical input stands for; (): it has none
    class_names: tuple[str, ...] = ()  # of class 0, 1, ...; (): the target is a number

    def __init__(self, config: Any = None) -> None:
        self.config: Any = type(self).Config() if config is None else config
        self._training_set: tuple[tuple[int, int], SequenceBatch] | None = None

    def goal_on(self, length: int, part: Part) -> Goal:
        """The goal on windows of `part`: another one where the material is finite and one part is easier."""
        return self.goal(length)

    @property
    def classes(self) -> int | None:
        """P of a classification; None for a regression."""
        return len(self.class_names) or None

    @property
    def objective(self) -> Objective:
        """Cross-entropy over the classes, or squared error."""
        if self.classes is None:
            return Objective("point", {}, "l2")
        return Objective("classes", {"count": self.classes}, "cross_entropy")

    @property
    def published_here(self) -> tuple[Published, ...]:
        """Figures of others on this very task: none where its settings are not the default ones."""
        return self.published if self.config == type(self).Config() else ()

    def rows(self, length: int) -> int:
        """L of a window."""
        return length

    def check_length(self, length: int, where: str = "probe.lengths") -> None:
        """InputError for a length that the probe cannot have."""
        if length < self.shortest:
            raise InputError(f"{where}: found {length}, expected {self.shortest} or more for: {self.title}")

    def schema(self, length: int) -> InputSchema:
        """What the columns of its batches mean."""
        self.check_length(length)
        return InputSchema(
            real=self.reals,
            real_role=tuple("known" for _ in self.reals),
            category=("symbol",) if self.symbols else (),
            category_size=(len(self.symbols) + 1,) if self.symbols else (),
            static_real=(),
            static_category=(),
            static_category_size=(),
            target=("answer",),
            context=0,
            horizon=self.rows(length),
            series=1,
        )

    @abstractmethod
    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        """`count` windows; `part` matters to probes whose material is finite (images, text)."""

    @abstractmethod
    def chance(self, length: int) -> Chance:
        """The analytic score of a model that knows nothing of the window."""

    @abstractmethod
    def goal(self, length: int) -> Goal:
        """From where on it counts as solved."""

    @abstractmethod
    def oracle(self, batch: SequenceBatch) -> Tensor:
        """A prediction that solves it, from the inputs alone."""

    @abstractmethod
    def blind(self, batch: SequenceBatch) -> Tensor:
        """The best prediction by a model that knows the probe and which row it is at, but saw no input."""

    def training_batch(self, length: int, count: int, seed: int, step: int) -> SequenceBatch:
        """The windows of one step; with `training_size` an epoch's order is drawn anew from its number."""
        if self.config.training_size is None:
            return self._drawn("training", length, count, seed, step)
        size, windows = self.config.training_size, self._fixed_training_set(length, seed)
        places = torch.arange(step * count, (step + 1) * count)
        epoch, chosen = places // size, []
        for number_of_epoch in epoch.unique().tolist():
            own = generator("training", type(self).__name__, "order", length, seed, number_of_epoch)
            order = torch.randperm(size, generator=own)
            chosen.append(order[places[epoch == number_of_epoch] % size])
        return windows.select(torch.cat(chosen))

    def validation_batch(self, length: int, count: int, seed: int) -> SequenceBatch:
        """Windows to look at while training (solved yet?); finite material may give fewer than `count`."""
        return self._drawn("validation", length, count, seed)

    def test_batch(self, length: int, count: int, seed: int) -> SequenceBatch:
        """Windows to be measured on; finite material may give fewer than `count`."""
        return self._drawn("test", length, count, seed)

    def recalled(self, batch: SequenceBatch) -> Tensor:
        """(B, L) bool: rows that the accuracy is taken over."""
        return batch.weight > 0

    def score(self, prediction: Tensor, batch: SequenceBatch) -> Scores:
        """Error and accuracy of each window; prediction (B, L, P)."""
        if self.classes is None:
            return score_values(prediction, batch)
        return score_classes(prediction, batch, self.classes, self.recalled(batch))

    def measure(self, prediction: Tensor, batch: SequenceBatch) -> Measured:
        """Means over the windows with their standard errors."""
        return summarise(self.score(prediction, batch))

    def solved(self, measured: Measured, length: int, part: Part = "test") -> bool:
        """Whether the goal is reached, by what was measured on windows of `part`."""
        goal = self.goal_on(length, part)
        near = goal.error is not None and measured.error < goal.error
        right = goal.accuracy is not None and (measured.accuracy or 0.0) >= goal.accuracy
        return near or right

    def show(self, batch: SequenceBatch, index: int = 0) -> str:
        """Window `index` as text: its inputs, and the target where it is judged."""
        assert batch.target is not None
        rows = range(int(batch.length[index]))
        lines = [
            (name, [number(float(batch.real[index, row, column])) for row in rows])
            for column, name in enumerate(self.reals)
        ]
        if self.symbols:
            codes = batch.category[index, :, 0].tolist()
            lines.append(("input", [self.symbols[codes[row] - 1] for row in rows]))
        target, judged = batch.target[index, :, 0].tolist(), (batch.weight[index] > 0).tolist()
        names = self.class_names
        answers = [names[round(target[row])] if names else number(target[row]) for row in rows]
        lines.append(("target", [answers[row] if judged[row] else NOTHING for row in rows]))
        return drawn(lines)

    @classmethod
    def variants(cls) -> list[Any]:
        """Configs that between them run every branch of the code; the contract tests go over them."""
        return [cls.Config()]

    def windows(
        self,
        target: Tensor,
        judged: Tensor,
        real: Tensor | None = None,
        symbol: Tensor | None = None,
        length: Tensor | None = None,
    ) -> SequenceBatch:
        """A batch of what was drawn.

        target: (B, L), read where `judged` (B, L) bool; real: (B, L, F); symbol: (B, L) index into `symbols`;
        length: (B,) rows in use, None: all. Padding is blanked here.
        """
        count, rows = judged.shape
        length = torch.full((count,), rows) if length is None else length
        step = torch.arange(rows).expand(count, rows)
        used = step < length[:, None]
        real = torch.zeros(count, rows, 0) if real is None else real
        category = torch.zeros(count, rows, 0, dtype=torch.int64) if symbol is None else symbol[..., None] + 1
        return SequenceBatch(
            real=real.masked_fill(~used[..., None], 0.0),
            category=category.masked_fill(~used[..., None], 0),
            static_real=torch.zeros(count, 0),
            static_category=torch.zeros(count, 0, dtype=torch.int64),
            series=torch.full((count,), -1),
            time=step.masked_fill(~used, 0),
            length=length,
            origin=torch.zeros(count, dtype=torch.int64),
            asked=judged,
            weight=judged.float(),
            row_id=torch.where(judged, torch.arange(count)[:, None] * rows + step, -1),
            location=torch.zeros(count, 1),
            scale=torch.ones(count, 1),
            target=target.float().masked_fill(~judged, 0.0)[..., None],
        )

    def certain(self, label: Tensor) -> Tensor:
        """(...) class numbers -> (..., P) logits of someone who is sure."""
        assert self.classes is not None
        return CERTAIN * torch.nn.functional.one_hot(label, self.classes).float()

    def _drawn(self, part: Part, length: int, count: int, seed: int, step: int = 0) -> SequenceBatch:
        self.check_length(length)
        own = generator(part, type(self).__name__, length, seed, step)
        return self.draw(length, count, own, part)

    def _fixed_training_set(self, length: int, seed: int) -> SequenceBatch:
        if self._training_set is None or self._training_set[0] != (length, seed):
            own = generator("training set", type(self).__name__, length, seed)
            self.check_length(length)
            drawn_once = self.draw(length, self.config.training_size, own, "training")
            self._training_set = ((length, seed), drawn_once)
        return self._training_set[1]


def last_row(batch: SequenceBatch) -> Tensor:
    """(B, L) bool: each window's last row in use."""
    return torch.arange(batch.rows) == batch.length[:, None] - 1


def make_probe(entry: str | Mapping[str, Any], where: str = "probe.names") -> Probe:
    """A probe from its name, or from a mapping of `name` and its settings.

    Raises InputError for an unknown name, setting or type of value.
    """
    given = {"name": entry} if isinstance(entry, str) else dict(entry)
    if not isinstance(given.get("name"), str):
        raise InputError(f"{where}: {entry!r} is not the name of a probe, nor a mapping with a name")
    name = given.pop("name")
    kind = PROBES.get(name, where)
    config = make_settings(kind.Config, given, f"{where}.{name}")
    config.check(f"{where}.{name}")
    return kind(config)
