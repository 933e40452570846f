"""The ventilator's pressure controller: its settings, its filter, and the grid that its sensor reports.

A breath's inspiratory valve follows a PI controller on the pressure p that the sensor reports (already
rounded to a grid of 950 values), with e_t = kt - p_t and s_t = dt_t / (dt_t + 0.5 s), a first-order filter in
place of a sum:

    I_t = I_{t-1} + s_t (e_t - I_{t-1})          u_t = clip(kp e_t + ki I_t + exploration noise, 0, 100)

Because kp, ki, kt and p all lie on small grids, u_in alone gives them back: see ventilator_inversion. The
mechanism was found by the winners of Kaggle's Ventilator Pressure Prediction (2021).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PRESSURE_LOWEST = -1.895744294564641  # cmH2O; Kaggle's grid, k = 0..949
PRESSURE_SPACING = 0.07030214545121005
PRESSURE_COUNT = 950
# To twelve decimals, which every CSV reader gives back as the very same float (sixteen, pandas does not).
PRESSURE_GRID: Array = np.round(PRESSURE_LOWEST + PRESSURE_SPACING * np.arange(PRESSURE_COUNT), 12)
INTEGRAL_SECONDS = 0.5

KP_VALUES: Array = np.array(
    [0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
)
KI_VALUES: Array = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
KT_VALUES: Array = np.array([10.0, 15, 20, 25, 30, 35])  # target pressure, cmH2O

# A sweep's kp: all values alike but 0.01, which is a tenth as frequent among the 41,720 breaths of Kaggle's
# test set that the winners inverted.
KP_WEIGHTS: Array = np.where(KP_VALUES == 0.01, 0.1, 1.0)


class ControllerSettings(NamedTuple):
    """Of B breaths, (B,) each: gains kp and ki (valve percent per cmH2O), target pressure kt (cmH2O)."""

    kp: Array
    ki: Array
    kt: Array


def draw_settings(tuned: Array, generator: np.random.Generator) -> ControllerSettings:
    """Settings of B breaths. tuned (B, 2): the session's kp and ki; NaN where the session sweeps their grids.

    Real sessions are of these two kinds. In a sweep large kp drive the valve into its ends, where nothing can
    be inverted, so that they are rarer among inverted breaths; ki = 0 (P-only) is one value in twenty, which
    makes the 2.5 % of all breaths that are P-only (1,270 of the 50,300 of Kaggle's test set were inverted).
    """
    count = len(tuned)
    swept_kp = generator.choice(KP_VALUES, size=count, p=KP_WEIGHTS / KP_WEIGHTS.sum())
    swept_ki = generator.choice(KI_VALUES, size=count)
    sweeps = np.isnan(tuned[:, 0])
    kp = np.where(sweeps, swept_kp, tuned[:, 0])
    ki = np.where(sweeps, swept_ki, tuned[:, 1])
    return ControllerSettings(kp, ki, generator.choice(KT_VALUES, size=count))


def to_grid(pressure: Array) -> NDArray[np.int64]:
    """Index 0..949 of the grid value nearest to each pressure; beyond the grid, its end."""
    index = np.rint((pressure - PRESSURE_LOWEST) / PRESSURE_SPACING)
    return np.clip(index, 0, PRESSURE_COUNT - 1).astype(np.int64)


def filter_share(step_seconds: Array) -> Array:
    """s = dt / (dt + 0.5 s): the share of the newest error in the integral."""
    return step_seconds / (step_seconds + INTEGRAL_SECONDS)
