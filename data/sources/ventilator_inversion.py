"""The way back from the ventilator's u_in to its pressure: whole tables of breaths, compiled.

The controller (ventilator_controller) is a PI loop on a pressure that lies on a grid of 950 values, and its
settings kp, ki, kt lie on small grids too. So a breath's valve openings are an over-determined code of its
pressures, which is read here from u_in, time_step and u_out alone. With e_t = kt - p_t:

    I_t = (1 - s_t) I_{t-1} + s_t e_t,    u_t = kp e_t + ki I_t + n_t,    s_t = dt_t / (dt_t + 0.5 s)

1. *Settings.* Where a row's I_{t-1} is known and no noise is on it, e_t = (u_t - ki (1 - s_t) I_{t-1}) /
   (kp + ki s_t) must put p_t on the grid. From a first row whose pressure is hypothesised (950 values, 2,394
   settings) rows follow one another until all hypotheses have left the grid. A random number is on it with
   probability 2 TOLERANCE, so of the 2.3 million hypotheses about one row 1e-9 survive two checks.
2. *Runs.* With the settings known every other run of rows without noise is read the same way.
3. *Exploration.* Rows under noise and single rows between known ones: ventilator_exploration.

A breath is claimed only if a run with CHECKS checks was found; of several settings those that meet most
checks are meant, and a row is known only if all that are equally good agree on it. Rows with u_in at 0 or 100
tell nothing, and with kp = 0 the first row of a run does not. The mechanism was found by the winners of
Kaggle's Ventilator Pressure Prediction (2021).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.sources.ventilator_controller import (
    INTEGRAL_SECONDS,
    KI_VALUES,
    KP_VALUES,
    KT_VALUES,
    PRESSURE_COUNT,
    PRESSURE_GRID,
    PRESSURE_LOWEST,
    PRESSURE_SPACING,
)
from data.sources.ventilator_exploration import explore_all
from data.sources.ventilator_grid import compiled, is_free, met_at

Array = NDArray[np.float64]

#: A grid value counts as met within this share of a spacing. Real logs meet it to 1e-10 (time_step and u_in
#: carry all their digits).
TOLERANCE = 1e-8
CHECKS = 2  # predicted pressures on the grid, one after another, that make a run
_MOST_CANDIDATES = 64


class Inversions(NamedTuple):
    """What u_in reveals of B breaths of L rows."""

    pressure: Array  # (B, L) cmH2O, a value of PRESSURE_GRID; NaN where u_in does not say
    kp: Array  # (B,) NaN where the breath could not be inverted
    ki: Array  # (B,)
    kt: Array  # (B,) cmH2O
    checks: NDArray[np.int64]  # (B,) predicted pressures that met the grid

    @property
    def solved(self) -> NDArray[np.bool_]:
        """(B,) whose settings are known."""
        return np.isfinite(self.kp)


def invert_breaths(u_in: Any, time_step: Any, u_out: Any, explore: bool = True) -> Inversions:
    """The pressures and settings that explain each breath's u_in exactly, if its controller is the one above.

    u_in (percent), time_step (s), u_out: (B, L), rows in time order. Only the rows before the first with
    u_out != 0 are read, and only those can be known; a NaN in them ends the breath there. explore: also read
    the rows under exploration noise and those between known ones (ventilator_exploration).
    """
    valve, clock = (np.ascontiguousarray(np.atleast_2d(one), dtype=np.float64) for one in (u_in, time_step))
    closed = (np.atleast_2d(np.asarray(u_out)) == 0) & np.isfinite(valve) & np.isfinite(clock)
    count = np.where(closed.all(axis=1), closed.shape[1], np.argmin(closed, axis=1))
    grid_row = np.full(valve.shape, -1, dtype=np.int64)
    integral = np.full(valve.shape, np.nan)
    settings = np.full((len(valve), 3), np.nan)
    checks = np.zeros(len(valve), dtype=np.int64)
    _invert_all(valve, clock, count, KP_VALUES, KI_VALUES, KT_VALUES, grid_row, integral, settings, checks)
    if explore:
        explore_all(valve, clock, count, settings, grid_row, integral)
    pressure = np.where(grid_row >= 0, PRESSURE_GRID[np.maximum(grid_row, 0)], np.nan)
    kp, ki, kt = settings.T
    return Inversions(pressure, kp, ki, kt, checks)


@compiled
def _invert_all(
    valve: Any,
    clock: Any,
    count: Any,
    kps: Any,
    kis: Any,
    kts: Any,
    grid_row: Any,
    integrals: Any,
    settings: Any,
    checks: Any,
) -> None:
    length = valve.shape[1]
    share, integral = np.zeros(length), np.empty(length)
    found = np.empty((_MOST_CANDIDATES, 3))
    rows, best_rows = np.empty(length, np.int64), np.empty(length, np.int64)
    best_integral = np.empty(length)
    for breath in range(len(valve)):
        u, known = valve[breath], count[breath]
        for row in range(1, known):
            step = clock[breath, row] - clock[breath, row - 1]
            share[row] = step / (step + INTEGRAL_SECONDS)
        for first in range(known - CHECKS):
            candidates = _settings_at(u, share, known, first, kps, kis, kts, found)
            best = 0
            for number in range(candidates):
                kp, ki, kt = found[number]
                met = _read(u, share, known, kp, ki, kt, rows, integral)
                if met > best:
                    best, best_rows[:known], best_integral[:known] = met, rows[:known], integral[:known]
                    settings[breath] = found[number]
                elif met == best:  # as good: what they do not agree on is not known
                    for row in range(known):
                        if rows[row] != best_rows[row]:
                            best_rows[row], best_integral[row] = -1, np.nan
            if best >= CHECKS:
                grid_row[breath, :known], integrals[breath, :known] = best_rows[:known], best_integral[:known]
                checks[breath] = best
                break
            settings[breath] = np.nan


@compiled
def _settings_at(u: Any, share: Any, count: int, first: int, kps: Any, kis: Any, kts: Any, found: Any) -> int:
    """Settings whose run from row `first` has CHECKS rows, into `found`; how many there are."""
    number = 0
    for row in range(first, first + CHECKS + 1):
        if not is_free(u[row]):
            return 0
    for kp in kps[1:]:  # P-only: every row gives p = kt - u / kp by itself
        for kt in kts:
            met = True
            for row in range(first, first + CHECKS + 1):
                met = met and met_at((kt - u[row] / kp - PRESSURE_LOWEST) / PRESSURE_SPACING, TOLERANCE) >= 0
            if met and number < len(found):
                found[number, 0], found[number, 1], found[number, 2] = kp, 0.0, kt
                number += 1
    keep = 1 - share[first + 1]
    for kp in kps:
        for ki in kis[1:]:
            gain = kp + ki * share[first + 1]
            for kt in kts:
                # The second row's index is linear in the first row's one: start + slope k.
                highest = kt - PRESSURE_LOWEST
                start = (
                    highest - (u[first + 1] - keep * (u[first] - kp * highest)) / gain
                ) / PRESSURE_SPACING
                slope = keep * kp / gain
                hits = 0
                for k in range(PRESSURE_COUNT if kp > 0 else 1):
                    index = start + slope * k
                    hits += abs(index - np.rint(index)) < TOLERANCE
                if hits == 0:
                    continue
                for k in range(PRESSURE_COUNT if kp > 0 else 1):
                    index = start + slope * k
                    if abs(index - np.rint(index)) < TOLERANCE:
                        integral = (u[first] - kp * (highest - PRESSURE_SPACING * k)) / ki
                        if _follow(
                            u, share, first + CHECKS + 1, first, integral, kp, ki, kt
                        ) > CHECKS and number < len(found):
                            found[number, 0], found[number, 1], found[number, 2] = kp, ki, kt
                            number += 1
                            break
    return number


@compiled
def _follow(
    u: Any, share: Any, count: int, first: int, integral: float, kp: float, ki: float, kt: float
) -> int:
    """Rows from `first` on, itself included, for as long as they fall on the grid, up to row count - 1."""
    for row in range(first + 1, count):
        error = (u[row] - ki * (1 - share[row]) * integral) / (kp + ki * share[row])
        if not is_free(u[row]) or met_at((kt - error - PRESSURE_LOWEST) / PRESSURE_SPACING, TOLERANCE) < 0:
            return row - first
        integral += share[row] * (error - integral)
    return count - first


@compiled
def _read(u: Any, share: Any, count: int, kp: float, ki: float, kt: float, rows: Any, integral: Any) -> int:
    """Grid values of all rows that these settings explain, into `rows`; how many checks they met."""
    highest = kt - PRESSURE_LOWEST
    rows[:count] = -1
    met = 0
    if ki == 0:
        for row in range(count):
            if is_free(u[row]):
                rows[row] = met_at((highest - u[row] / kp) / PRESSURE_SPACING, TOLERANCE)
                met += rows[row] >= 0
        return met
    integral[:count] = np.nan
    first = 0
    while first < count - CHECKS:
        longest, start, ties = 0, -1, 0
        if is_free(u[first]):
            for k in range(PRESSURE_COUNT if kp > 0 else 1):
                memory = (u[first] - kp * (highest - PRESSURE_SPACING * k)) / ki
                length = _follow(u, share, count, first, memory, kp, ki, kt)
                if length > longest:
                    longest, start, ties = length, k, 1
                elif length == longest:
                    ties += 1
        if longest <= CHECKS:
            first += 1
            continue
        if ties == 1:
            met += longest - 1
            memory = (u[first] - kp * (highest - PRESSURE_SPACING * start)) / ki
            rows[first] = start if kp > 0 else -1
            integral[first] = memory
            for row in range(first + 1, first + longest):
                error = (u[row] - ki * (1 - share[row]) * memory) / (kp + ki * share[row])
                rows[row] = met_at((highest - error) / PRESSURE_SPACING, TOLERANCE)
                memory += share[row] * (error - memory)
                integral[row] = memory
            if first > 0 and kp > 0 and np.isnan(integral[first - 1]):
                error = highest - PRESSURE_SPACING * start
                integral[first - 1] = (integral[first] - share[first] * error) / (1 - share[first])
        first += longest
    return met
