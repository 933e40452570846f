"""Is the best trial better than the defaults? Both are fitted anew with seeds that the study never used.

The best of many noisy scores is too good by the noise. So the defaults and the best trial are fitted on all
folds with fresh seeds, and d = score of the defaults - score of the best (the other way round where greater
is better) is taken fold by fold and seed by seed: gain = mean(d), standard error = sd(d) / sqrt(n). The best
parameters are kept only if the gain exceeds one standard error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.executor import JobFailed
from pipeline.stage import Job
from pipeline.tuning.candidates import Candidate, Candidates
from pipeline.tuning.failures import reason_of
from pipeline.tuning.scores import Scores


@dataclass(frozen=True)
class Verdict:
    """What the confirmation says."""

    gain: float | None  # above 0: the best trial is better, whatever the metric's direction
    standard_error: float | None
    pairs: int
    local_default: float | None
    local_best: float | None
    reason: str = ""  # why there is no gain

    @property
    def kept(self) -> bool:
        """Whether the best parameters are worth keeping; noise is not."""
        if self.gain is None or self.standard_error is None:
            return False
        return self.gain > self.standard_error


class Confirmation:
    """The fits of the defaults and of the best trial with fresh seeds."""

    def __init__(
        self,
        candidates: Candidates,
        scores: Scores,
        best: Candidate,
        best_name: str,
        seeds: int,
    ) -> None:
        config, member = candidates.config, best.member
        self._candidates, self._scores = candidates, scores
        self.same = best_name == member  # the defaults are the best
        named = {member: Candidate(member, {})} | ({} if self.same else {best_name: best})
        self._jobs: dict[str, list[Job]] = {}
        for name, candidate in named.items():
            jobs = candidates.jobs(candidate, name, seeds + 1)
            fresh = [job for job in jobs if job.settings["seed"] != config.seed]
            # Of a member to whom the seed is nothing there is one fit: the pairs are its folds then.
            jobs = fresh or jobs
            self._jobs[name] = [job for job in jobs if self._wanted(job)]
        self._default, self._best = member, best_name
        self._failed: dict[str, str] = {}
        self._open = {job.path for jobs in self._jobs.values() for job in jobs}

    def jobs(self) -> list[Job]:
        """All of them."""
        named = {self._default: "default", self._best: "best"}
        found = []
        for name, jobs in self._jobs.items():
            for job in jobs:
                title = f"{self._default} confirm {named[name]}, {job.title.removeprefix(name).strip()}"
                found.append(replace(job, title=title))
        return found

    def ended(self, job: Job, reason: str = "") -> bool:
        """A fit has ended, badly if there is a reason; whether it was one of these."""
        if job.path not in self._open:
            return False
        self._open.discard(job.path)
        if reason:
            self._failed[job.path] = reason
        return True

    def failed(self, job: Job, error: JobFailed) -> bool:
        """A fit has failed; whether it was one of these."""
        return self.ended(job, reason_of(error) or error.reason)

    def over(self) -> bool:
        return not self._open

    def verdict(self) -> Verdict:
        """From what is there when all have ended."""
        local = {name: self._local(jobs) for name, jobs in self._jobs.items()}
        best_local, default_local = local[self._best], local[self._default]
        if self.same:
            return Verdict(0.0, 0.0, 0, default_local, best_local, "the defaults did best")
        if self._failed:
            path, reason = next(iter(self._failed.items()))
            return Verdict(None, None, 0, default_local, best_local, f"{path}: {reason}")
        default, best = (self._by_pair(self._jobs[name]) for name in (self._default, self._best))
        sign = -1.0 if self._scores.greater_is_better else 1.0
        pairs = sorted(set(default) & set(best))
        d = np.array([sign * (default[pair] - best[pair]) for pair in pairs])
        d = d[np.isfinite(d)]
        if len(d) < 2:
            gain = float(d[0]) if len(d) else None
            return Verdict(gain, None, len(d), default_local, best_local, "one pair has no standard error")
        error = float(d.std(ddof=1) / np.sqrt(len(d)))
        return Verdict(float(d.mean()), error, len(d), default_local, best_local)

    def _wanted(self, job: Job) -> bool:
        """Fits of folds, and those that predict what the local score is of."""
        part = self._scores.local_part
        return "oof" in job.settings["predict"] or (part is not None and part in job.settings["predict"])

    def _by_pair(self, jobs: list[Job]) -> dict[tuple[str, int], float]:
        """(fold, seed): score."""
        folds = {fold.name: fold for fold in self._candidates.folds}
        return {
            (job.settings["fold"], job.settings["seed"]): self._scores.fold(
                job.path, folds[job.settings["fold"]]
            )
            for job in jobs
            if "oof" in job.settings["predict"]
        }

    def _local(self, jobs: list[Job]) -> float | None:
        part = self._scores.local_part
        paths = [job.path for job in jobs if part in job.settings["predict"]]
        return None if set(paths) & set(self._failed) else self._scores.local(paths)
