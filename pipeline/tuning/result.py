"""What a study leaves: best.json for train, trials.json for the report."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import Config
from pipeline.keys import canonical_json
from pipeline.tuning.confirmation import Verdict
from pipeline.tuning.storage import REASON, number_of
from pipeline.tuning.study import COUNTED, MEMBER, PARAMS, PEAK, is_default, memory_excess
from pipeline.tuning.study_run import COSTS, FOLDS

LEAST_FOR_IMPORTANCES = 4  # complete trials with different scores
TOP = 20  # best distinct trials that are kept in best.json


def ranked(study: Study, member: str | None, memory_mib: float | None) -> list[FrozenTrial]:
    """Complete trials (of one member, in a joint study) that keep the limit, distinct, the best first.

    With several objectives these are the ones that no other is better than in all, by their score.
    """
    sign = -1.0 if study.directions[0] is StudyDirection.MAXIMIZE else 1.0
    trials = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if member is None or trial.user_attrs[MEMBER] == member
        if memory_mib is None or memory_excess(trial, memory_mib) <= 0
    ]
    if len(study.directions) > 1:
        values = {trial.number: [sign * trial.values[0], *trial.values[1:]] for trial in trials}
        trials = [
            one
            for one in trials
            if not any(_dominates(values[other.number], values[one.number]) for other in trials)
        ]
    found: dict[str, FrozenTrial] = {}
    for trial in sorted(trials, key=lambda trial: (sign * trial.values[0], trial.number)):
        found.setdefault(canonical_json([trial.user_attrs[MEMBER], trial.user_attrs[PARAMS]]), trial)
    return list(found.values())


def best_content(
    config: Config,
    study: Study,
    member: str,
    folds: int,
    seeds: int,
    url: str,
    verdict: Verdict,
) -> dict[str, Any]:
    """Of best.json."""
    trials = [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in COUNTED and trial.user_attrs.get(MEMBER) == member
    ]
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    listed = ranked(study, member, config.tune.memory_mib)
    best = listed[0]
    default = next((trial for trial in complete if is_default(trial)), None)
    fits = sum(costs(trial)["fits"] for trial in trials)
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    saved = sum(costs(trial)["fits_saved"] for trial in trials)
    return {
        "trials": len(trials),
        "complete": len(complete),
        "pruned": len(pruned),
        "score": best.values[0],
        "default_score": None if default is None else default.values[0],
        "gain": verdict.gain,
        "gain_standard_error": verdict.standard_error,
        "local_default": verdict.local_default,
        "local_best": verdict.local_best,
        "kept": verdict.kept,
        "params": best.user_attrs[PARAMS],
        "member": member,
        "kind": config.member[member]["kind"],
        "trial": number_of(best),
        "reason": verdict.reason or None,
        "pairs": verdict.pairs,
        "confirm_seeds": seeds,
        "competition": config.competition.name,
        "size": config.size,
        "metric": config.competition.metric[0].name,
        "greater_is_better": study.directions[0] is StudyDirection.MAXIMIZE,
        "objectives": list(config.tune.objectives),
        "study": study.study_name,
        "storage": url,
        "folds": folds,
        "fold_fits": round(fits, 3),
        "fold_fits_saved": round(saved, 3),
        "seconds": round(sum(costs(trial)["seconds"] for trial in trials), 3),
        "overhead_seconds": round(
            sum(costs(trial)["overhead_seconds"] for trial in trials) / max(1, len(trials)), 4
        ),
        "importances": importances(study),
        "top": [
            {
                "number": number_of(trial),
                "default": is_default(trial),
                "score": trial.values[0],
                "params": trial.user_attrs[PARAMS],
            }
            for trial in listed[:TOP]
        ],
    }


def importances(study: Study) -> dict[str, float]:
    """Share of the score's variance that each parameter explains (PED-ANOVA, Watanabe et al. 2023).

    Empty where too few trials are complete, or there are several objectives.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    scores = {trial.values[0] for trial in complete}
    if len(study.directions) > 1 or len(scores) < LEAST_FOR_IMPORTANCES:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(float(value), 4) for name, value in found.items() if math.isfinite(value)}


def trials_content(study: Study, member: str | None = None) -> list[dict[str, Any]]:
    """One entry a trial, as the report and others read them."""
    return [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "member": trial.user_attrs.get(MEMBER),
            "default": is_default(trial),
            "values": [value if math.isfinite(value) else None for value in trial.values or []],
            "parameters": trial.params,
            "params": trial.user_attrs.get(PARAMS),
            "folds": trial.user_attrs.get(FOLDS, {}),
            "intermediate": {
                str(step): value if math.isfinite(value) else None
                for step, value in trial.intermediate_values.items()
            },
            "reason": None if trial.state is TrialState.COMPLETE else trial.user_attrs.get(REASON),
            "peak_memory_mib": trial.user_attrs.get(PEAK),
            **costs(trial),
        }
        for trial in study.get_trials(deepcopy=False)
        if member is None or trial.user_attrs.get(MEMBER) in (None, member)
    ]


def costs(trial: FrozenTrial) -> dict[str, float]:
    """Seconds and fits of a trial."""
    names = ("seconds", "fit_seconds", "overhead_seconds", "fits", "fits_saved")
    nothing = dict.fromkeys(names, 0.0)
    return {**nothing, **trial.user_attrs.get(COSTS, {})}


def write_json(file: Path, content: Any) -> None:
    """Aside, then renamed: whoever reads it reads the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    aside.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(aside, file)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)
