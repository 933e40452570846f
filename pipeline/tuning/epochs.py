"""tune.prune=epochs, in the worker that fits a trial's first fold: each epoch's score goes to the storage.

The score is the competition's metric on the fold's out-of-fold rows (at most `WINDOWS` of its windows, spread
evenly), by the weights as they are after the epoch. Those rows are what the trial is judged by when all its
folds are fitted; looking at them earlier chooses between trials and takes part in no fit: a trial that is
not pruned has the same weights, and so the same artefact, as without the look. An inner slice of the
training part would have to be kept out of the fit, and what is tuned would not be what train fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.exceptions import TrialPruned
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from data.folds import Fold, Origins
from data.scoring import Scorer, align, asked_of
from pipeline.stages.prepare import Prepared
from pipeline.tuning.samplers import make_pruner
from pipeline.tuning.storage import open_storage

WINDOWS = 1000
DETAILS = "tune"  # key of a job's details


def epoch_details(
    url: str, study: str, trial_id: int, epochs: int, later: Mapping[str, Any]
) -> dict[str, Any]:
    """What the job of a trial's first fold is told, so that it reports its epochs.

    later: the settings of the competition that its preparation does not hold, the metric among them.
    """
    told = {"storage": url, "study": study, "trial_id": trial_id, "epochs": epochs, "later": dict(later)}
    return {DETAILS: told}


def epoch_reporter(
    details: Mapping[str, Any], prepared: Prepared, fold: Fold
) -> Callable[[int, Callable[[Origins], pd.DataFrame]], None] | None:
    """For `FitTask.epoch_ended`; None for a fit that reports to nobody."""
    told = details.get(DETAILS)
    if told is None:
        return None
    scorer = Scorer(prepared.competition, prepared.panel)
    count = len(fold.asked.row)
    spread = np.unique(np.linspace(0, count - 1, min(count, WINDOWS)).astype(np.int64))
    origins = Origins(fold.asked.series[spread], fold.asked.row[spread])
    asked = asked_of(prepared.panel, [(fold.index, origins)], prepared.horizon)
    storage = _storage(told["storage"])
    pruner = make_pruner("epochs", 1, told["epochs"])
    study = optuna.load_study(study_name=told["study"], storage=storage, pruner=pruner)

    def epoch_ended(epoch: int, predict: Callable[[Origins], pd.DataFrame]) -> None:
        score = scorer.score(asked, align(predict(origins), asked, f"epoch {epoch}"))
        trial = study._storage.get_trial(told["trial_id"])
        if trial.state is not TrialState.RUNNING or not np.isfinite(score):
            return  # another command has taken it over; a score that is none is for the end to say
        if epoch not in trial.intermediate_values:
            study._storage.set_trial_intermediate_value(told["trial_id"], epoch, score)
            trial = study._storage.get_trial(told["trial_id"])
        if epoch < told["epochs"] and pruner.prune(study, trial):
            raise TrialPruned(f"{score:.5g} after epoch {epoch} of {told['epochs']}")

    return epoch_ended


@cache
def _storage(url: str) -> RDBStorage:
    """One connection a worker."""
    return open_storage(url)
