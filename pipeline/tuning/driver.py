"""stage=tune: studies driven by ask and tell from the command's own process, their fits ordinary train jobs.

Each study goes through its trials, then through the confirmation of its best one; what a study is waiting
for does not keep the next from being worked on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from optuna.study import Study

from pipeline.budget import Budget
from pipeline.competition_file import later_settings
from pipeline.config import Config
from pipeline.executor import JobFailed
from pipeline.job_source import JobSource
from pipeline.names import KIND
from pipeline.stage import Job
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.store import ArtifactStore
from pipeline.tuning.attempt import Attempt
from pipeline.tuning.candidates import Candidate, Candidates
from pipeline.tuning.confirmation import Confirmation
from pipeline.tuning.elsewhere import params_elsewhere
from pipeline.tuning.epochs import epoch_details
from pipeline.tuning.failures import reason_of
from pipeline.tuning.files import BEST, TRIALS
from pipeline.tuning.result import best_content, ranked, trials_content, write_json
from pipeline.tuning.scores import Scores
from pipeline.tuning.storage import Heart, number_of, open_storage, shown_url, storage_url
from pipeline.tuning.study import (
    DEFAULTS,
    GIVEN,
    PARAMS,
    WARM,
    begin_with,
    identity_of,
    name_of,
    open_study,
    pruning_of,
)
from pipeline.tuning.study_run import OUT_OF_TIME, StudyRun

Say = Callable[[str], None]


class Tuning(JobSource):
    """All studies of one command."""

    def __init__(self, config: Config, store: ArtifactStore, say: Say, budget: Budget | None = None) -> None:
        self.config, self.store, self._say = config, store, say
        self._deadline = None if budget is None else budget.end
        self._started = time.time()
        self._seconds: list[float] = []  # of the fits that this command made
        prepared = Prepared(store.folder(PREPARE), later_settings(config.competition))
        self._scores = Scores(prepared, store)
        self._url = storage_url(config.tune.storage, store.root)
        self._storage = open_storage(self._url)
        self._heart = Heart(self._storage, store)
        members = tuple(config.members)
        groups = [members] if config.tune.joint and len(members) > 1 else [(name,) for name in members]
        self._studies = [self._opened(prepared, group) for group in groups]
        self.results: list[Path] = []

    def more(self, running: int) -> list[Job]:
        self._look_at_the_clock()
        for study in self._studies:
            jobs = study.more()
            if jobs:
                return jobs
        return []

    def over(self) -> bool:
        for study in self._studies:
            study.look()
        return all(study.ended for study in self._studies)

    def expects(self, error: JobFailed) -> bool:
        return reason_of(error) is not None

    def done(self, job: Job, seconds: float) -> None:
        if seconds:
            self._seconds.append(seconds)
        assert any(study.done(job, seconds) for study in self._studies), job.path

    def failed(self, job: Job, error: JobFailed) -> None:
        assert any(study.failed(job, error) for study in self._studies), job.path

    def out_of_time(self, job: Job, reason: str) -> None:
        assert any(study.out_of_time(job, reason) for study in self._studies), job.path

    def close(self) -> None:
        for study in self._studies:
            study.trials.close()
        self._heart.close()

    def _look_at_the_clock(self) -> None:
        """No trial begins when what is left of the time is needed for the confirmation."""
        if self._deadline is not None and time.time() + self._needed() > self._deadline:
            for study in self._studies:
                study.trials.stop(OUT_OF_TIME)

    def _needed(self) -> float:
        """Seconds that the confirmations will about take, by what fits took so far; at most half the time."""
        if not self._seconds or self._deadline is None:
            return 0.0
        each = sum(self._seconds) / len(self._seconds)
        fits = sum(
            2 * self.config.tune.confirm_seeds * (len(one.candidates.folds) + 1) for one in self._studies
        )
        workers = max(1, self.config.executor.workers or 1)
        return min(fits * each / workers, 0.5 * (self._deadline - self._started))

    def _opened(self, prepared: Prepared, members: tuple[str, ...]) -> _OneStudy:
        config, store = self.config, self.store
        candidates = Candidates(config, prepared, members)
        pruning, line = pruning_of(config, candidates)
        if line:
            self._say(line)
        with store.lock(f"tune/{'-'.join(members)}"):
            identity = identity_of(config, store, candidates, pruning)
            study, line = open_study(
                config, self._storage, candidates, identity, pruning, self._scores.greater_is_better
            )
            for name in members:
                begin_with(study, candidates, Candidate(name, {}), DEFAULTS)
            for name in members if config.tune.warm_start else ():
                self._begin_warm(study, candidates, name)
        if line:
            self._say(line)
        trials = StudyRun(
            config,
            store,
            study,
            candidates,
            self._scores,
            self._heart,
            pruning,
            self._say,
            partial(self._details, study.study_name, candidates),
        )
        return _OneStudy(self, trials, candidates)

    def _begin_warm(self, study: Study, candidates: Candidates, name: str) -> None:
        """Queue what another competition's study found best for the member, if it found something."""
        other = str(self.config.tune.warm_start)
        kind = str(self.config.member[name][KIND])
        found = params_elsewhere(self.store.root.parent / other / "tune" / name, kind, self.config)
        if found is None:
            self._say(f"{name}: {other} has no best trial to begin with")
        else:
            begin_with(study, candidates, Candidate(name, found), f"{WARM}-{other}")

    def _details(self, study: str, candidates: Candidates, attempt: Attempt) -> dict[str, Any]:
        epochs = candidates.epochs(attempt.candidate)
        if epochs < 2:
            return {}
        later = later_settings(self.config.competition)
        return epoch_details(self._url, study, attempt.trial._trial_id, epochs, later)

    def write(self, member: str, study: _OneStudy, confirmation: Confirmation) -> None:
        """best.json and trials.json of a member."""
        folder = self.store.root / "tune" / member
        verdict = confirmation.verdict()
        run = study.trials
        content = best_content(
            self.config,
            run.study,
            member,
            len(study.candidates.folds),
            self.config.tune.confirm_seeds,
            shown_url(self._url),
            verdict,
        )
        write_json(folder / TRIALS, trials_content(run.study, member))
        write_json(folder / BEST, content)
        self.results.append(folder / BEST)


