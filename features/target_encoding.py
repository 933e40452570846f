"""Mean target of training rows with the same keys, for the groups of a sequence task, out of fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.errors import InputError
from data.panel import Panel
from data.scaling import forward_transform
from data.schema import Column
from features.base import FEATURES, Feature
from features.keyed_history import check_key, key_values
from features.reading import positive
from features.within_series import position, spread


@FEATURES.register("target_encoding")
@dataclass(frozen=True)
class TargetEncoding(Feature):
    """(sum + smoothing * overall mean) / (count + smoothing) of the transformed target over training rows
    of weight > 0 with the same keys (Micci-Barreca 2001, with a constant prior weight).

    Series that were fitted on are dealt into `folds` parts; their rows get the statistics of the other
    parts. (Leaving out only the own series would let a model read its target off the small difference.)

    position: the row's place in its series is a key too.
    """

    version: ClassVar[int] = 2
    fitted: ClassVar[bool] = True

    keys: tuple[str, ...] = ()
    position: bool = False
    smoothing: float = 10.0
    folds: int = 5
    seed: int = 0

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.target_encoding"
        if competition.task != "sequence":
            raise InputError(
                f"{where}: found a {competition.task} task, expected a sequence task; rows after an origin "
                "would tell of it, so use keyed_history, which reads earlier rows only"
            )
        if not self.keys and not self.position:
            raise InputError(f"{where}.keys: found none, expected known columns or position=true")
        for name in self.keys:
            check_key(competition, panel, name, f"{where}.keys")
        positive(where, "folds", (self.folds,), 2)
        positive(where, "smoothing", (self.smoothing,), 0)
        title = "_x_".join((*self.keys, *(("position",) if self.position else ())))
        return tuple(
            Column(f"{name}.mean_by_{title}", unit="level", target=index)
            for index, name in enumerate(panel.target_name)
        )

    def fit(self, competition: Competition, panel: Panel, train: np.ndarray) -> dict[str, np.ndarray]:
        """part (S,) int64: the series' part, `folds` where it was not fitted on; value_0, pair_0, ...: which
        keys there are (see `_numbered`), N in all; mean (folds + 1, N, K) and prior (folds + 1, K): of all
        parts but this one, the last of all."""
        target = forward_transform(competition.target_transform, panel.target.astype(np.float64))
        counted = train & (panel.weight > 0) & panel.present & ~panel.test
        # A series is fitted on if any of its rows is: also one whose rows are all of weight 0.
        owner = spread(np.arange(panel.series), panel.offsets)
        fitted_series = np.unique(owner[train])
        part = np.full(panel.series, self.folds, dtype=np.int64)
        generator = np.random.default_rng(self.seed)
        part[generator.permutation(fitted_series)] = np.arange(len(fitted_series)) % self.folds

        code, keys, number = _numbered(self._keys(panel))
        total = np.zeros((self.folds, number, target.shape[1]))
        count = np.zeros_like(total)
        for index in range(target.shape[1]):
            rows = np.flatnonzero(counted & np.isfinite(target[:, index]))
            place = part[owner[rows]] * number + code[rows]
            size = self.folds * number
            total[..., index] = np.bincount(place, target[rows, index], minlength=size).reshape(
                self.folds, -1
            )
            count[..., index] = np.bincount(place, minlength=size).reshape(self.folds, -1)
        mean = np.empty((self.folds + 1, number, target.shape[1]))
        prior = np.empty((self.folds + 1, target.shape[1]))
        for left_out in range(self.folds + 1):
            # Summed anew rather than subtracted: a subtraction leaves a trace of what it took away.
            others = np.arange(self.folds) != left_out
            sums, counts = total[others].sum(axis=0), count[others].sum(axis=0)
            with np.errstate(invalid="ignore", divide="ignore"):
                prior[left_out] = sums.sum(axis=0) / counts.sum(axis=0)
                mean[left_out] = (sums + self.smoothing * prior[left_out]) / (counts + self.smoothing)
            mean[left_out] = np.where(counts > 0, mean[left_out], prior[left_out])
        return {"part": part, **keys, "mean": mean, "prior": prior}

    def moved(self, parameters: dict[str, np.ndarray], series: np.ndarray) -> dict[str, np.ndarray]:
        """A new series was not fitted on: its rows get the statistics of all parts."""
        part = np.where(series >= 0, parameters["part"][np.maximum(series, 0)], self.folds)
        return {**parameters, "part": part}

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        part = spread(parameters["part"], panel.offsets)
        index, found = _looked_up(self._keys(panel), parameters)
        for target in range(len(panel.target_name)):
            mean = parameters["mean"][part, index, target]
            yield np.where(found, mean, parameters["prior"][part, target])

    def _keys(self, panel: Panel) -> list[np.ndarray]:
        """(R,) each: the values that make the key of a row."""
        keys = [key_values(panel, name, "features.target_encoding") for name in self.keys]
        return [*keys, position(panel.offsets)] if self.position else keys

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if competition.task != "sequence":
            return None
        return {"keys": list(competition.columns.static_categorical[:2]), "position": True, "folds": 3}


def _numbered(keys: list[np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Number the combinations of keys that are there: (R,) int64 numbers, what finds them again, how many.

    value_i, sorted: the values of key i. pair_i, sorted: (number of the keys before i) * values + place of
    the value among them; its place there is the number of the keys up to i. Values are kept rather than
    codes, for a panel of other rows has other ones.
    """
    number = np.zeros(len(keys[0]), dtype=np.int64)
    kept: dict[str, np.ndarray] = {}
    for index, key in enumerate(keys):
        value, place = np.unique(key, return_inverse=True)  # NaN comes last, as one value
        pair, number = np.unique(number * len(value) + place, return_inverse=True)
        kept |= {f"value_{index}": value, f"pair_{index}": pair}
    return number, kept, len(pair)


def _looked_up(keys: list[np.ndarray], kept: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(R,) the numbers that `_numbered` gave, and (R,) bool whether it did; any number where it did not."""
    number = np.zeros(len(keys[0]), dtype=np.int64)
    found = np.ones(len(keys[0]), dtype=bool)
    for index, key in enumerate(keys):
        value = kept[f"value_{index}"]
        place, known = _place(value, key)
        number, there = _place(kept[f"pair_{index}"], number * len(value) + place)
        found &= known & there
    return number, found


def _place(table: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R,) places of values in a sorted table, and whether they are in it. NaN is a value like others."""
    place = np.minimum(np.searchsorted(table, value), len(table) - 1)
    return place, (table[place] == value) | ((table[place] != table[place]) & (value != value))
