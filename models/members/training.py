"""What members that are trained by Lightning share: seeds, training windows, and silence."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace

import numpy as np

from data.errors import InputError
from data.origins import OriginSampler, TrainingOrigins
from data.windows import WindowDataset
from models.heads import TrainingTargets
from models.members.base import FitTask
from models.settings import windows_a_batch

#: Windows, spread over the training part, whose scaled targets show a head the range it has to cover.
WINDOWS_LOOKED_AT = 1000


def mixed_seed(seed: int, *more: int) -> int:
    """A 31-bit seed from (seed, ...): neighbours give unrelated streams."""
    return int(np.random.SeedSequence([seed, *more]).generate_state(1)[0] >> 1)


def training_origins(task: FitTask, train_end: np.ndarray) -> TrainingOrigins:
    """The windows before `train_end` (S,) that a fit learns from. Raises InputError where there is none."""
    least = task.windows.min_context
    origins = TrainingOrigins(task.inputs, train_end, least)
    if not len(origins):
        longest = int((train_end - task.inputs.offsets[:-1]).max(initial=0))
        rows = f", and windows.min_context={least} before it" if task.inputs.schema.context else ""
        raise InputError(
            f"{task.fold.name}: no window to learn from; found at most {longest} rows of a series in the"
            f" training part, expected a first row to forecast{rows}"
        )
    return origins


def training_sampler(task: FitTask, train_end: np.ndarray) -> OriginSampler:
    """Batches of (series, origin) of an epoch, as `windows` asks for them, before `train_end` (S,).

    Raises InputError where there is no such window.
    """
    origins = training_origins(task, train_end)
    sequence = task.competition.task == "sequence"
    return OriginSampler(
        origins,
        windows_a_batch(task.fit),
        task.windows.per_epoch or origins.default_per_epoch(sequence),
        mixed_seed(task.seed),
        "random" if sequence else task.windows.origins,
        task.windows.stride,
        task.windows.recency,
    )


def windows_an_epoch(task: FitTask, train_end: np.ndarray) -> int:
    """Windows of an epoch, as its sampler counts them; fit.batch_size may still be `auto`.

    Raises InputError where there is none.
    """
    one_by_one = replace(task, fit=replace(task.fit, batch_size=1))
    return len(training_sampler(one_by_one, train_end))


def training_targets(task: FitTask, windows: WindowDataset, train_end: np.ndarray) -> TrainingTargets:
    """The targets of the rows before `train_end` (S,) that count in the loss; `windows` are a fit's own."""
    inputs, rows = task.inputs, task.panel.rows
    counted = np.arange(rows) < np.repeat(train_end, np.diff(inputs.offsets))
    counted &= inputs.observed[:rows].all(1) & inputs.asked[:rows]
    if not task.fit.unjudged_weight:
        counted &= inputs.weight[:rows] > 0

    def scaled() -> np.ndarray:
        if windows.scaling == "none":
            return inputs.target[:rows][counted]
        if windows.scaling == "constant":
            return (inputs.target[:rows][counted] - inputs.location) / inputs.scale
        origins = TrainingOrigins(inputs, train_end, task.windows.min_context)
        if len(origins) == 0:
            return np.zeros((0, inputs.target.shape[1]), dtype=np.float32)
        number = np.unique(np.linspace(0, len(origins) - 1, WINDOWS_LOOKED_AT).astype(np.int64))
        batch = windows[origins.origins(number)]
        assert batch.target is not None
        return batch.target[batch.weight > 0].cpu().numpy()

    return TrainingTargets(inputs.schema.target, task.panel.target[counted].astype(np.float64), scaled)


class quiet:
    """Lightning's own hints are for people who write trainers; ours see the progress display."""

    def __enter__(self) -> None:
        self._level = logging.getLogger("lightning.pytorch").level
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.filterwarnings("ignore", module=r"lightning\..*")

    def __exit__(self, *error: object) -> None:
        self._warnings.__exit__(*error)  # type: ignore[arg-type]
        logging.getLogger("lightning.pytorch").setLevel(self._level)
