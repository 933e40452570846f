"""The ventilator's pressure controller: its settings, one step of it, and the way back from u_in to pressure.

A breath's inspiratory valve follows a PI controller on the pressure p that the sensor reports (already
rounded to a grid of 950 values), with e_t = kt - p_t and s_t = dt_t / (dt_t + 0.5 s), a first-order filter in
place of a sum:

    I_t = I_{t-1} + s_t (e_t - I_{t-1})          u_t = clip(kp e_t + ki I_t + exploration noise, 0, 100)

Because kp, ki, kt and p all lie on small grids, u_in alone gives them back: see `invert_breath`. The
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


class Inversion(NamedTuple):
    """What u_in reveals of one breath: pressure (L,) in cmH2O, NaN where u_in does not say; kp, ki, kt.

    Where the breath could not be inverted, every pressure, kp, ki and kt is NaN.
    """

    pressure: Array
    kp: float
    ki: float
    kt: float


# A grid value counts as met within this share of a spacing. Real logs meet it to 1e-10 (time_step and u_in
# carry all their digits); by chance a number does with probability 2e-6, and of the 2.3 million hypotheses
# about one start of a run, 1e-5 survive two such checks.
TOLERANCE = 1e-6
CHECKS = 2


def invert_breath(u_in: Array, time_step: Array, u_out: Array) -> Inversion:
    """The pressures and settings that explain one breath's u_in exactly, if its controller is the one above.

    u_in (percent), time_step (s), u_out: (L,), one breath, rows in time order; only rows with u_out == 0 are
    read.

    From a first row 0 whose pressure is hypothesised (950 values) I_0 = (u_0 - kp e_0) / ki, and then, row
    after row, e_t = (u_t - ki (1 - s_t) I_{t-1}) / (kp + ki s_t), p_t = kt - e_t. Rows with u_in at 0 or 100
    say nothing and end a run; so does exploration noise. The settings come from the first run in which CHECKS
    predicted pressures in a row fall on the grid; with them known, every other such run is read too. With kp
    = 0 a run's first row stays unknown.
    """
    count = int((np.asarray(u_out) == 0).sum())
    valve = np.asarray(u_in, dtype=float)[:count]
    share = filter_share(np.diff(np.asarray(time_step, dtype=float)[:count], prepend=0.0))
    free = (valve > 0) & (valve < 100)
    pressure = np.full(len(u_in), np.nan)
    for first in range(count - CHECKS):
        if not free[first : first + CHECKS + 1].all():
            continue
        candidates = _proportional_only(valve[first : first + CHECKS + 1]) or _scan(valve, share, first)
        # In a steady state (e constant, I = e) only kp + ki shows: the candidate that explains most rows is
        # meant.
        explained = [_all_pressures(valve, share, free, *settings) for settings in candidates]
        if explained:
            best = int(np.argmax([np.isfinite(rows).sum() for rows in explained]))
            pressure[:count] = explained[best]
            return Inversion(pressure, *candidates[best])
    return Inversion(pressure, np.nan, np.nan, np.nan)


def _grid_index(pressure: Array) -> Array:
    return (pressure - PRESSURE_LOWEST) / PRESSURE_SPACING


def _on_grid(index: Array) -> NDArray[np.bool_]:
    """Whether fractional grid indices are, within TOLERANCE, whole and between the grid's ends."""
    nearest = np.rint(index)
    return (np.abs(index - nearest) < TOLERANCE) & (nearest >= 0) & (nearest < PRESSURE_COUNT)


Settings = tuple[float, float, float]  # kp, ki, kt


def _proportional_only(valve: Array) -> list[Settings]:
    """ki = 0: every row gives p = kt - u / kp by itself."""
    kp, kt = (axis.ravel() for axis in np.meshgrid(KP_VALUES[1:], KT_VALUES, indexing="ij"))
    kept = _on_grid(_grid_index(kt - valve[:, None] / kp)).all(axis=0)
    return [(float(gain), 0.0, float(target)) for gain, target in zip(kp[kept], kt[kept], strict=True)]


