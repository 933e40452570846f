"""What a step of post-processing is: it changes predictions in original units, knowing no truth."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.errors import InputError, unknown
from data.expression import Masks
from data.registry import Registry

POSTS: Registry[type[Post]] = Registry("post-processing", "submissions.posts")


@dataclass(frozen=True)
class PostRows:
    """The N rows that are predicted, as post-processing sees them."""

    row_id: np.ndarray  # (N,) int64 panel rows
    masks: Masks  # expression: (R,) bool over all panel rows


class Post(ABC):
    """One step. Subclasses are frozen dataclasses: their fields are the settings of competition.post."""

    @abstractmethod
    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        """(N, K) from (N, K); the input is left as it is."""


def make_post(kind: str, settings: Mapping[str, Any], where: str = "competition.post") -> Post:
    """The step `kind` with its settings. InputError for an unknown kind or setting, or a bad value."""
    chosen = POSTS.get(kind, where)
    assert dataclasses.is_dataclass(chosen), f"{chosen.__qualname__} must be a dataclass"
    fields = {field.name: field for field in dataclasses.fields(chosen)}
    for key in settings:
        if key not in fields:
            raise unknown("setting", str(key), fields, f"{where}: {kind}")
    for key, field in fields.items():
        if key not in settings and field.default is dataclasses.MISSING:
            raise InputError(f"{where}: {kind} needs the setting {key!r}")
    try:
        return chosen(**settings)
    except InputError as error:
        raise InputError(f"{where}: {kind}: {error}") from None


def require_number(name: str, value: Any) -> None:
    """InputError unless a setting is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"{name} is {value!r}, expected a number")
