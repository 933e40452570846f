"""The whole configuration as dataclasses: what a key means, its type and its default.

Hydra composes conf/ and the command line; what comes out is merged into `Config`, so that a misspelt key
or a wrong type is refused by name, whoever's YAML it stands in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from data.competition import Competition


@dataclass
class Windows:
    """How training windows are cut (see data/windows.py)."""

    context: int | None = None  # rows before the origin; null: the competition's, else 2 x horizon
    min_context: int = 1  # rows of history that a training window needs at least
    origins: str = "random"  # random, or all: every `stride` rows
    stride: int = 1
    per_epoch: int | None = None  # training windows an epoch; null: as many as there are non-overlapping ones
    scaling: str = "auto"  # location and scale of the target: auto, none, mean, standard, robust, constant
    recency: float = 0.0  # half-life in rows of the weight of an origin; 0: all equal


@dataclass
class Fit:
    """How members are fitted; every key is part of an artefact's key."""

    max_epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    optimizer: str = "adamw"  # adamw, adam, sgd, rmsprop
    schedule: str = "one_cycle"  # one_cycle, cosine, plateau, constant
    warmup: float = 0.1  # share of the steps
    clip: float = 1.0  # largest gradient norm; 0: off
    averaging: str = "none"  # none, ema (of weights), swa
    averaging_decay: float = 0.99
    loss: str = "auto"  # auto: what the metric hints at; else a loss by name
    early_stopping: bool = False  # on an inner slice of the training part, never on validation rows
    patience: int = 5
    inner_share: float = 0.1
    seeds: int = 1  # fits of every member and fold with seed, seed + 1, ...
    folds: list[int] | None = None  # null: all
    refit: str = "auto"  # none; all: fit on everything for the submission; auto: all in horizon tasks
    threads: int = 1  # of one fit; part of the key since sums depend on it
    precision: str = "auto"  # auto: bf16 on GPUs that have it, else 32; 32, bf16
    compile: bool = False  # torch.compile
    device: str = "auto"  # auto, cpu, cuda, cuda:1
    devices: int = 1
    strategy: str = "auto"
    deterministic: bool = True


@dataclass
class Blend:
    """How members are combined."""

    names: list[str] = field(default_factory=lambda: ["mean", "median", "convex"])  # the best honest one wins


@dataclass
class Submit:
    """The submission CSV."""

    name: str | None = None  # null: <competition>-<size>
    post: bool = True  # apply the competition's post-processing


@dataclass
class Executor:
    """Where jobs run: inline, or processes on this machine."""

    name: str = "processes"
    workers: int | None = None  # null: processor cores / fit.threads


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
    blend: Blend = field(default_factory=Blend)
    submit: Submit = field(default_factory=Submit)
    executor: Executor = field(default_factory=Executor)
    budget: str | None = None  # as 30m, 2h: fit what fits, cheapest first, always leave a valid submission
    seed: int = 0
    root: str = "."  # artifacts/, data/files/ and submissions/files/ stand below it
    plugins: list[str] = field(default_factory=list)  # the user's own Python files that register something
