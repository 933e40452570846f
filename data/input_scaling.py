"""Scaling of known columns, learnt from a fold's training rows: standard, robust or quantile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from sklearn.preprocessing import QuantileTransformer

from data.errors import unknown

#: More quantiles would not be seen by a network.
QUANTILES = 1000


@dataclass(frozen=True)
class Scaler:
    """From values to scaled values, NaN kept: what was learnt, as arrays that can be stored."""

    kind: str = "none"  # none, affine, quantile
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(N,) float32 from (N,)."""
        if self.kind == "affine":
            return (values - np.float32(self.parameters["centre"])) / np.float32(self.parameters["spread"])
        if self.kind == "quantile":
            return self._transformer.transform(values[:, None])[:, 0].astype(np.float32)
        assert self.kind == "none", self.kind
        return values

    @cached_property
    def _transformer(self) -> QuantileTransformer:
        quantiles, references = self.parameters["quantiles"], self.parameters["references"]
        made = QuantileTransformer(
            n_quantiles=len(quantiles), output_distribution="normal", subsample=None, random_state=0
        )
        made.quantiles_, made.references_ = quantiles[:, None], references
        made.n_quantiles_, made.n_features_in_ = len(quantiles), 1
        return made


def centre_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the finite values; (0, 1) for none, spread 1 where they are constant."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return 0.0, 1.0
    return _usable(float(finite.mean()), float(finite.std()))


def _usable(centre: float, spread: float) -> tuple[float, float]:
    return centre, spread if spread > 1e-8 * max(1.0, abs(centre)) else 1.0


def _affine(centre: float, spread: float) -> Scaler:
    return Scaler("affine", {"centre": np.array(centre), "spread": np.array(spread)})


def _standard(train: np.ndarray) -> Scaler:
    """Mean 0, standard deviation 1."""
    return _affine(*centre_and_spread(train))


def _robust(train: np.ndarray) -> Scaler:
    """Median 0, interquartile range 1.349 (that of a standard normal); standard where the range is 0."""
    finite = train[np.isfinite(train)].astype(np.float64)
    if not len(finite):
        return _affine(0.0, 1.0)
    low, middle, high = np.quantile(finite, [0.25, 0.5, 0.75])
    spread = (high - low) / 1.349
    if spread <= 1e-8 * max(1.0, abs(middle)):
        return _standard(train)
    return _affine(float(middle), float(spread))


def _quantile(train: np.ndarray) -> Scaler:
    """Ranks among the training values, as the quantiles of a standard normal (scikit-learn)."""
    finite = train[np.isfinite(train)]
    if len(finite) < 2 or finite.min() == finite.max():
        return _affine(*centre_and_spread(train))
    fitted = QuantileTransformer(
        n_quantiles=min(QUANTILES, len(finite)), output_distribution="normal", subsample=None, random_state=0
    ).fit(finite[:, None])
    return Scaler("quantile", {"quantiles": fitted.quantiles_[:, 0], "references": fitted.references_})


def _none(train: np.ndarray) -> Scaler:
    """As they are."""
    return Scaler()


INPUT_SCALINGS: dict[str, Callable[[np.ndarray], Scaler]] = {
    "standard": _standard,
    "robust": _robust,
    "quantile": _quantile,
    "none": _none,
}


def fit_scaler(name: str, train: np.ndarray) -> Scaler:
    """The scaler called `name`, learnt from training values (N,). Raises InputError for an unknown name."""
    if name not in INPUT_SCALINGS:
        raise unknown("input scaling", name, INPUT_SCALINGS, "windows.input_scaling")
    return INPUT_SCALINGS[name](train)
