"""Samplers and pruners by name.

A sampler begins each trial with a random state of its own, made of the study's seed and the trial's number:
what it suggests depends on the trials before and not on which command, begun when, asks.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, WilcoxonPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from data.errors import InputError, unknown

Constraints = Callable[[FrozenTrial], Sequence[float]]
SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc", "nsgaii")
PRUNERS = ("epochs", "folds", "none")
MANY_EPOCHS = 9  # from which on Hyperband keeps a third at each rung; below it a half
SMALLEST_P = 0.1  # of the Wilcoxon test, where there are folds enough


def make_sampler(name: str, seed: int, constraints: Constraints | None, objectives: int = 1) -> BaseSampler:
    """The sampler called `name`. InputError for one that is unknown, or cannot do what is asked of it."""
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS, "tune.sampler")
    if name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        raise InputError("tune.sampler: cmaes needs a package that is not installed; pip install cmaes")
    if name == "cmaes" and objectives > 1:
        raise InputError("tune.sampler: cmaes has one objective; expected tpe, gp, random, qmc or nsgaii")
    if name in ("random", "cmaes", "qmc") and constraints is not None:
        raise InputError(f"tune.memory_mib: sampler {name} knows no constraints; expected tpe, gp or nsgaii")
    if name == "qmc":  # a sequence: one seed for all of it
        samplers = optuna.samplers
        return samplers.QMCSampler(seed=seed)
    return SeededByTrial(lambda own: _made(name, own, constraints), seed)


def _made(name: str, seed: int, constraints: Constraints | None) -> BaseSampler:
    samplers = optuna.samplers
    if name == "random":
        return RandomSampler(seed)
    if name == "gp":
        return samplers.GPSampler(seed=seed, constraints_func=constraints, deterministic_objective=False)
    if name == "cmaes":
        return samplers.CmaEsSampler(seed=seed)
    if name == "nsgaii":
        return samplers.NSGAIISampler(seed=seed, constraints_func=constraints)
    return samplers.TPESampler(
        multivariate=True,
        group=True,  # parameters that hang on another one's value have a space of their own
        constant_liar=True,  # a trial that runs elsewhere counts as a bad one: workers spread
        constraints_func=constraints,
        seed=seed,
    )


class SeededByTrial(BaseSampler):
    """A sampler that is made anew for each trial, by a seed from the study's and the trial's number."""

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._made: tuple[int, bool, BaseSampler] | None = None
        self.at_random = False  # ignore what is known: for a sampler that suggests the same again and again

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        wanted = (trial.number, self.at_random)
        if self._made is None or self._made[:2] != wanted:
            seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
            self._made = (*wanted, RandomSampler(seed) if self.at_random else self._make(seed))
        return self._made[2]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        return self._of(trial).infer_relative_search_space(_whole(study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        return self._of(trial).sample_relative(_whole(study), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        return self._of(trial).sample_independent(_whole(study), trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._of(trial).before_trial(_whole(study), trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: optuna.trial.TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._of(trial).after_trial(_whole(study), trial, state, values)


def _whole(study: optuna.Study) -> optuna.Study:
    """Hyperband shows a sampler the trials of one bracket only: in a study of tens there is little to see."""
    return getattr(study, "_study", study)


def make_pruner(name: str, folds: int, epochs: int) -> BasePruner:
    """What decides that a trial is not worth its rest.

    folds: WilcoxonPruner over fold scores paired with the best trial's. With n pairs the test's p is 1 / 2^n
    at least, so that with few folds a larger one must do: every study can drop a trial before its last fold
    if it lost on all folds so far (two at least). epochs: HyperbandPruner over the first fold's epochs.
    """
    if name == "folds" and folds > 1:
        least = 0.5 ** (folds - 1)
        return WilcoxonPruner(p_threshold=max(SMALLEST_P, least * 1.01), n_startup_steps=2)
    if name == "epochs" and epochs > 1:
        # Of three epochs a factor of 3 would leave half of the trials, those of the later bracket, unpruned.
        factor = 3 if epochs >= MANY_EPOCHS else 2
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=factor)
    return NopPruner()
