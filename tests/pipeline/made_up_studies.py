"""Studies whose trials are made up, written as stage=tune writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from pipeline.config import Config
from pipeline.tuning.confirmation import Verdict
from pipeline.tuning.files import BEST, TRIALS
from pipeline.tuning.result import best_content, trials_content, write_json
from pipeline.tuning.settings import nested
from pipeline.tuning.storage import REASON
from pipeline.tuning.study import DEFAULTS, MEMBER, PARAMS, SOURCE
from pipeline.tuning.study_run import FOLDS

KEPT = Verdict(0.25, 0.0625, 4, 9.0, 8.0)
NOISE = Verdict(0.01, 0.0625, 4, 9.0, 9.5)


def made_up_study(
    config: Config,
    root: Path,
    members: Sequence[str],
    verdict: Verdict = KEPT,
    trials: int = 12,
    objectives: Sequence[str] = ("score",),
) -> None:
    """best.json and trials.json of one study over `members`; root: artifacts/<competition>.

    The score falls with `hidden`; trial 0 stands for the defaults, trial 3 is far worse than the others, the
    last two are pruned, one by its epochs and one for its memory.
    """
    config.tune.objectives = list(objectives)
    study = optuna.create_study(
        study_name=f"{config.competition.name}-{config.size}-{'joint' if len(members) > 1 else members[0]}",
        directions=["minimize"] * len(objectives),
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    for number in range(trials):
        _trial(study, members, number, trials, len(objectives))
    for member in members:
        content = best_content(config, study, member, 2, 1, "sqlite:///study.db", verdict)
        write_json(root / "tune" / member / TRIALS, trials_content(study, member))
        write_json(root / "tune" / member / BEST, content)


def _trial(study: optuna.Study, members: Sequence[str], number: int, trials: int, objectives: int) -> None:
    member = members[number % len(members)]
    study.enqueue_trial({"member": member} if len(members) > 1 else {})
    trial = study.ask()
    if len(members) > 1:
        trial.suggest_categorical("member", list(members))
    prefix = f"{member}." if len(members) > 1 else ""
    hidden = trial.suggest_int(f"{prefix}hidden", 4, 256, log=True)
    rate = trial.suggest_float(f"{prefix}fit.learning_rate", 1e-4, 1e-1, log=True)
    cell = trial.suggest_categorical(f"{prefix}cell", ["gru", "<lstm>", None])
    params: dict[str, Any] = {"hidden": hidden, "fit.learning_rate": rate, "cell": cell}
    score = 5.0 + 100.0 / hidden + (500.0 if number == 3 else 0.0)
    attributes: dict[str, Any] = {MEMBER: member, PARAMS: nested(params), FOLDS: {"fold0": score}}
    if number < len(members):
        attributes[SOURCE] = f"{DEFAULTS}:{member}"
    values = [score, float(hidden * hidden)][:objectives]
    if number >= trials - 2 and objectives == 1:
        attributes[REASON] = "9.5 after epoch 2 of 20" if number == trials - 2 else "out of memory"
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
    if REASON in attributes:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, values)
