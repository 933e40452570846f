"""The whole configuration as dataclasses: what a key means, its type and its default.

Hydra composes conf/ and the command line; what comes out is merged into `Config`, so that a misspelt key
or a wrong type is refused by name, whoever's YAML it stands in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from data.competition import Competition
from data.settings import Windows
from models.settings import Fit


@dataclass
class Check:
    """The checks before training."""

    rows: int = 20_000  # of each part that are compared, at most
    fatal: bool = False  # end the run at the first warning


@dataclass
class Blend:
    """How members are combined."""

    # the one with the best honest score wins; of those tied with it the simplest
    names: list[str] = field(
        default_factory=lambda: [
            "mean", "median", "trimmed_mean", "best", "convex", "hill_climbing", "ridge", "by_group",
            "by_step", "lightgbm_stacking",
        ]
    )  # fmt: skip
    fits: str = "mean"  # how a member's seeds, and folds where there is no refit, become one: mean, median
    group: str | None = None  # static categorical column of by_group; null: the first one
    recency: float | None = None  # horizon tasks: cut-offs after which one counts half; null: all alike


@dataclass
class Submit:
    """The submission CSV."""

    name: str | None = None  # null: <competition>-<size>
    post: bool = True  # apply the competition's post-processing
    # stage=submissions: what Kaggle's public leaderboard says of submit.name, a name or an id
    public_score: float | None = None
    diff: list[str] = field(default_factory=list)  # stage=submissions: two names, ids or files to compare
    # true: upload it with the official kaggle client; again: also where the same file was uploaded before
    push: str = "false"
    of: str | None = (
        None  # stage=predict, pack: whose models forecast; null: <competition>-<size>, the latest
    )
    rebuild: str | None = None  # stage=submit: a submission (name, id, folder) to be made again


@dataclass
class Clean:
    """stage=clean: what no artefact needs any more."""

    remove: bool = False  # false: list it only


@dataclass
class Tune:
    """Optuna studies over members' settings (stage=tune), and what of them other stages use."""

    trials: int = 20  # complete or pruned ones of each study, however many commands work on it
    timeout: str | None = None  # as 30m, 2h: no trial begins or goes on after it, or after the budget
    workers: int | None = None  # trials at the same time; null: executor.workers
    sampler: str = "tpe"  # tpe, random, gp, cmaes, qmc, nsgaii
    # epochs: Hyperband over the first fold's epochs; folds: Wilcoxon's test over folds in a shuffled order;
    # none. A member without epochs is pruned by folds.
    prune: str = "epochs"
    # score, and beside it parameters or predict_seconds: several objectives have no pruning
    objectives: list[str] = field(default_factory=lambda: ["score"])
    joint: bool = False  # one study over all members instead of one for each
    seed: int = 0  # of the sampler and of the folds' order
    storage: str | None = None  # an Optuna URL; null: SQLite in artifacts/<competition>/tune/study.db
    # by member and setting: {low, high, log, step}, {choices: [...]} or a fixed value. A key is one that the
    # member's search has, another setting of it, fit.KEY, windows.KEY or features.FAMILY (true, false)
    space: dict[str, Any] = field(default_factory=dict)
    warm_start: str | None = None  # another competition whose best trial is tried after the defaults
    memory_mib: float | None = None  # trials that need more are worse than all that do not
    confirm_seeds: int = 2  # fresh seeds with which the defaults and the best trial are compared
    use: str = "none"  # train and later stages: none, best (where it was kept), top5: as members of their own


@dataclass
class Executor:
    """Where jobs run; executor=NAME is short for executor.name=NAME (list=executors)."""

    name: str = "processes"
    workers: int | None = None  # jobs at a time; null: as many as the cores (/ fit.threads) or the GPUs serve
    gpus: float | None = None  # of each job; 0.5: two jobs share one; null: fit.devices where there are any
    address: str | None = None  # ray: of a cluster, as HOST:PORT or auto; null: this machine


@dataclass
class OneProbe:
    """What a probe of a suite has of its own; null, or what a mapping does not say: the suite's."""

    lengths: list[int] | None = None
    members: list[str] | None = None
    member: dict[str, Any] = field(default_factory=dict)  # settings above those of the rows
    seeds: int | None = None
    steps: int | None = None
    parameters: int | None = None
    fit: dict[str, Any] = field(default_factory=dict)
    look_every: int | None = None
    patience: int | None = None
    validation: int | None = None
    test: int | None = None


@dataclass
class Probing:
    """Long-dependency probes: what stage=probe trains on what, and for how long. Suites: conf/probe/."""

    suite: str = "default"  # the name of its file; names its artefacts too
    # probes; one with settings is a mapping: {name: first_plus_last, function: square}
    names: list[Any] = field(default_factory=list)
    lengths: list[int] | None = None  # null: each probe's own
    members: list[str] | None = None  # those that run unless members=[...] is given; null: the run's own
    # rows of the table that no member stands for, as variants: {chrono_lstm: {kind: lstm, chrono: rows}};
    # `rows` as a value is the number of rows of the probe's windows
    member: dict[str, Any] = field(default_factory=dict)
    # what a probe has of its own, by its label: {copy: {lengths: [500], member: {tcn: {hidden: 10}}}}
    own: dict[str, Any] = field(default_factory=dict)
    seeds: int = 3
    steps: int = 2000  # of one cell, at most
    parameters: int | None = None  # every network is widened or narrowed to about as many
    fit: dict[str, Any] = field(default_factory=dict)  # how cells are fitted; a member's own fit goes above
    look_every: int = 50  # steps between looks at the validation windows
    patience: int | None = None  # steps without progress after which a cell is stuck; null: half of `steps`
    validation: int = 500  # windows that are looked at while training
    test: int = 2000  # windows that a cell is measured on


@dataclass
class Config:
    """One run. `competition`, `size` and the member groups come from conf/."""

    stage: str = "all"
    competition: Competition = field(default_factory=Competition)
    size: str = "demo"
    members: list[str] = field(default_factory=list)  # those that run
    member: dict[str, Any] = field(default_factory=dict)  # every known member's settings, by name
    fit: Fit = field(default_factory=Fit)
    windows: Windows = field(default_factory=Windows)
    check: Check = field(default_factory=Check)
    blend: Blend = field(default_factory=Blend)
    submit: Submit = field(default_factory=Submit)
    clean: Clean = field(default_factory=Clean)
    probe: Probing = field(default_factory=Probing)
    tune: Tune = field(default_factory=Tune)
    executor: Executor = field(default_factory=Executor)
    budget: str | None = None  # as 30m, 2h: fit what fits, cheapest first, always leave a valid submission
    seed: int = 0
    root: str = "."  # artifacts/, data/files/ and submissions/files/ stand below it
    plugins: list[str] = field(default_factory=list)  # the user's own Python files that register something
