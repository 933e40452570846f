"""One cell: a network trained on one probe at one length with one seed, until it is solved or will not be.

The network, its head, its loss and the LightningModule are those of competitions; what is drawn at each step
depends on (probe, length, seed, step) alone.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from data.batch import SequenceBatch
from data.errors import OutOfTime
from data.probes.base import Probe
from data.probes.judged import Measured, Scores, summarise
from models.forecaster import Forecaster, TrainingDiverged, make_forecaster
from models.members.devices import choose_device, denormals_flushed, determinism
from models.members.training import mixed_seed, quiet
from models.optimisation import averaged
from models.settings import Fit, windows_a_batch

#: Windows that are looked at in one go.
WINDOWS_AT_ONCE = 250

#: A smaller relative step of the error is no progress.
PROGRESS = 0.01


@dataclass(frozen=True)
class Limits:
    """When a cell ends, and on how many windows it is measured."""

    steps: int  # at most
    look_every: int  # steps between looks at the validation windows
    patience: int  # steps without progress of the validation error after which it is stuck
    validation: int  # windows
    test: int


class Look(NamedTuple):
    """The validation windows after so many steps."""

    step: int
    error: float
    accuracy: float | None


@dataclass
class Cell:
    """What came of it."""

    ended: str = "steps"  # solved, stuck, steps or diverged
    solved: bool = False  # on the test windows
    steps: int = 0  # that were taken
    kept: int = 0  # step of the look whose weights were kept; 0: there was none
    seconds: float = 0.0  # of training, looks included
    parameters: int = 0
    error: float | None = None  # on the test windows; None: it is not finite
    error_deviation: float | None = None  # its standard error over the windows
    accuracy: float | None = None
    looks: list[Look] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; an error that is not finite becomes None."""
        looks = [
            [look.step, look.error if math.isfinite(look.error) else None, look.accuracy]
            for look in self.looks
        ]
        return asdict(self) | {"looks": looks}


def forecaster_for(
    probe: Probe, length: int, network: str, settings: dict[str, Any], fit: Fit | None, seed: int
) -> Forecaster:
    """Freshly initialised from `seed`. Raises InputError for settings that do not hold."""
    lightning.seed_everything(mixed_seed(seed), workers=False, verbose=False)
    objective = probe.objective
    return make_forecaster(
        network,
        settings,
        probe.schema(length),
        fit,
        head=objective.head,
        loss=objective.loss,
        head_settings=objective.head_settings,
    )