class _OneStudy:
    """A study's trials, then the confirmation of the best of each of its members."""

    def __init__(self, tuning: Tuning, trials: StudyRun, candidates: Candidates) -> None:
        self._tuning, self.trials, self.candidates = tuning, trials, candidates
        self.ended = False
        self._confirmations: dict[str, Confirmation] | None = None
        self._ready: list[Job] = []

    def more(self) -> list[Job]:
        """A job to do now, [] if there is none at the moment."""
        if self._confirmations is None:
            jobs = self.trials.more()
            if jobs:
                return jobs
            self.look()
        return [self._ready.pop(0)] if self._ready else []

    def look(self) -> None:
        """From the trials to the confirmation, from there to the end, when it is time."""
        if self._confirmations is None and self.trials.over():
            self._confirmations = {} if self.trials.broken else self._confirm()
            for confirmation in self._confirmations.values():
                self._ready += confirmation.jobs()
        if self.ended or self._confirmations is None:
            return
        if all(confirmation.over() for confirmation in self._confirmations.values()):
            self.ended = True
            for member, confirmation in self._confirmations.items():
                self._tuning.write(member, self, confirmation)

    def done(self, job: Job, seconds: float) -> bool:
        if self.trials.done(job, seconds):
            return True
        return self._end(job)

    def failed(self, job: Job, error: JobFailed) -> bool:
        if self.trials.failed(job, error):
            return True
        return self._end(job, reason_of(error) or error.reason)

    def out_of_time(self, job: Job, reason: str) -> bool:
        if self.trials.out_of_time(job, reason):
            return True
        return self._end(job, reason)

    def _end(self, job: Job, reason: str = "") -> bool:
        found = [one.ended(job, reason) for one in (self._confirmations or {}).values()]
        return any(found)

    def _confirm(self) -> dict[str, Confirmation]:
        """Of each member that has a complete trial."""
        tuning, run = self._tuning, self.trials
        found = {}
        for member in self.candidates.members:
            listed = ranked(run.study, member, tuning.config.tune.memory_mib)
            if not listed:
                tuning._say(f"{member}: no trial was completed, so there is no best one")
                continue
            best = listed[0]
            params = best.user_attrs[GIVEN] if GIVEN in best.user_attrs else best.user_attrs[PARAMS]
            candidate = Candidate(member, params)
            name = name_of(candidate, best, number_of(best), run.title)
            found[member] = Confirmation(
                self.candidates, tuning._scores, candidate, name, tuning.config.tune.confirm_seeds
            )
        return found
