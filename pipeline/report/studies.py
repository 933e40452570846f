"""Tuning studies of a competition as they left them in tune/<member>/best.json and trials.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import InputError
from pipeline.tuning.files import BEST, TRIALS
from pipeline.tuning.settings import flat

FOLDER = "tune"


@dataclass(frozen=True)
class Trial:
    """One trial. `parameters` are the settings that it was fitted with, flat: `fit.learning_rate`."""

    number: int
    state: str  # complete, pruned, fail, running, waiting
    member: str
    default: bool
    values: tuple[float, ...]  # of the objectives, the score first; NaN where there is none
    parameters: Mapping[str, Any]
    reason: str | None

    @property
    def score(self) -> float:
        """Mean out-of-fold score; NaN unless the trial is complete."""
        return self.values[0] if self.state == "complete" and self.values else float("nan")


@dataclass(frozen=True)
class Study:
    """One study over one member, or over several (a joint one)."""

    name: str
    members: Mapping[str, Mapping[str, Any]]  # best.json of each
    trials: tuple[Trial, ...]  # by number

    @property
    def any(self) -> Mapping[str, Any]:
        """best.json of the first member, for what is the same for all."""
        return next(iter(self.members.values()))

    @property
    def joint(self) -> bool:
        """Whether it chose among several members."""
        return len(self.members) > 1

    @property
    def greater_is_better(self) -> bool:
        """Of the score."""
        return bool(self.any["greater_is_better"])

    @property
    def objectives(self) -> tuple[str, ...]:
        """Score, and what is judged beside it; the others are the better the smaller."""
        return tuple(self.any["objectives"])

    @cached_property
    def complete(self) -> tuple[Trial, ...]:
        """Trials with a score, by number."""
        return tuple(trial for trial in self.trials if np.isfinite(trial.score))

    @property
    def importances(self) -> Mapping[str, float]:
        """Share of each parameter in the score's variance; {} where there is none."""
        found: Mapping[str, float] = self.any["importances"]
        return found

    def of(self, member: str) -> Study:
        """The part of a joint study that is one member's."""
        prefix = f"{member}."
        importances = {
            name.removeprefix(prefix): share
            for name, share in self.importances.items()
            if name.startswith(prefix)
        }
        best = {**self.members[member], "importances": importances} if self.joint else self.members[member]
        return Study(self.name, {member: best}, tuple(one for one in self.trials if one.member == member))

    def parameters(self) -> list[str]:
        """Those that complete trials differ in, the most important first."""
        names = dict.fromkeys(name for trial in self.complete for name in trial.parameters)
        varied = [
            name
            for name in names
            if len({repr(one.parameters[name]) for one in self.complete if name in one.parameters}) > 1
        ]
        return sorted(varied, key=lambda name: -self.importances.get(name, 0.0))

    def best(self, member: str) -> Trial | None:
        """The trial that best.json speaks of."""
        score = self.members[member]["score"]
        params = self.members[member]["trial"]
        mine = [one for one in self.complete if one.member == member and one.score == score]
        return next((one for one in mine if one.number == params), mine[0] if mine else None)

    def front(self) -> tuple[Trial, ...]:
        """Trials that no other one is better than in all objectives, by their score."""
        sign = -1.0 if self.greater_is_better else 1.0
        place = {one.number: np.array([sign * one.score, *one.values[1:]]) for one in self.complete}

        def beaten(one: Trial) -> bool:
            mine = place[one.number]
            return any((other <= mine).all() and (other < mine).any() for other in place.values())

        kept = [one for one in self.complete if not beaten(one)]
        return tuple(sorted(kept, key=lambda one: (place[one.number][0], one.number)))


def studies_there(root: Path) -> dict[str, dict[str, str]]:
    """{member: {file: hash of what it holds}} of artifacts/<competition>, for the report's key."""
    found = {}
    for best in sorted((root / FOLDER).glob(f"*/{BEST}")):
        files = [file for file in (best, best.with_name(TRIALS)) if file.is_file()]
        found[best.parent.name] = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files
        }
    return found


def read_studies(root: Path, members: Mapping[str, Any]) -> list[Study]:
    """Of these members; those of one joint study come as one. InputError for a file that is not whole."""
    grouped: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for member in members:
        best = _json(root / FOLDER / member / BEST)
        missing = [key for key in ("study", "params", "importances", "top", "objectives") if key not in best]
        if missing:
            raise InputError(
                f"{root / FOLDER / member / BEST}: {missing[0]} is missing; stage=tune writes the file anew"
            )
        grouped.setdefault((best["storage"], best["study"]), {})[member] = best
    return [Study(name, best, _trials(root, list(best))) for (_, name), best in grouped.items()]


def _trials(root: Path, members: list[str]) -> tuple[Trial, ...]:
    found: dict[int, Trial] = {}
    for member in members:
        file = root / FOLDER / member / TRIALS
        for entry in _json(file) if file.is_file() else ():
            # What was fitted: where the defaults are not in the space, the sampler's own differ from it.
            parameters = flat(entry["params"] or {})
            values = tuple(np.nan if value is None else float(value) for value in entry["values"])
            found[entry["number"]] = Trial(
                entry["number"],
                entry["state"],
                entry["member"] or member,
                entry["default"],
                values,
                parameters,
                entry["reason"],
            )
    return tuple(found[number] for number in sorted(found))


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}; stage=tune writes it anew") from error
