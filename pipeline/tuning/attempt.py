"""One trial while it runs: its fits one after another, and what is told of it at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import optuna

from data.folds import Fold
from pipeline.stage import Job
from pipeline.tuning.candidates import Candidate


@dataclass
class Attempt:
    """A trial that this command runs."""

    trial: optuna.Trial
    candidate: Candidate
    name: str  # of the member variant whose fits these are
    jobs: list[Job]  # one a fold, in the study's order
    folds: list[Fold]
    started: float = field(default_factory=time.monotonic)
    begun: float = 0.0  # time.monotonic() of the fit that runs
    scores: list[float] = field(default_factory=list)  # of the folds so far
    seconds: float = 0.0  # in fits
    fits: float = 0.0  # made by this trial or found; one that was broken off counts by its epochs
    saved: float = 0.0  # fits that it did not come to, as it was pruned
    peak_memory_mib: float = 0.0

    @property
    def number(self) -> int:
        return int(self.trial.number)

    @property
    def job(self) -> Job:
        """The one that runs, or comes next."""
        return self.jobs[len(self.scores)]

    @property
    def mean(self) -> float:
        return sum(self.scores) / len(self.scores)

    def costs(self) -> dict[str, Any]:
        """What is kept with the trial."""
        wall = time.monotonic() - self.started
        return {
            "seconds": round(wall, 3),
            "fit_seconds": round(self.seconds, 3),
            "overhead_seconds": round(max(0.0, wall - self.seconds), 3),
            "fits": round(self.fits, 3),
            "fits_saved": round(self.saved, 3),
        }
