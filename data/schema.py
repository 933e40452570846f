"""What every column of a batch means: names, roles, units, cardinalities and lengths."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

Role = Literal["known", "past", "past_target", "indicator"]
ROLES: tuple[str, ...] = get_args(Role)

#: How a real column is scaled when a window is cut.
#: plain  - by the fold's training rows (known columns), or not at all (past-derived ratios);
#: level  - like target k: (x - location_k) / scale_k;   spread - like a difference of target k: x / scale_k;
#: own    - by its own mean and standard deviation over the window's rows before the origin.
Unit = Literal["plain", "level", "spread", "own"]


class Column(NamedTuple):
    """One input column: a raw covariate, a feature's output, a past target or an indicator."""

    name: str
    kind: Literal["real", "category"] = "real"
    reach: int | None = None  # smallest lag at which it reads a target or past-only column; None: never
    unit: Unit = "plain"
    target: int = 0  # which target's location and scale, for level and spread
    size: int = 0  # cardinality with code 0 = unknown, for categories
    scaled: bool = True  # plain known reals only: standardise by training rows (False: already in range)


class InputSchema(NamedTuple):
    """Names and roles of every tensor's columns in a SequenceBatch, and the lengths of a window."""

    real: tuple[str, ...]
    real_role: tuple[Role, ...]
    category: tuple[str, ...]
    category_size: tuple[int, ...]
    static_real: tuple[str, ...]
    static_category: tuple[str, ...]
    static_category_size: tuple[int, ...]
    target: tuple[str, ...]
    context: int  # rows before the origin in a full window (0 in sequence tasks)
    horizon: int  # rows from the origin on in a full window
    series: int  # number of series in the panel, for per-series parameters
    seasonality: tuple[int, ...] = ()
    quantile: tuple[float, ...] = ()
    target_transform: str = "none"
    real_reach: tuple[int | None, ...] = ()  # of `real` (see Column); (): None if known, else 0
    category_reach: tuple[int | None, ...] = ()  # of `category`; (): all None

    @property
    def length(self) -> int:
        """L of a full window."""
        return self.context + self.horizon

    @property
    def targets(self) -> int:
        """K."""
        return len(self.target)

    def reals(self, *roles: Role) -> list[int]:
        """Indices into `real` of the columns that have one of `roles`."""
        return [index for index, role in enumerate(self.real_role) if role in roles]

    def reaches(self) -> tuple[list[int | None], list[int | None]]:
        """Of every real, then of every categorical column: on step h of the horizon it is shown if r >= h.

        None: everywhere. Where the schema does not say, by role: what is not known ends at the origin.
        """
        by_role: list[int | None] = []
        for name, role in zip(self.real, self.real_role, strict=True):
            about = name.removeprefix("missing.")  # an indicator is shown where its column is
            if role == "indicator" and about in self.real:
                role = self.real_role[self.real.index(about)]
            by_role.append(None if role == "known" else 0)
        return list(self.real_reach) or by_role, list(self.category_reach) or [None] * len(self.category)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_json` gives the schema back."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> InputSchema:
        """The schema that `to_json` wrote."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
        }
        return cls(**fields)
