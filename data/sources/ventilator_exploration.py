"""Pressures under the exploration noise on u_in, once a breath's kp, ki and kt are known.

The noise is a triangular bump or a decay: straight lines over time. Next to a row whose integral I is known,
the pressures of two rows (all grid values within `_JUMP` of their neighbour) make a line through both rows'
noise, and every further row on that line is a check: its pressure has to fall on the grid. A leg of the bump
is read if two rows passed; the falling leg has the rising one's slope with the other sign, so one pressure
opens it. Legs are read forwards and, for what a run leaves before it, backwards:

    I_{t-1} = (I_t - s_t e_t) / (1 - s_t),    n_t = u_t - kp e_t - ki I_t.

Where one row lies between two known integrals, its pressure follows whatever u_in did, and is checked by the
grid; of two or three rows all grid values near each other are tried. A row is known only if there is just
one way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data.sources.ventilator_controller import (
    INTEGRAL_SECONDS,
    PRESSURE_COUNT,
    PRESSURE_LOWEST,
    PRESSURE_SPACING,
)
from data.sources.ventilator_grid import compiled, is_free, met_at

_TOLERANCE = 1e-7  # of a spacing; errors of I are divided by s here, and so are larger than in a run
_JUMP = 100  # grid values between neighbouring rows of a leg (7 cmH2O)
_GAP_JUMP = 40  # the same in a gap of three rows, where there is one check for all (2.8 cmH2O)
_LONGEST_GAP = 3
_LEAST_LEG = 4  # rows of a leg that two pressures open: two checks
_LEAST_SECOND_LEG = 3  # rows of a leg whose slope is known: two checks


@compiled
def explore_all(valve: Any, clock: Any, count: Any, settings: Any, rows: Any, integral: Any) -> None:
    """Fill in (B, L) `rows` (grid values, -1 unknown) and `integral` (NaN unknown) of solved breaths.

    valve, clock: (B, L); count (B,): rows of inspiration; settings (B, 3): kp, ki, kt, NaN where not solved.
    """
    length = valve.shape[1]
    share, leg = np.zeros(length), np.empty(length, np.int64)
    for breath in range(len(valve)):
        kp, ki, kt = settings[breath]
        if not ki > 0:
            continue
        u, t, known = valve[breath], clock[breath], count[breath]
        for row in range(1, known):
            step = t[row] - t[row - 1]
            share[row] = step / (step + INTEGRAL_SECONDS)
        highest = kt - PRESSURE_LOWEST
        _close_gaps(share, known, highest, rows[breath], integral[breath])
        _forwards(u, t, share, known, kp, ki, highest, rows[breath], integral[breath], leg)
        if kp > 0:
            _backwards(u, t, share, known, kp, ki, highest, rows[breath], integral[breath], leg)
        _close_gaps(share, known, highest, rows[breath], integral[breath])


@compiled
def _forwards(
    u: Any,
    t: Any,
    share: Any,
    count: int,
    kp: float,
    ki: float,
    highest: float,
    rows: Any,
    integral: Any,
    leg: Any,
) -> None:
    """Rising legs after every known row, and the falling legs that follow them."""
    row = 0
    while row < count - _LEAST_SECOND_LEG:
        row += 1
        if rows[row] >= 0 or rows[row - 1] < 0 or np.isnan(integral[row - 1]):
            continue
        length, slope = _leg(u, t, share, row, count, kp, ki, highest, rows, integral[row - 1], np.nan, leg)
        if length < _LEAST_LEG:
            continue
        _keep(share, row, length, highest, rows, integral, leg)
        row += length
        if row < count and rows[row] < 0:
            length, _ = _leg(u, t, share, row, count, kp, ki, highest, rows, integral[row - 1], -slope, leg)
            if length >= _LEAST_SECOND_LEG:
                _keep(share, row, length, highest, rows, integral, leg)
                row += length
        row -= 1


@compiled
def _keep(share: Any, first: int, length: int, highest: float, rows: Any, integral: Any, leg: Any) -> None:
    for inside in range(length):
        row = first + inside
        rows[row] = leg[inside]
        error = highest - PRESSURE_SPACING * leg[inside]
        integral[row] = integral[row - 1] + share[row] * (error - integral[row - 1])


@compiled
def _leg(
    u: Any, t: Any, share: Any, first: int, count: int, kp: float, ki: float, highest: float,
    rows: Any, memory: float, slope: float, leg: Any,
) -> tuple[int, float]:  # fmt: skip
    """Length and slope of the only longest leg from row `first` on, its rows into `leg`; 0 where several are.

    memory: the integral before. slope: per second, NaN where a second pressure has to tell it.
    """
    longest, ways, best = 0, 0, 0.0
    opening = 2 if np.isnan(slope) else 1  # rows whose pressure is tried
    last = first + opening - 1
    for row in range(first, last + 1):
        if row >= count or rows[row] >= 0 or not is_free(u[row]):
            return 0, best
    near, trial = rows[first - 1], np.empty(len(leg), np.int64)
    for k in range(max(0, near - _JUMP), min(PRESSURE_COUNT, near + _JUMP + 1)):
        error = highest - PRESSURE_SPACING * k
        after = memory + share[first] * (error - memory)
        noise = u[first] - kp * error - ki * after
        low, high = 0, 1
        if opening == 2:
            low, high = max(0, k - _JUMP), min(PRESSURE_COUNT, k + _JUMP + 1)
        for k_2 in range(low, high):
            state, level, incline = after, noise, slope
            if opening == 2:
                error = highest - PRESSURE_SPACING * k_2
                state = after + share[last] * (error - after)
                level = u[last] - kp * error - ki * state
                incline = (level - noise) / (t[last] - t[first])
            row = last + 1
            while row < count and rows[row] < 0 and is_free(u[row]):
                expected = level + incline * (t[row] - t[last])
                error = (u[row] - expected - ki * (1 - share[row]) * state) / (kp + ki * share[row])
                trial[row - first] = met_at((highest - error) / PRESSURE_SPACING, _TOLERANCE)
                if trial[row - first] < 0:
                    break
                state += share[row] * (error - state)
                row += 1
            if row - first > longest:
                longest, ways, best = row - first, 1, incline
                trial[opening - 1], trial[0] = k_2, k
                leg[:longest] = trial[:longest]
            elif row - first == longest:
                ways += 1
    return (longest if ways == 1 else 0), best


@compiled
def _backwards(
    u: Any,
    t: Any,
    share: Any,
    count: int,
    kp: float,
    ki: float,
    highest: float,
    rows: Any,
    integral: Any,
    leg: Any,
) -> None:
    """Legs that end at a row whose integral is known and whose pressure is not."""
    for last in range(count - 1, _LEAST_LEG - 2, -1):
        if np.isnan(integral[last]) or rows[last] >= 0:
            continue
        length = _leg_back(u, t, share, last, kp, ki, highest, rows, integral[last], leg)
        if length < _LEAST_LEG:
            continue
        for inside in range(length):
            row = last - inside
            rows[row] = leg[inside]
            error = highest - PRESSURE_SPACING * leg[inside]
            if row > 0 and np.isnan(integral[row - 1]):
                integral[row - 1] = (integral[row] - share[row] * error) / (1 - share[row])


@compiled
def _leg_back(
    u: Any,
    t: Any,
    share: Any,
    last: int,
    kp: float,
    ki: float,
    highest: float,
    rows: Any,
    memory: float,
    leg: Any,
) -> int:
    """Length of the only longest leg that ends with row `last`, its rows into `leg`, the last row first.

    memory: the integral at row `last`. With kp = 0 the noise of a row needs no pressure, and the pressure of
    a row needs the noise of the row before: the check is one row late.
    """
    if rows[last - 1] >= 0 or not (is_free(u[last]) or kp == 0) or not is_free(u[last - 1]):
        return 0
    longest, ways, trial = 0, 0, np.empty(len(leg), np.int64)
    near = PRESSURE_COUNT
    if last + 1 < len(rows) and rows[last + 1] >= 0:
        near = rows[last + 1]
    for k in range(PRESSURE_COUNT):
        if near < PRESSURE_COUNT and abs(k - near) > _JUMP:
            continue
        error = highest - PRESSURE_SPACING * k
        noise = u[last] - kp * error - ki * memory
        before = (memory - share[last] * error) / (1 - share[last])
        for k_2 in range(max(0, k - _JUMP), min(PRESSURE_COUNT, k + _JUMP + 1)):
            error = highest - PRESSURE_SPACING * k_2
            level = u[last - 1] - kp * error - ki * before
            incline = (level - noise) / (t[last - 1] - t[last])
            state = (before - share[last - 1] * error) / (1 - share[last - 1])
            row = last - 2
            while row >= 0 and rows[row] < 0 and is_free(u[row]):
                expected = level + incline * (t[row] - t[last - 1])
                error = (u[row] - expected - ki * state) / kp
                trial[last - row] = met_at((highest - error) / PRESSURE_SPACING, _TOLERANCE)
                if trial[last - row] < 0:
                    break
                state = (state - share[row] * error) / (1 - share[row])
                row -= 1
            if last - row > longest:
                longest, ways = last - row, 1
                trial[0], trial[1] = k, k_2
                leg[:longest] = trial[:longest]
            elif last - row == longest:
                ways += 1
    return longest if ways == 1 else 0


@compiled
def _close_gaps(share: Any, count: int, highest: float, rows: Any, integral: Any) -> None:
    """Unknown rows between two rows whose integrals are known."""
    before = -1
    for row in range(count):
        if np.isnan(integral[row]):
            continue
        unknown = before >= 0 and row - before <= _LONGEST_GAP
        for inside in range(before + 1, row + 1):
            unknown = unknown and rows[inside] < 0
        if unknown:
            _close_gap(share, before, row, highest, rows, integral)
        before = row


@compiled
def _close_gap(share: Any, before: int, last: int, highest: float, rows: Any, integral: Any) -> None:
    """Rows before + 1 .. last, of which the integrals at both ends are known: the only one of all ways."""
    gap = last - before
    if gap == 3 and rows[before] < 0:
        return
    low, high = 0, (PRESSURE_COUNT if gap > 1 else 1)
    if gap == 3:
        low, high = max(0, rows[before] - _GAP_JUMP), min(PRESSURE_COUNT, rows[before] + _GAP_JUMP + 1)
    ways, found = 0, (-1, -1, -1)
    for k in range(low, high):
        memory = integral[before]
        if gap > 1:
            row = before + 1
            memory += share[row] * (highest - PRESSURE_SPACING * k - memory)
        low_2, high_2 = 0, 1
        if gap == 3:
            low_2, high_2 = max(0, k - _GAP_JUMP), min(PRESSURE_COUNT, k + _GAP_JUMP + 1)
        for k_2 in range(low_2, high_2):
            state = memory
            if gap == 3:
                state += share[last - 1] * (highest - PRESSURE_SPACING * k_2 - state)
            error = (integral[last] - (1 - share[last]) * state) / share[last]
            met = met_at((highest - error) / PRESSURE_SPACING, _TOLERANCE)
            if met >= 0:
                ways += 1
                found = (k, k_2, met)
    if ways != 1:
        return
    rows[last] = found[2]
    if gap == 2:
        rows[last - 1] = found[0]
    if gap == 3:
        rows[last - 2], rows[last - 1] = found[0], found[1]
    for row in range(before + 1, last):
        error = highest - PRESSURE_SPACING * rows[row]
        integral[row] = integral[row - 1] + share[row] * (error - integral[row - 1])