def fit_cell(
    probe: Probe,
    length: int,
    forecaster: Forecaster,
    limits: Limits,
    seed: int,
    progress: Callable[[float, str], None] = lambda share, text: None,
    deadline: float | None = None,
) -> Cell:
    """Train `forecaster` (made with a `fit`) in place and measure it; OutOfTime at the deadline.

    It is measured, and left, as it was when it did best on the validation windows.
    """
    fit = forecaster.fit
    assert fit is not None
    cell = Cell(parameters=sum(one.numel() for one in forecaster.parameters()))
    looks = _Looks(probe, length, limits, seed, cell, progress, deadline)
    device = choose_device(fit.device)
    with quiet():
        trainer = lightning.Trainer(
            accelerator="cuda" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            max_steps=limits.steps,
            max_epochs=-1,
            deterministic=determinism(fit, device),
            callbacks=[looks],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        windows = _Windows(probe, length, windows_a_batch(fit), seed)
        started = time.monotonic()
        try:
            with denormals_flushed():
                trainer.fit(forecaster, DataLoader(windows, batch_size=None))
        except TrainingDiverged:
            cell.ended = "diverged"
        cell.seconds = time.monotonic() - started
        cell.steps = trainer.global_step
    looks.restore(forecaster)
    forecaster.to(device)
    measured = measure(probe, forecaster, probe.test_batch(length, limits.test, seed))
    if math.isfinite(measured.error):
        cell.error, cell.error_deviation = measured.error, measured.error_deviation
        cell.accuracy, cell.solved = measured.accuracy, probe.solved(measured, length)
    return cell


def measure(probe: Probe, forecaster: Forecaster, batch: SequenceBatch) -> Measured:
    """Means over the windows of a batch."""
    training = forecaster.training
    forecaster.eval()
    parts = [
        probe.score(predicted(probe, forecaster, part), part)
        for part in (
            batch.select(torch.arange(first, min(first + WINDOWS_AT_ONCE, len(batch.length))))
            for first in range(0, len(batch.length), WINDOWS_AT_ONCE)
        )
    ]
    forecaster.train(training)
    return summarise(Scores.joined(parts))


def predicted(probe: Probe, forecaster: Forecaster, batch: SequenceBatch) -> Tensor:
    """(B, L, P), without a look at the target."""
    device = next(forecaster.parameters()).device
    with torch.inference_mode():
        parameters: Tensor = forecaster(batch._replace(target=None).to(device))
    # A head of classes says the window's units behind its logits.
    return parameters[:, :, 0, : probe.classes or 1].float().cpu()


class _Windows(IterableDataset):  # type: ignore[type-arg]
    """A batch a step, without an end."""

    def __init__(self, probe: Probe, length: int, batch_size: int, seed: int) -> None:
        self.probe, self.length, self.batch_size, self.seed = probe, length, batch_size, seed

    def __iter__(self) -> Iterator[SequenceBatch]:
        step = 0
        while True:
            yield self.probe.training_batch(self.length, self.batch_size, self.seed, step)
            step += 1


class _Looks(Callback):
    """Measures the validation windows now and then; ends the training when it is solved or stuck."""

    def __init__(
        self,
        probe: Probe,
        length: int,
        limits: Limits,
        seed: int,
        cell: Cell,
        progress: Callable[[float, str], None],
        deadline: float | None,
    ) -> None:
        self.probe, self.length, self.limits, self.cell = probe, length, limits, cell
        self.progress, self.deadline = progress, deadline
        self.seed = seed
        self.batch = probe.validation_batch(length, limits.validation, seed)
        self.many: SequenceBatch | None = None  # further ones, once they are needed
        self.best, self.best_step = math.inf, 0
        self.least = math.inf  # by any margin
        self.weights: dict[str, Any] | None = None  # of that look

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *rest: Any
    ) -> None:
        step = trainer.global_step
        if step % self.limits.look_every and step < self.limits.steps:
            return
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTime(f"the budget ended at step {step:,} of {self.limits.steps:,}")
        assert isinstance(pl_module, Forecaster)
        with averaged(trainer, pl_module):
            self._look(trainer, pl_module, step)

    def _look(self, trainer: lightning.Trainer, pl_module: Forecaster, step: int) -> None:
        measured = measure(self.probe, pl_module, self.batch)
        self.cell.looks.append(Look(step, measured.error, measured.accuracy))
        accuracy = "" if measured.accuracy is None else f", accuracy {measured.accuracy:.3f}"
        self.progress(
            step / self.limits.steps,
            f"step {step:,}/{self.limits.steps:,} error {measured.error:.4g}{accuracy}",
        )
        if measured.error < self.least:
            self.least, self.weights = measured.error, copy.deepcopy(pl_module.state_dict())
            self.cell.kept = step
        if measured.error < self.best * (1 - PROGRESS):
            self.best, self.best_step = measured.error, step
        if self._beyond_doubt(measured) and self._beyond_doubt(self._at_length(pl_module)):
            self.cell.ended, trainer.should_stop = "solved", True
            self.weights, self.cell.kept = None, step  # these, of which it is known
        elif step - self.best_step >= self.limits.patience and step < self.limits.steps:
            self.cell.ended, trainer.should_stop = "stuck", True

    def _beyond_doubt(self, measured: Measured) -> bool:
        """Solved, and not by chance, lest the test windows say otherwise."""
        sure = measured._replace(error=measured.error_interval()[1])
        if measured.accuracy is not None:
            sure = sure._replace(accuracy=measured.accuracy_interval()[0])
        return self.probe.solved(sure, self.length, "validation")

    def _at_length(self, forecaster: Forecaster) -> Measured:
        """On as many windows as the test has: errors have long tails, and few windows may miss them."""
        if self.many is None:
            self.many = self.probe.validation_batch(self.length, self.limits.test, self.seed)
        return measure(self.probe, forecaster, self.many)

    def restore(self, forecaster: Forecaster) -> None:
        """The weights of the best look, if there was one."""
        if self.weights is not None:
            forecaster.load_state_dict(self.weights)
