"""What a step of post-processing is: it changes predictions in original units, knowing no truth of theirs.

A step is a frozen dataclass whose fields are the settings of `competition.post`. A `Post` changes predictions
as it stands; a `LearningPost` first learns from out-of-fold rows (`fit`), and what it learnt, plain data that
is kept with the blend, makes a Post of it (`learnt`).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.errors import InputError, unknown
from data.expression import Masks
from data.registry import Registry

POSTS: Registry[type[Step]] = Registry("post-processing", "submissions.posts")

#: What a learning step learnt, JSON-ready.
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class PostRows:
    """The N rows that are predicted, as post-processing sees them: inputs that are known ahead, no target."""

    row_id: np.ndarray  # (N,) int64 panel rows
    masks: Masks  # expression: (R,) bool over all panel rows
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)  # column: (R,) over all panel rows
    offsets: np.ndarray | None = None  # (S + 1,) rows of series s are offsets[s]:offsets[s + 1]
    own: Mapping[str, np.ndarray] = field(default_factory=dict)  # step and series (-1: new): (N,)

    def take(self, rows: np.ndarray) -> PostRows:
        """The rows `rows` (index or bool mask)."""
        own = {name: value[rows] for name, value in self.own.items()}
        return dataclasses.replace(self, row_id=self.row_id[rows], own=own)

    def column(self, name: str, where: str) -> np.ndarray:
        """(R,) an input column over all panel rows. InputError, with `where`, for one that is not there."""
        if name not in self.inputs:
            raise unknown("column", name, self.inputs, where)
        return self.inputs[name]

    def groups(self, columns: list[str], where: str) -> np.ndarray:
        """(N,) str: the values of these columns in each row; one group where there are none."""
        if not columns:
            return np.full(len(self.row_id), "all")
        # Row by row as text, so that what was learnt by group can be kept as JSON.
        found = [
            self.own[name] if name in self.own else self.column(name, where)[self.row_id] for name in columns
        ]
        text = [values.astype(float).astype(str) for values in found]
        joined = text[0]
        for more in text[1:]:
            joined = np.char.add(np.char.add(joined, ","), more)
        return joined


@dataclass(frozen=True)
class Forecast:
    """Predictions of N rows in original units."""

    point: np.ndarray  # (N, K)
    quantiles: np.ndarray | None = None  # (N, K, Q), rising along Q; None: points alone
    levels: tuple[float, ...] = ()  # (Q,)

    def take(self, rows: np.ndarray) -> Forecast:
        """The rows `rows` (index or bool mask)."""
        quantiles = None if self.quantiles is None else self.quantiles[rows]
        return Forecast(self.point[rows], quantiles, self.levels)


@dataclass(frozen=True)
class PostData:
    """What a step learns from: out-of-fold rows, as the steps before it have left them, and their truth."""

    forecast: Forecast
    rows: PostRows
    truth: np.ndarray  # (N, K), NaN where it is not known
    weight: np.ndarray  # (N,), 0 where not judged
    loss: Callable[[np.ndarray, np.ndarray], float]  # (rows (n,), points (n, K)) -> lower is better

    def judged(self) -> PostData:
        """The rows of weight above 0."""
        kept = np.flatnonzero(self.weight > 0)
        return dataclasses.replace(
            self,
            forecast=self.forecast.take(kept),
            rows=self.rows.take(kept),
            truth=self.truth[kept],
            weight=self.weight[kept],
            loss=lambda rows, point: self.loss(kept[rows], point),
        )


class Step:
    """One entry of competition.post."""

    def reads(self) -> tuple[str, ...]:
        """Input columns that it needs: static ones and those known ahead, `series` and `step`."""
        return ()


class Post(Step, ABC):
    """A step that is ready to be applied."""

    @abstractmethod
    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        """(N, K) from (N, K); the input is left as it is."""

    def apply_quantiles(self, quantiles: np.ndarray, levels: tuple[float, ...], rows: PostRows) -> np.ndarray:
        """(N, K, Q) from (N, K, Q): as points, level by level, unless a step says otherwise."""
        each = [self.apply(quantiles[:, :, level], rows) for level in range(quantiles.shape[2])]
        return np.stack(each, axis=2)


class LearningPost(Step, ABC):
    """A step that learns from out-of-fold rows first."""

    @abstractmethod
    def fit(self, data: PostData) -> Parameters:
        """What it learns, JSON-ready. Deterministic."""

    @abstractmethod
    def learnt(self, parameters: Parameters) -> Post:
        """The step with what `fit` returned, after a way through JSON."""


def make_post(kind: str, settings: Mapping[str, Any], where: str = "competition.post") -> Step:
    """The step `kind` with its settings. InputError for an unknown kind or setting, or a bad value."""
    chosen = POSTS.get(kind, where)
    assert dataclasses.is_dataclass(chosen), f"{chosen.__qualname__} must be a dataclass"
    fields = {one.name: one for one in dataclasses.fields(chosen)}
    for key in settings:
        if key not in fields:
            raise unknown("setting", str(key), fields, f"{where}: {kind}")
    for key, one in fields.items():
        needed = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        if key not in settings and needed:
            raise InputError(f"{where}: {kind} needs the setting {key!r}")
    try:
        return chosen(**settings)
    except InputError as error:
        raise InputError(f"{where}: {kind}: {error}") from None


def require_number(name: str, value: Any) -> None:
    """InputError unless a setting is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"{name} is {value!r}, expected a number")


def require_names(name: str, value: Any) -> None:
    """InputError unless a setting is a list of texts."""
    if isinstance(value, str) or not all(isinstance(one, str) for one in value):
        raise InputError(f"{name} is {value!r}, expected a list of column names")
