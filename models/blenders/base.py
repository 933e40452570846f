"""What a blender is: it combines the members' predictions, row by row, after a look at out-of-fold rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from data.registry import Registry
from data.scoring import Asked

BLENDERS: Registry[type[Blender]] = Registry("blender", "models.blenders")


@dataclass(frozen=True)
class BlendRows:
    """What is known of N rows that are predicted, besides the members' predictions: never their truth."""

    series: np.ndarray  # (N,) int64, -1 for one that was not there when blenders were fitted
    step: np.ndarray  # (N,) int64, 1 for the first row of the window
    group: np.ndarray  # (N,) int64 group of the series, 0 where the competition has none
    features: Mapping[str, np.ndarray]  # column: (N,) float64; static ones and those known ahead

    def take(self, rows: np.ndarray) -> BlendRows:
        """The rows `rows` (index or bool mask)."""
        features = {name: value[rows] for name, value in self.features.items()}
        return BlendRows(self.series[rows], self.step[rows], self.group[rows], features)

    @classmethod
    def of(
        cls,
        asked: Asked,
        group: np.ndarray | None = None,
        features: Mapping[str, np.ndarray] | None = None,
    ) -> BlendRows:
        """The asked rows, their truth left behind. group, features: (N,) as above."""
        none = np.zeros(len(asked), dtype=np.int64)
        return cls(asked.series, asked.step, none if group is None else group, features or {})


@dataclass(frozen=True)
class BlendData:
    """Out-of-fold predictions of M members, and how a prediction of the same rows is judged."""

    value: np.ndarray  # (N, M, K) float64, original units
    asked: Asked  # the N rows, with truth and weight
    judge: Callable[[Asked, np.ndarray], float]  # (rows, (N, K)) -> loss, lower is better; NaN: not defined
    group: np.ndarray | None = None  # (N,) as in BlendRows
    features: Mapping[str, np.ndarray] = field(default_factory=dict)  # as in BlendRows

    @property
    def truth(self) -> np.ndarray:
        """(N, K), NaN where it is not known."""
        return self.asked.truth

    @property
    def weight(self) -> np.ndarray:
        """(N,) float32, 0 where not judged."""
        return self.asked.weight

    @property
    def members(self) -> int:
        """M."""
        return self.value.shape[1]

    @property
    def rows(self) -> BlendRows:
        """What a prediction of these rows may read."""
        return BlendRows.of(self.asked, self.group, self.features)

    def loss(self, prediction: np.ndarray) -> float:
        """The deciding metric of (N, K), signed so that lower is better; inf where it is not defined."""
        loss = float(self.judge(self.asked, prediction))
        return loss if np.isfinite(loss) else float("inf")

    def take(self, rows: np.ndarray) -> BlendData:
        """The rows `rows` (index or bool mask)."""
        group = None if self.group is None else self.group[rows]
        features = {name: value[rows] for name, value in self.features.items()}
        return BlendData(self.value[rows], self.asked.take(rows), self.judge, group, features)

    def with_members(self, order: Sequence[int] | np.ndarray) -> BlendData:
        """The members `order`, in that order."""
        return replace(self, value=self.value[:, np.asarray(order)])

    def judged(self) -> BlendData:
        """The rows of weight above 0."""
        return self.take(self.weight > 0)


class Blender(ABC):
    """One way to combine M members. The order of the members means nothing; one member is its own blend.

    Subclasses see the members in an order of their own: by out-of-fold loss, best first. One that is fitted
    is the plain mean where no row is judged.
    """

    complexity: ClassVar[int]  # of two that score alike the one with the smaller number is taken
    fitted: ClassVar[bool] = False  # whether it learns from out-of-fold rows
    between: ClassVar[bool] = True  # whether a blend lies between its lowest and its highest member
    of_quantiles: ClassVar[bool] = True  # whether it blends forecasts of quantiles as well as points

    _order: np.ndarray  # (M,)
    _blind: bool  # nothing to learn from

    def fit(self, data: BlendData) -> None:
        """Learn from out-of-fold rows. Deterministic."""
        self._order, self._blind = np.arange(data.members), False
        if self.fitted and data.members > 1:
            data = data.judged()
            self._blind = len(data.asked) == 0
            if not self._blind:
                alone = [data.loss(data.value[:, member]) for member in range(data.members)]
                self._order = np.lexsort((data.value.sum(axis=(0, 2)), np.array(alone)))
                self._fit(data.with_members(self._order))

    def predict(self, value: np.ndarray, rows: BlendRows) -> np.ndarray:
        """(N, K) from the members' predictions (N, M, K) of these rows."""
        if value.shape[1] == 1:
            return value[:, 0].copy()
        if self._blind:
            return weighted(value, np.full(value.shape[1], 1.0 / value.shape[1]))
        return self._predict(value[:, self._order], rows)

    def weights(self, names: Sequence[str]) -> dict[str, float] | None:
        """The weight of each member, where the blender is a weighted mean."""
        weight = np.full(len(names), 1.0 / len(names))
        if len(names) > 1 and not self._blind:
            found = self._weights()
            if found is None:
                return None
            weight = found
        given = np.empty(len(names))
        given[self._order] = weight
        return dict(zip(names, given.tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON has it: numbers to the last bit. TypeError for what JSON cannot say."""
        return {name: _plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Blender:
        """The fitted blender whose `state` it is."""
        blender = cls()
        for name, value in state.items():
            setattr(blender, name, _from_plain(value))
        return blender

    def _fit(self, data: BlendData) -> None:
        """Of at least two members, on judged rows, at least one."""
        raise NotImplementedError(f"{type(self).__qualname__} is fitted, and does not say how")

    @abstractmethod
    def _predict(self, value: np.ndarray, rows: BlendRows) -> np.ndarray:
        """As `predict`, of as many members as `_fit` saw, in the same order."""

    def _weights(self) -> np.ndarray | None:
        """(M,) in the order of `_fit`."""
        return None


class WeightedBlender(Blender):
    """One weight a member, the same in every row: `_fit` leaves them in `weight`."""

    fitted: ClassVar[bool] = True
    weight: np.ndarray  # (M,)

    def _predict(self, value: np.ndarray, rows: BlendRows) -> np.ndarray:
        return weighted(value, self.weight)

    def _weights(self) -> np.ndarray:
        return self.weight


def _plain(value: Any) -> Any:
    """Arrays as {array, kind}, mappings as {pairs}; text, numbers, booleans, None and lists of them."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise TypeError(f"an array of {value.dtype} cannot be stored")
        return {"array": value.tolist(), "kind": value.dtype.str}
    if isinstance(value, Mapping):
        return {"pairs": [[_plain(key), _plain(entry)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _from_plain(value: Any) -> Any:
    if isinstance(value, Mapping) and "array" in value:
        return np.array(value["array"], dtype=np.dtype(value["kind"]))
    if isinstance(value, Mapping):
        return {_from_plain(key): _from_plain(entry) for key, entry in value["pairs"]}
    if isinstance(value, list):
        return [_from_plain(entry) for entry in value]
    return value


def weighted(value: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(N, K): the sum of members (N, M, K) times weights (M,); members of weight 0 are not read."""
    blend = np.zeros((value.shape[0], value.shape[2]))
    for member in np.flatnonzero(weight):
        blend += weight[member] * value[:, member]
    return blend
