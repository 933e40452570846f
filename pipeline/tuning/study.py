"""Opening a study: the same one only if what it measures is the same; its first trials."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import Config
from pipeline.keys import canonical_json
from pipeline.report.text import plural
from pipeline.stages.blend import metric_files
from pipeline.store import ArtifactStore
from pipeline.tuning.candidates import Candidate, Candidates
from pipeline.tuning.files import trial_name
from pipeline.tuning.samplers import make_pruner, make_sampler

IDENTITY = "identity"  # user attribute of a study: a hash of all that a trial's score depends on
MEMBER, PARAMS = "member", "params"  # user attributes of a trial: its settings, in full
GIVEN = "given"  # user attribute of a trial: a candidate's parameters that do not come from the sampler
SOURCE = "source"  # user attribute of a trial that is given: where they come from
PEAK = "peak_memory_mib"
DEFAULTS = "defaults"
WARM = "warm"
JOINT = "joint"

#: States that count towards the number of trials that were asked for.
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
OPEN = (TrialState.RUNNING, TrialState.WAITING)


def study_name(config: Config, members: tuple[str, ...]) -> str:
    """<competition>-<size>-<member>."""
    return f"{config.competition.name}-{config.size}-{JOINT if len(members) > 1 else members[0]}"


def pruning_of(config: Config, candidates: Candidates) -> tuple[str, str]:
    """epochs, folds or none; and a line that says so where it is not what tune.prune asks for."""
    asked, title = config.tune.prune, JOINT if candidates.joint else candidates.members[0]
    if asked != "none" and len(config.tune.objectives) > 1:
        return "none", f"{title}: no pruning, as there are {len(config.tune.objectives)} objectives"
    if asked == "epochs" and candidates.most_epochs() < 2:
        if len(candidates.folds) > 2:
            return "folds", f"{title} has no epochs to be pruned by, so its trials are pruned by folds"
        return "none", f"{title}: no pruning, as it has no epochs and {plural(len(candidates.folds), 'fold')}"
    if asked == "folds" and len(candidates.folds) < 3:
        return "none", f"{title}: no pruning, as three folds are needed (found {len(candidates.folds)})"
    return asked, ""


def identity_of(config: Config, store: ArtifactStore, candidates: Candidates, pruning: str) -> str:
    """Hash of data, folds, features, settings, space and objective.

    The keys of the defaults' fits say everything about data and settings; what is chosen from and how a
    trial is judged come beside them.
    """
    keys: dict[str, list[str]] = {}
    for name in candidates.members:
        jobs = candidates.fold_jobs(Candidate(name, {}), name)
        keys[name] = [store.key(job) for job in jobs]
    content = {
        "fits": keys,
        "space": {name: config.tune.space.get(name) or {} for name in candidates.members},
        "objectives": list(config.tune.objectives),
        "pruning": pruning,
        "memory_mib": config.tune.memory_mib,
        "metric": [asdict(metric) for metric in config.competition.metric[:1]],
        "metric_files": metric_files(config),
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def open_study(
    config: Config,
    storage: RDBStorage,
    candidates: Candidates,
    identity: str,
    pruning: str,
    greater_is_better: bool,
) -> tuple[Study, str]:
    """The study, made if it is not there, and a line that says so where it does not have the plain name.

    A study that measures something else keeps its name; this one is called by its identity then, so that a
    command that still works on the other is not disturbed, and both are found again.
    """
    plain = study_name(config, candidates.members)
    names = {summary.study_name for summary in optuna.get_all_study_summaries(storage)}
    line = ""
    name = plain
    if plain in names:
        known = optuna.load_study(study_name=plain, storage=storage).user_attrs.get(IDENTITY)
        if known not in (None, identity):
            name = f"{plain}-{identity[:8]}"
            line = f"study {plain} has other data, settings or another space; "
            line += f"{'going on with' if name in names else 'beginning'} {name} beside it"
    limit = config.tune.memory_mib
    constraints = None if limit is None else (lambda trial: (memory_excess(trial, limit),))
    best = StudyDirection.MAXIMIZE if greater_is_better else StudyDirection.MINIMIZE
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        load_if_exists=True,
        directions=[best] + [StudyDirection.MINIMIZE] * (len(config.tune.objectives) - 1),
        sampler=make_sampler(config.tune.sampler, config.tune.seed, constraints, len(config.tune.objectives)),
        pruner=make_pruner(pruning, len(candidates.folds), candidates.most_epochs()),
    )
    if IDENTITY not in study.user_attrs:
        study.set_user_attr(IDENTITY, identity)
        study.set_metric_names([config.competition.metric[0].name, *config.tune.objectives[1:]])
    return study, line


def memory_excess(trial: FrozenTrial, limit: float) -> float:
    """MiB above the limit; negative where it was kept. What was never measured is taken as kept."""
    return float(trial.user_attrs.get(PEAK, 0.0)) - limit


def begin_with(study: Study, candidates: Candidates, candidate: Candidate, source: str) -> None:
    """Queue a candidate that does not come from the sampler, unless it is there: from this source, or at all.

    One that failed is not: what was wrong may be mended. Of one that was put back, the repetition counts.
    """
    mark = f"{source}:{candidate.text()}"
    settings = candidates.in_full(candidate)
    for trial in study.get_trials(deepcopy=False):
        known = trial.user_attrs.get(SOURCE) == mark or stands_for(trial, candidate.member, settings)
        if known and trial.state is not TrialState.FAIL:
            return
    attributes: dict[str, Any] = {GIVEN: dict(candidate.params), SOURCE: mark}
    study.enqueue_trial(candidates.parameters_of(candidate), user_attrs=attributes)


def stands_for(trial: FrozenTrial, member: str, settings: dict[str, Any]) -> bool:
    """Whether a trial is of these settings of the member."""
    known = trial.user_attrs.get(PARAMS)
    if known is None or trial.user_attrs.get(MEMBER) != member:
        return False
    return canonical_json(known) == canonical_json(settings)


def is_default(trial: FrozenTrial) -> bool:
    """Whether a trial stands for a member as it is configured."""
    return str(trial.user_attrs.get(SOURCE, "")).startswith(f"{DEFAULTS}:")


def name_of(candidate: Candidate, trial: FrozenTrial, number: int, title: str) -> str:
    """The member variant of a trial; the defaults are the member itself, as train fits it."""
    return candidate.member if is_default(trial) else trial_name(candidate.member, number, title)
