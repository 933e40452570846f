"""One study as this command works on it: trials asked for, run fold by fold, and told.

Other commands may work on the same study. However many they are, as many trials as were asked for are
completed or pruned: one that is asked for too much is failed at once, with a reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import Config
from pipeline.executor import JobFailed
from pipeline.stage import Job
from pipeline.store import ArtifactStore
from pipeline.tuning.attempt import Attempt
from pipeline.tuning.candidates import Candidate, Candidates
from pipeline.tuning.failures import PRUNED, reason_of
from pipeline.tuning.files import study_title
from pipeline.tuning.samplers import SeededByTrial
from pipeline.tuning.scores import Scores
from pipeline.tuning.storage import (
    HEARTBEAT_SECONDS,
    REASON,
    Heart,
    fail,
    number_of,
    put_back,
    release_stale,
)
from pipeline.tuning.study import COUNTED, GIVEN, MEMBER, OPEN, PARAMS, PEAK, name_of, stands_for

FOLDS, COSTS = "folds", "costs"  # user attributes of a trial
ASKED_AGAIN = 25  # times, when what is suggested was there before
ASKED_IN_EARNEST = 4  # of these by the sampler; the rest at random
OUT_OF_TIME = "out of time"  # why a study is stopped: nothing is begun or waited for any more


class StudyRun:
    """Trials of one study."""

    def __init__(
        self,
        config: Config,
        store: ArtifactStore,
        study: Study,
        candidates: Candidates,
        scores: Scores,
        heart: Heart,
        pruning: str,
        say: Callable[[str], None],
        details: Callable[[Attempt], dict[str, Any]],
    ) -> None:
        """details: what the job of an attempt's first fold is told besides, so that it reports epochs."""
        self.config, self.store, self.study, self.candidates = config, store, study, candidates
        self.scores, self.heart, self.pruning, self._say = scores, heart, pruning, say
        self._details = details
        self.title = study_title(study.study_name, config.competition.name, config.size)
        self.attempts: dict[str, Attempt] = {}  # by the path of the job that runs
        self.ready: list[Job] = []  # next fits of trials that run
        self.stopped = ""  # why no new trials are asked for, before there are enough
        self.broken = False  # a fit failed in a way that says nothing about its settings
        self._looked = 0.0  # when stale trials were looked for

    # What comes next

    def more(self) -> list[Job]:
        """A fit to do now; [] if there is none."""
        if self.ready:
            return [self.ready.pop(0)]
        if self.stopped == OUT_OF_TIME or self.broken:
            return []
        attempt = self._ask()
        return [] if attempt is None else [self._begun(attempt)]

    def over(self) -> bool:
        """Whether no trial runs or waits that will be one of those asked for."""
        if self.attempts or self.ready:
            return False
        trials = self._trials()
        if self._enough(trials):
            return True
        if self.stopped == OUT_OF_TIME or self.broken:
            return True
        return bool(self.stopped) and not any(trial.state in OPEN for trial in trials)

    def stop(self, reason: str) -> None:
        """Ask for no new trials. The first reason stands, but the end of the time ends the waiting too."""
        if not self.stopped or reason == OUT_OF_TIME:
            self.stopped = reason

    def _ask(self) -> Attempt | None:
        """A trial to begin now, None if there is none; of a study that was stopped only one that waits.

        What another command runs may come back to be ended here: it is killed, or its time is up.
        """
        self._release_stale()
        alive = [trial for trial in self._trials() if trial.state is not TrialState.FAIL]
        if self._enough(alive):
            return None  # what waits is kept for a command that asks for more
        waiting = any(trial.state is TrialState.WAITING for trial in alive)
        if not waiting and (self.stopped or len(alive) >= self.config.tune.trials):
            return None
        for count in range(1 if self.stopped else ASKED_AGAIN):
            if isinstance(self.study.sampler, SeededByTrial):
                self.study.sampler.at_random = count >= ASKED_IN_EARNEST
            trial = self.study.ask()
            try:
                self.heart.begin(self.study, trial)
                others = [other for other in self._trials() if other.state is not TrialState.FAIL]
                if sum(other.number < trial.number for other in others) >= self.config.tune.trials:
                    self._refuse(trial, f"more than the {self.config.tune.trials} trials that were asked for")
                    return None
                candidate = self._candidate(trial)
                twin = self._twin(candidate, trial, others)
            except UpdateFinishedTrialError:
                # Another command took it for one that a kill had left, and put it back in the queue.
                self.heart.end(trial._trial_id)
                return None
            if twin is None:
                if isinstance(self.study.sampler, SeededByTrial):
                    self.study.sampler.at_random = False
                attempt = self._attempt(trial, candidate)
                return None if self._runs_here(attempt) else attempt
            self._refuse(trial, f"the same as trial {twin}")
        if not self.stopped:
            self.stop("the space has no other settings")
            self._say(
                f"{self.title}: the last {ASKED_AGAIN} suggestions were tried before; no more are asked for"
            )
        return None

    def _release_stale(self) -> None:
        """Now and then, put the trials of commands that were killed in the queue again."""
        if time.monotonic() - self._looked > HEARTBEAT_SECONDS:
            self._looked = time.monotonic()
            if release_stale(self.study, self.heart):
                self._say(f"{self.title}: a trial whose command was killed is taken up again")

    def _candidate(self, trial: optuna.Trial) -> Candidate:
        candidate = self.candidates.drawn(trial)
        given = trial.user_attrs.get(GIVEN)
        return candidate if given is None else Candidate(candidate.member, given)

    def _twin(self, candidate: Candidate, trial: optuna.Trial, others: list[FrozenTrial]) -> int | None:
        """Number of a trial with the same settings that is done, or was begun before."""
        mine = self._in_full(candidate)
        self.study._storage.set_trial_user_attr(trial._trial_id, MEMBER, candidate.member)
        self.study._storage.set_trial_user_attr(trial._trial_id, PARAMS, mine)
        for other in others:
            begun = other.state in COUNTED or other.number < trial.number
            if begun and other.number != trial.number and stands_for(other, candidate.member, mine):
                return int(other.number)
        return None

    def _in_full(self, candidate: Candidate) -> dict[str, Any]:
        return self.candidates.in_full(candidate)

    def _attempt(self, trial: optuna.Trial, candidate: Candidate) -> Attempt:
        frozen = trial._cached_frozen_trial
        name = name_of(candidate, frozen, number_of(frozen), self.title)
        jobs = self.candidates.fold_jobs(candidate, name)
        return Attempt(trial, candidate, name, jobs, self.candidates.folds)

    def _runs_here(self, attempt: Attempt) -> bool:
        """Whether a fit of this very trial runs; it goes on for the attempt's trial then.

        While this command stood still, another one took it for dead and put its trial back in the queue.
        """
        mine = next((one for one in self.attempts.values() if one.name == attempt.name), None)
        if mine is None:
            return False
        self.heart.end(mine.trial._trial_id)
        mine.trial = attempt.trial
        return True

    def _begun(self, attempt: Attempt) -> Job:
        """The next fit of an attempt, with a title that says how it stands."""
        job = attempt.job
        if not attempt.scores and self.pruning == "epochs":
            job = replace(job, details={**job.details, **self._details(attempt)})
        number, folds = len(attempt.scores), len(attempt.jobs)
        words = [f"{attempt.candidate.member} trial {attempt.number}", f"{job.settings['fold']}"]
        words[-1] += f" ({number + 1} of {folds})" if folds > 1 else ""
        if attempt.scores:
            words.append(f"so far {attempt.mean:.5g}")
        best = self.best()
        if best is not None:
            words.append(f"best {best[1]:.5g}")
        words.append(f"{self.left()} left")
        self.attempts[job.path] = attempt
        attempt.begun = time.monotonic()
        return replace(job, title=", ".join(words))

    # What came of it

    def done(self, job: Job, seconds: float) -> bool:
        """A fit has ended well; whether it was one of ours."""
        attempt = self.attempts.pop(job.path, None)
        if attempt is None:
            return False
        attempt.seconds += seconds
        attempt.fits += 1
        manifest = self.store.manifest(job.path)
        assert manifest is not None
        attempt.peak_memory_mib = max(attempt.peak_memory_mib, manifest.peak_memory_mib)
        fold = attempt.folds[len(attempt.scores)]
        score = self.scores.fold(job.path, fold)
        attempt.scores.append(score)
        if not np.isfinite(score):
            self._prune(attempt, f"diverged: {fold.name} has the score {score}")
        elif self._loses(attempt):
            count = len(attempt.scores)
            self._prune(attempt, f"worse than the best on {count} of {len(attempt.jobs)} folds", saved=True)
        elif len(attempt.scores) == len(attempt.jobs):
            self._complete(attempt)
        else:
            self.ready.append(self._begun(attempt))
        return True

    def failed(self, job: Job, error: JobFailed) -> bool:
        """A fit has failed; whether it was one of ours."""
        attempt = self.attempts.pop(job.path, None)
        if attempt is None:
            return False
        attempt.seconds += time.monotonic() - attempt.begun
        reason = reason_of(error)
        if reason is None:
            fail(self.study, attempt.trial._trial_id, error.reason)
            self.heart.end(attempt.trial._trial_id)
            self.broken = True
            self.stop(f"trial {attempt.number} failed")
        else:
            self._count_epochs(attempt)
            self._prune(attempt, reason, saved=error.reason.startswith(PRUNED))
        return True

    def _count_epochs(self, attempt: Attempt) -> None:
        """A fit that was broken off counts by the epochs that it did."""
        done = self.study._storage.get_trial(attempt.trial._trial_id).intermediate_values
        epochs = self.candidates.epochs(attempt.candidate)
        if self.pruning == "epochs" and done and epochs and not attempt.scores:
            attempt.fits += min(1.0, max(done) / epochs)

    def out_of_time(self, job: Job, reason: str) -> bool:
        """A fit was given up at the deadline: its trial waits for the next command."""
        attempt = self.attempts.pop(job.path, None)
        if attempt is None:
            return False
        self._set_free(attempt, f"{OUT_OF_TIME}, {reason}")
        self.stop(OUT_OF_TIME)
        return True

    def close(self) -> None:
        """Set the trials free that still run: another command goes on with them."""
        for attempt in self.attempts.values():
            self._set_free(attempt, "its command was interrupted")
        self.attempts.clear()

    def _set_free(self, attempt: Attempt, reason: str) -> None:
        self.heart.end(attempt.trial._trial_id)
        frozen = self.study._storage.get_trial(attempt.trial._trial_id)
        if frozen.state is TrialState.RUNNING:
            put_back(self.study, frozen, reason)

    def _loses(self, attempt: Attempt) -> bool:
        """Report the last fold's score; whether the pruner gives the trial up."""
        if self.pruning != "folds":
            return False
        number = len(attempt.scores)  # the same fold in every trial, as all have the same order
        if number not in self.study._storage.get_trial(attempt.trial._trial_id).intermediate_values:
            try:
                attempt.trial.report(attempt.scores[-1], number)
            except UpdateFinishedTrialError:  # another command took the trial over: it is pruned there
                return False
        return number < len(attempt.jobs) and bool(attempt.trial.should_prune())

    def _prune(self, attempt: Attempt, reason: str, saved: bool = False) -> None:
        """saved: it was given up for its scores, and the fits that it did not come to are a gain."""
        attempt.saved = len(attempt.jobs) - attempt.fits if saved else 0.0
        self._tell(attempt, TrialState.PRUNED, None, reason)

    def _complete(self, attempt: Attempt) -> None:
        values = [attempt.mean]
        for objective in self.config.tune.objectives[1:]:
            values.append(self.scores.cost([job.path for job in attempt.jobs], objective))
        self._tell(attempt, TrialState.COMPLETE, values, "")

    def _tell(self, attempt: Attempt, state: TrialState, values: list[float] | None, reason: str) -> None:
        trial_id, storage = attempt.trial._trial_id, self.study._storage
        folds = zip(attempt.folds, attempt.scores, strict=False)
        scores = {fold.name: score for fold, score in folds if np.isfinite(score)}
        try:
            if reason:
                storage.set_trial_user_attr(trial_id, REASON, reason)
            storage.set_trial_user_attr(trial_id, FOLDS, scores)
            storage.set_trial_user_attr(trial_id, PEAK, attempt.peak_memory_mib)
            storage.set_trial_user_attr(trial_id, COSTS, attempt.costs())
            self.study.tell(attempt.trial, values, state, skip_if_finished=True)
        except UpdateFinishedTrialError:  # this command stood still, and another one took the trial over
            self._say(f"{self.title} trial {attempt.number}: taken over by another command")
        self.heart.end(trial_id)
        how = reason if values is None else f"{values[0]:.5g}"
        best = self.best()
        words = f"best {best[1]:.5g} of trial {best[0]}, " if best is not None else ""
        kind = "pruned, " if values is None else ""
        done = sum(trial.state in COUNTED for trial in self._trials())
        self._say(
            f"{attempt.candidate.member} trial {attempt.number}: {kind}{how} ({words}{done} of"
            f" {self.config.tune.trials} done)"
        )

    def _refuse(self, trial: optuna.Trial, reason: str) -> None:
        fail(self.study, trial._trial_id, reason)
        self.heart.end(trial._trial_id)

    # How it stands

    def best(self) -> tuple[int, float] | None:
        """Number and score of the best trial so far."""
        sign = -1.0 if self.study.directions[0] is StudyDirection.MAXIMIZE else 1.0
        complete = [trial for trial in self._trials() if trial.state is TrialState.COMPLETE]
        if not complete:
            return None
        best = min(complete, key=lambda trial: (sign * trial.values[0], trial.number))
        return int(best.number), float(best.values[0])

    def left(self) -> int:
        """Trials that are not begun yet."""
        begun = sum(trial.state in (*COUNTED, TrialState.RUNNING) for trial in self._trials())
        return max(0, self.config.tune.trials - begun)

    def _enough(self, trials: list[FrozenTrial]) -> bool:
        """Whether as many as were asked for are done."""
        return sum(trial.state in COUNTED for trial in trials) >= self.config.tune.trials

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)