_FIRST_ERRORS = (KT_VALUES[:, None] - PRESSURE_GRID).ravel()  # every e_0 that kt and p_0 allow, (6 * 950,)
_FIRST_TARGETS = np.repeat(KT_VALUES, PRESSURE_COUNT)


def _scan(valve: Array, share: Array, first: int) -> list[Settings]:
    """All kp, ki, kt and p_first at once; hypotheses fall away row by row."""
    ki = KI_VALUES[1:]
    found = []
    for kp in KP_VALUES:
        # kp = 0: u_first gives I_first without p_first, so one p_first a kt is enough
        chosen = slice(None) if kp > 0 else slice(None, None, PRESSURE_COUNT)
        error, target = _FIRST_ERRORS[chosen], _FIRST_TARGETS[chosen]
        # e_1 = (u_1 - (1 - s) (u_0 - kp e_0)) / (kp + ki s), which is linear in e_0
        gain = (kp + ki * share[first + 1])[:, None]
        keep = 1 - share[first + 1]
        constant = (valve[first + 1] - keep * valve[first]) / (gain * PRESSURE_SPACING)
        index = (_grid_index(target) - (keep * kp / (gain * PRESSURE_SPACING)) * error) - constant
        row, column = np.nonzero(np.abs(index - np.rint(index)) < TOLERANCE)
        found.append((np.full(len(row), kp), ki[row], target[column], error[column]))
    kp_left, ki_left, kt_left, error = (np.concatenate(part) for part in zip(*found, strict=True))
    integral = (valve[first] - kp_left * error) / ki_left
    for checked in range(first + 1, first + 1 + CHECKS):
        new = share[checked]
        error = (valve[checked] - ki_left * (1 - new) * integral) / (kp_left + ki_left * new)
        kept = _on_grid(_grid_index(kt_left - error))
        integral = (integral + new * (error - integral))[kept]
        kp_left, ki_left, kt_left = kp_left[kept], ki_left[kept], kt_left[kept]
    left = zip(kp_left.tolist(), ki_left.tolist(), kt_left.tolist(), strict=True)
    return sorted(set(left))


def _all_pressures(
    valve: Array, share: Array, free: NDArray[np.bool_], kp: float, ki: float, kt: float
) -> Array:
    """Grid pressures of the rows in runs of more than CHECKS on-grid rows, NaN elsewhere, (count,)."""
    pressure = np.full(len(valve), np.nan)
    if ki == 0:
        index = _grid_index(kt - valve / kp)
        known = free & _on_grid(index)
        pressure[known] = PRESSURE_GRID[np.rint(index[known]).astype(int)]
        return pressure
    first = 0
    while first < len(valve) - CHECKS:
        run = _follow(valve, share, free, first, kp, ki, kt)
        if len(run) > CHECKS:
            pressure[first : first + len(run)] = run
            first += len(run)
        else:
            first += 1
    return pressure


def _follow(
    valve: Array, share: Array, free: NDArray[np.bool_], first: int, kp: float, ki: float, kt: float
) -> Array:
    """Pressures from row `first` on, for as long as they fall on the grid; NaN where u_in leaves it open."""
    start = PRESSURE_GRID if kp > 0 else PRESSURE_GRID[:1]
    integral = (valve[first] - kp * (kt - start)) / ki
    rows: list[Array] = [start]
    for row in range(first + 1, len(valve)):
        error = (valve[row] - ki * (1 - share[row]) * integral) / (kp + ki * share[row])
        index = _grid_index(kt - error)
        kept = _on_grid(index)
        if not (kept.any() and free[row - 1] and free[row]):
            break
        integral = (integral + share[row] * (error - integral))[kept]
        rows = [*(earlier[kept] for earlier in rows), PRESSURE_GRID[np.rint(index[kept]).astype(int)]]
    # several first pressures may explain a run: only what they agree on is known
    run = np.array([values[0] if (values == values[0]).all() else np.nan for values in rows])
    if kp == 0:
        run[0] = np.nan
    return run
