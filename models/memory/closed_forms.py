"""What is left in a cell after so many rows, where its gates are known: the curves that cells are held to.

With c_t = f_t c_{t-1} + (what is written), the share of c_{T-L} that is still in c_T is the product of f over
the L rows between: its retention.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from models.kernels.reference import EPSILON


def exponential_retention(lag: np.ndarray, forget: float) -> np.ndarray:
    """f^L: a constant gate, as of an LSTM whose forget gate sees nothing."""
    return np.asarray(forget ** np.asarray(lag, dtype=np.float64))


def power_law_retention(
    lag: np.ndarray, power: float | np.ndarray, clock: float | np.ndarray = 0.0, epsilon: float = 0.0
) -> np.ndarray:
    """A pLSTM whose reset gate is shut (r = 0), from its start on; `clock` is D_0.

        prod_{t=1..L} ((D_0 + t + eps) / (D_0 + t + 1))^p
            = (Gamma(D_0 + L + 1 + eps) Gamma(D_0 + 2) / (Gamma(D_0 + 1 + eps) Gamma(D_0 + L + 2)))^p

    For eps = 0 the product telescopes to ((D_0 + 1) / (D_0 + L + 1))^p (Chien et al. 2021). With the cell's
    eps (models/kernels/reference.py) it is a power law of exponent (1 - eps) p beyond the first rows.
    """
    lag = np.asarray(lag, dtype=np.float64)
    end = clock + lag
    logarithm = gammaln(end + 1.0 + epsilon) + gammaln(clock + 2.0)
    logarithm = logarithm - gammaln(clock + 1.0 + epsilon) - gammaln(end + 2.0)
    return np.asarray(np.exp(power * logarithm))


def constant_reset_retention(
    lag: np.ndarray, power: float, reset: float, clock: float = 0.0, epsilon: float = EPSILON
) -> np.ndarray:
    """A pLSTM with the same reset r > 0 at every row, from its start on.

    D_t = D* + (1 - r)^t (D_0 - D*) tends to D* = eps + (1 - r) / r within about 1 / r rows, and f_t with it
    to `constant_reset_gate`: a power law first, an exponential then.
    """
    rows = np.arange(1, int(np.max(lag)) + 1)
    settled = epsilon + (1.0 - reset) / reset
    clocks = settled + (1.0 - reset) ** rows * (clock - settled)
    logarithm = power * np.log((clocks + epsilon) / (clocks + 1.0))
    return np.asarray(np.exp(np.concatenate([[0.0], np.cumsum(logarithm)])[np.asarray(lag, dtype=np.int64)]))


def constant_reset_gate(power: float, reset: float, epsilon: float = EPSILON) -> float:
    """The limit of f under a constant reset: ((1 - r + 2 eps r) / (1 + eps r))^p, about (1 - r)^p."""
    return float(((1.0 - reset + 2.0 * epsilon * reset) / (1.0 + epsilon * reset)) ** power)


def timescale(mean_forget_less_one: np.ndarray) -> np.ndarray:
    """-1 / ln(mean f) in steps, from mean(f - 1): exact for gates near 1; inf for a gate that keeps all."""
    with np.errstate(divide="ignore"):
        # 0 - ln 1 is +0, whose inverse is inf; -(ln 1) would be -0
        return np.asarray(1.0 / (0.0 - np.log1p(mean_forget_less_one)))
