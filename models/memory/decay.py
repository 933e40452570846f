"""Exponential or power law: which of the two a curve over lags follows, by AIC.

    exponential   G(tau) = a exp(-tau / s) + b        memory of s rows, however far one looks
    power law     G(tau) = a (tau + 1)^-p + b         no scale of its own: what is far away still counts

Fitted to log G by least squares, since G spans many orders of magnitude. The floor b is 0 unless the data pay
for it: each law is fitted with and without one, and the better by AIC stands. What lies below float32's
resolution of the largest value cannot be told from rounding and is left out.

The criterion is Akaike's (1974) for least squares with the small-sample correction of Hurvich and Tsai 1989,

    AIC = m log(RSS / n) + 2 k + 2 k (k + 1) / (m - k - 1)

k counts the curve's parameters and the variance of the noise. Neighbouring lags share most of their data, so
n points are fewer observations: with rho the correlation of neighbouring residuals,
m = n (1 - rho) / (1 + rho) (Bayley and Hammersley 1946). The residuals are those of the best fit, so m is the
same for all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

LAWS = ("exponential", "power")

#: Of the largest value: float32 resolves no smaller share of a sum.
RESOLUTION = 1e-7

#: Fewer lags than this say nothing about the shape of a curve.
LEAST_LAGS = 8

#: RSS / n is at least this: the rounding of float32 in log G, squared.
LEAST_VARIANCE = 1e-14

#: The exponential of more than this is no float64.
LARGEST_LOGARITHM = 700.0


class LawFit(NamedTuple):
    """One law, fitted."""

    law: str
    scale: float  # a; of a steep fall far from lag 0 no more than float64 holds
    rate: float  # exponential: s, in lags (inf: it does not fall); power law: p
    floor: float  # b; 0: none
    aic: float
    deviation: float  # of log G from the curve (root mean square)

    def curve(self, lag: np.ndarray) -> np.ndarray:
        """G at `lag`."""
        lag = np.asarray(lag, dtype=np.float64)
        if self.law == "exponential":
            return self.scale * np.exp(-lag / self.rate) + self.floor
        return self.scale * (lag + 1.0) ** -self.rate + self.floor


class DecayFit(NamedTuple):
    """Both laws, and which one it is."""

    exponential: LawFit
    power: LawFit
    lags: int  # that were fitted
    observations: float  # that they are worth, m above

    @property
    def better(self) -> LawFit:
        """The law with the lower AIC."""
        return min(self.exponential, self.power, key=lambda fit: fit.aic)

    @property
    def weight(self) -> float:
        """Akaike weight of the better law: 0.5 is a draw, 1 certain (Burnham and Anderson 2002, 2.9)."""
        return 1.0 / (1.0 + math.exp(-0.5 * abs(self.exponential.aic - self.power.aic)))


def fit_decay(lag: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> DecayFit | None:
    """Both laws fitted to `value` at `lag`; weight: how many observations each value is the mean of.

    Values that are NaN, zero, or below the resolution are left out. None where too few are left to tell.
    """
    lag, value = np.asarray(lag, dtype=np.float64), np.asarray(value, dtype=np.float64)
    weight = np.ones_like(value) if weight is None else np.asarray(weight, dtype=np.float64)
    largest = np.nanmax(value, initial=0.0)
    fitted = (
        np.isfinite(value) & (value > max(RESOLUTION * largest, np.finfo(np.float32).tiny)) & (weight > 0)
    )
    if fitted.sum() < LEAST_LAGS:
        return None
    lag, logarithm = lag[fitted], np.log(value[fitted])
    root = np.sqrt(weight[fitted] / weight[fitted].mean())
    candidates = [
        candidate
        for law in LAWS
        for candidate in (_straight(law, lag, logarithm, root), _with_floor(law, lag, logarithm, root))
    ]
    best = min(candidates, key=lambda candidate: candidate.squares)
    observations = _observations(best.residual, most=max(candidate.parameters for candidate in candidates))
    by_law = {
        law: min(
            (candidate.judged(observations) for candidate in candidates if candidate.law == law),
            key=lambda fit: fit.aic,
        )
        for law in LAWS
    }
    return DecayFit(by_law["exponential"], by_law["power"], len(lag), observations)


class _Candidate(NamedTuple):
    law: str
    log_scale: float  # a itself, lag 0, may lie far above all that is fitted
    slope: float  # of -log G in the law's own coordinate
    floor: float
    residual: np.ndarray  # weighted

    @property
    def parameters(self) -> int:
        """k."""
        return 4 if self.floor else 3

    @property
    def squares(self) -> float:
        return float(self.residual @ self.residual)

    def judged(self, observations: float) -> LawFit:
        variance = max(self.squares / len(self.residual), LEAST_VARIANCE)
        k = self.parameters
        correction = 2.0 * k * (k + 1) / (observations - k - 1)
        aic = observations * math.log(variance) + 2.0 * k + correction
        rate = self.slope
        if self.law == "exponential":
            rate = 1.0 / self.slope if self.slope > 0 else math.inf
        scale = math.exp(min(self.log_scale, LARGEST_LOGARITHM))
        return LawFit(self.law, scale, rate, self.floor, aic, math.sqrt(variance))


def _coordinate(law: str, lag: np.ndarray) -> np.ndarray:
    """In which log G of the law is a straight line."""
    return lag if law == "exponential" else np.log1p(lag)


def _straight(law: str, lag: np.ndarray, logarithm: np.ndarray, root: np.ndarray) -> _Candidate:
    """Without a floor it is a line; one that does not fall is level."""
    place, weight = _coordinate(law, lag), root**2
    middle, height = np.average(place, weights=weight), np.average(logarithm, weights=weight)
    slope = -np.average((place - middle) * logarithm, weights=weight)
    slope = max(0.0, slope / np.average((place - middle) ** 2, weights=weight))
    intercept = height + slope * middle
    residual = root * (logarithm - intercept + slope * place)
    return _Candidate(law, float(intercept), float(slope), 0.0, residual)


def _with_floor(law: str, lag: np.ndarray, logarithm: np.ndarray, root: np.ndarray) -> _Candidate:
    """By Gauss and Newton in log a, log slope and log b, from several starts of the floor."""
    place = _coordinate(law, lag)
    found: _Candidate | None = None

    def residual(parameters: np.ndarray) -> np.ndarray:
        scale, slope, floor = parameters
        return np.asarray(root * (logarithm - np.logaddexp(scale - np.exp(slope) * place, floor)))

    for level in (0.0, 0.1, 0.3):
        start = float(np.quantile(logarithm, level)) - 0.1
        above = logarithm > start + 1.0
        if above.sum() < 3:
            above = np.ones_like(above)
        line = _straight(law, lag[above], logarithm[above], root[above])
        begin = np.array([line.log_scale, math.log(max(line.slope, 1e-6)), start])
        # exp(30) a lag and below e^-60 of the largest value: as good as at once, and as no floor
        lower = np.array([-np.inf, -30.0, logarithm.max() - 60.0])
        upper = np.array([np.inf, 30.0, logarithm.max() + 1.0])
        solved = least_squares(residual, np.clip(begin, lower, upper), bounds=(lower, upper))
        slope, floor = np.exp(np.clip(solved.x[1:], -LARGEST_LOGARITHM, LARGEST_LOGARITHM))
        candidate = _Candidate(law, float(solved.x[0]), float(slope), float(floor), residual(solved.x))
        if found is None or candidate.squares < found.squares:
            found = candidate
    assert found is not None
    return found


def _observations(residual: np.ndarray, most: int) -> float:
    """m: what n residuals are worth given the correlation of neighbours, enough for `most` parameters."""
    centred = residual - residual.mean()
    variance = float(centred @ centred)
    correlation = float(centred[1:] @ centred[:-1]) / variance if variance > 0 else 0.0
    correlation = min(max(correlation, 0.0), 0.99)
    return max(len(residual) * (1.0 - correlation) / (1.0 + correlation), most + 2.0)
