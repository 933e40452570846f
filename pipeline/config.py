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
class Blend:
    """How members are combined."""

    # the one with the best honest score wins
    names: list[str] = field(default_factory=lambda: ["mean", "median", "best", "convex"])


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
