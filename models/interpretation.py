"""What a fitted model looks at: weights of variables by group, and attention by the place of a row.

A network adds up what it looked at in each batch (`Looked`); a member makes the means of it, an
`Interpretation`, which is a file of its artefact and which the report draws.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # the report reads interpretations, and needs no torch
    from torch import Tensor

FILE = "interpretation.json"


@dataclass(frozen=True)
class Curve:
    """A mean at whole numbers, in rising order."""

    at: list[int]
    mean: list[float]


@dataclass(frozen=True)
class Interpretation:
    """Means over everything that was looked at."""

    #: Group, then variable: weights of a group sum to 1. Networks with variable selection have static, past
    #: and known; trees have gain.
    variables: dict[str, dict[str, float]] = field(default_factory=dict)
    #: `lag`: mean attention to the row so many rows earlier (negative: later); `position`: to the row so many
    #: rows after the origin (negative: before it). Of the attention that one row has to give, 1 in all.
    attention: dict[str, Curve] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write interpretation.json into `folder`."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, folder: Path) -> Interpretation | None:
        """What `save` wrote, None if there is nothing."""
        if not (folder / FILE).exists():
            return None
        content = json.loads((folder / FILE).read_text())
        curves = {name: Curve(**curve) for name, curve in content["attention"].items()}
        return cls(content["variables"], curves)


class Looked:
    """Sums over the rows of batches, in float64."""

    def __init__(self) -> None:
        self._variables: dict[str, dict[str, float]] = {}  # group, variable: sum
        self._curves: dict[str, dict[int, tuple[float, float]]] = {}  # name, place: sum, weight of the pairs

    def add_variables(self, group: str, names: Sequence[str], weight: Tensor, counts: Tensor) -> None:
        """weight: (..., V) of each row, counts: (...) how much the row counts (0: not at all)."""
        by_row = weight.detach().double().flatten(0, -2).cpu().numpy()
        total = counts.double().flatten().cpu().numpy() @ by_row
        sums = self._variables.setdefault(group, dict.fromkeys(names, 0.0))
        for name, value in zip(names, total.tolist(), strict=True):
            sums[name] += value

    def add_attention(self, name: str, attention: Tensor, place: Tensor, counts: Tensor) -> None:
        """attention (B, Q, L); place, int64, and counts, or what broadcasts to it.

        The mean at a place is over the pairs of rows that count and are so far apart: windows that do not
        reach so far take no part in it.
        """
        value = attention.detach().double().flatten().cpu().numpy()
        weight = counts.double().expand(attention.shape).flatten().cpu().numpy()
        at = place.expand(attention.shape).flatten().cpu().numpy()
        first = int(at.min())
        sums = np.bincount(at - first, value * weight).tolist()
        weights = np.bincount(at - first, weight).tolist()
        curve = self._curves.setdefault(name, {})
        for number, (total, much) in enumerate(zip(sums, weights, strict=True), start=first):
            before = curve.get(number, (0.0, 0.0))
            curve[number] = (before[0] + total, before[1] + much)

    def means(self) -> Interpretation | None:
        """None if nothing counted."""
        variables = {
            group: _normalised(sums) for group, sums in self._variables.items() if sum(sums.values()) > 0
        }
        curves = {}
        for name, curve in self._curves.items():
            known = {place: total / much for place, (total, much) in sorted(curve.items()) if much > 0}
            if known:
                curves[name] = Curve(list(known), list(known.values()))
        return Interpretation(variables, curves) if variables or curves else None


def mean_of(interpretations: Sequence[Interpretation]) -> Interpretation:
    """The mean over several fits of one member; a variable that a fit does not have counts as 0 there.

    A place of a curve counts those fits that have it.
    """
    variables: dict[str, dict[str, float]] = {}
    curves: dict[str, dict[int, list[float]]] = {}
    for interpretation in interpretations:
        for group, weights in interpretation.variables.items():
            merged = variables.setdefault(group, {})
            for name, weight in weights.items():
                merged[name] = merged.get(name, 0.0) + weight
        for name, curve in interpretation.attention.items():
            for place, mean in zip(curve.at, curve.mean, strict=True):
                curves.setdefault(name, {}).setdefault(place, []).append(mean)
    return Interpretation(
        {group: _normalised(weights) for group, weights in variables.items()},
        {
            name: Curve(sorted(curve), [sum(curve[place]) / len(curve[place]) for place in sorted(curve)])
            for name, curve in curves.items()
        },
    )


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values()) or 1.0
    return {name: weight / total for name, weight in weights.items()}
