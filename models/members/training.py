"""What members that are trained by Lightning share: the device, seeds, training windows, and silence."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import torch

from data.origins import OriginSampler, TrainingOrigins
from models.members.base import FitTask


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def mixed_seed(seed: int, *more: int) -> int:
    """A 31-bit seed from (seed, ...): neighbours give unrelated streams."""
    return int(np.random.SeedSequence([seed, *more]).generate_state(1)[0] >> 1)


def training_sampler(task: FitTask, train_end: np.ndarray) -> OriginSampler:
    """Batches of (series, origin) of an epoch, as `windows` asks for them, before `train_end` (S,)."""
    origins = TrainingOrigins(task.inputs, train_end, task.windows.min_context)
    sequence = task.competition.task == "sequence"
    return OriginSampler(
        origins,
        task.fit.batch_size,
        task.windows.per_epoch or origins.default_per_epoch(sequence),
        mixed_seed(task.seed),
        "random" if sequence else task.windows.origins,
        task.windows.stride,
        task.windows.recency,
    )


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
