"""The members of a study: their spaces, what a trial's parameters mean, and the jobs of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from data.folds import Fold
from models.members.catalogue import member_class
from models.settings import with_own
from pipeline.config import Config
from pipeline.keys import canonical_json
from pipeline.names import KIND
from pipeline.stage import Job
from pipeline.stages.prepare import Prepared
from pipeline.stages.train import chosen_parts, member_jobs
from pipeline.tuning.settings import merged
from pipeline.tuning.space import Space

MEMBER = "member"  # the parameter that names the member, in a study over several


@dataclass(frozen=True)
class Candidate:
    """One trial's member and what it changes of the member's settings."""

    member: str
    params: Mapping[str, Any]  # nested, as they may stand at member.<name>

    def text(self) -> str:
        """The same for the same candidate."""
        return canonical_json({"member": self.member, "params": self.params})


class Candidates:
    """What a study over `members` chooses from."""

    def __init__(self, config: Config, prepared: Prepared, members: tuple[str, ...]) -> None:
        self.config, self.prepared, self.members = config, prepared, members
        self.joint = len(members) > 1
        self.spaces = {
            name: Space(
                str(config.member[name][KIND]),
                config.tune.space.get(name) or {},
                f"{name}." if self.joint else "",
            )
            for name in members
        }
        #: Folds in the order in which every trial is fitted on them.
        self.folds: list[Fold] = self._shuffled(
            [part for part in chosen_parts(prepared, config.fit) if part.index >= 0]
        )

    def drawn(self, trial: Any) -> Candidate:
        """The candidate that a trial's parameters say."""
        name = trial.suggest_categorical(MEMBER, list(self.members)) if self.joint else self.members[0]
        return Candidate(name, self.spaces[name].suggest(trial))

    def parameters_of(self, candidate: Candidate) -> dict[str, Any]:
        """Optuna parameters that stand for a candidate which is none of the study's own."""
        name = candidate.member
        named = {MEMBER: name} if self.joint else {}
        return named | self.spaces[name].parameters_of(self._seen(candidate))

    def settings_of(self, candidate: Candidate) -> dict[str, Any]:
        """The member's settings with the candidate's above them."""
        return merged(self.config.member[candidate.member], candidate.params)

    def in_full(self, candidate: Candidate) -> dict[str, Any]:
        """The values of all that its space may change, so that the defaults too say what they are."""
        space = self.spaces[candidate.member]
        seen = self._seen(candidate)
        names = {name.removeprefix(space.prefix) for name in space.parameters_of(seen)}
        full: dict[str, Any] = {}
        for name in sorted(names):
            group, dot, key = name.partition(".")
            if dot:
                full.setdefault(group, {})[key] = (seen.get(group) or {}).get(key)
            elif name in seen:
                full[name] = seen[name]
        return merged(full, candidate.params)

    def epochs(self, candidate: Candidate) -> int:
        """Most epochs of one fit; 0 for a member that has none."""
        settings = self.settings_of(candidate)
        if not has_epochs(str(settings[KIND])):
            return 0
        return with_own(self.config.fit, settings.get("fit")).max_epochs

    def most_epochs(self) -> int:
        """Of any fit of any candidate."""
        found = [0]
        for name in self.members:
            settings = self.config.member[name]
            if not has_epochs(str(settings[KIND])):
                continue
            limit = self.spaces[name].choices.get("fit.max_epochs")
            epochs = [int(value) for value in limit.values()] if limit is not None else []
            found += epochs or [with_own(self.config.fit, settings.get("fit")).max_epochs]
        return max(found)

    def jobs(self, candidate: Candidate, name: str, seeds: int = 1) -> list[Job]:
        """All fits of the candidate with so many seeds, as train would make them for a member `name`."""
        settings = self.settings_of(candidate)
        own = {key: value for key, value in (settings.get("fit") or {}).items() if key != "seeds"}
        config = replace(self.config, fit=replace(self.config.fit, seeds=seeds))
        path = f"train/{config.size}/{name}"
        return member_jobs(config, self.prepared, name, {**settings, "fit": own}, path)

    def fold_jobs(self, candidate: Candidate, name: str) -> list[Job]:
        """Those of a trial: one a fold, in the study's order."""
        by_fold = {job.settings["fold"]: job for job in self.jobs(candidate, name)}
        return [by_fold[fold.name] for fold in self.folds]

    def _seen(self, candidate: Candidate) -> dict[str, Any]:
        """Settings with those of the run where the member has none of its own."""
        settings = self.settings_of(candidate)
        fit = with_own(self.config.fit, settings.get("fit"))
        windows = replace(self.config.windows, **(settings.get("windows") or {}))
        families = dict.fromkeys(self.config.competition.features, True)
        features = {**families, **(settings.get("features") or {})}
        return {**settings, "fit": vars(fit), "windows": vars(windows), "features": features}

    def _shuffled(self, folds: list[Fold]) -> list[Fold]:
        order = np.random.default_rng([self.config.tune.seed, len(folds)]).permutation(len(folds))
        return [folds[int(index)] for index in order]


def has_epochs(kind: str) -> bool:
    """Whether fits of this kind are a row of epochs that can be looked at one by one."""
    return member_class(kind).reports_epochs
