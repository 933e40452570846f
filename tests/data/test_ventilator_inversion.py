"""The ventilator's controller inverted: exact where it claims something, silent where nothing is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.sources.ventilator_controller import PRESSURE_GRID, filter_share
from data.sources.ventilator_inversion import Inversions, invert_breaths
from data.sources.ventilator_simulator import STEPS, simulate_breaths
from tests.real_data import real_data

ROWS = 18
RISING = PRESSURE_GRID[110 + 11 * np.arange(ROWS) + np.random.default_rng(0).integers(0, 9, ROWS)]


def steered(
    kp: float, ki: float, kt: float, pressure: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u_in, time_step, u_out of a controller that watched `pressure` (L,) on the grid."""
    time_step = 0.034 * np.arange(len(pressure))
    share = filter_share(np.diff(time_step, prepend=0.0))
    error, integral = kt - pressure, 0.0
    u_in = np.empty(len(pressure))
    for row in range(len(pressure)):
        integral += share[row] * (error[row] - integral)
        u_in[row] = np.clip(kp * error[row] + ki * integral + noise[row], 0, 100)
    return u_in, time_step, np.zeros(len(pressure), dtype=int)


def settings_of(found: Inversions) -> tuple[float, float, float]:
    return float(found.kp[0]), float(found.ki[0]), float(found.kt[0])


@pytest.mark.parametrize(
    ("settings", "first"),
    [((2.0, 4.0, 30.0), 0), ((0.0, 2.0, 35.0), 2), ((0.8, 0.0, 20.0), 0)],
    ids=["PI", "integral", "proportional"],
)
def test_settings_and_pressures(settings: tuple[float, float, float], first: int) -> None:
    """With kp = 0, u_0 = I_0 = 0 says nothing, and the first row of the run, 1, stays unknown."""
    found = invert_breaths(*steered(*settings, RISING, np.zeros(ROWS)))
    assert settings_of(found) == settings
    np.testing.assert_array_equal(found.pressure[0, first:], RISING[first:])
    assert np.isnan(found.pressure[0, :first]).all()


@pytest.mark.parametrize("kp", [0.0, 1.0])
def test_rows_under_a_bump_are_read_leg_by_leg(kp: float) -> None:
    """A bump of 16 rows, its peak between two of them, as real ones have it."""
    count = 30
    generator = np.random.default_rng(4)
    pressure = PRESSURE_GRID[110 + np.cumsum(generator.integers(0, 12, count))]
    clock = 0.034 * np.arange(count)
    noise = 12 * np.clip(1 - np.abs(2 * (clock - 0.22) / 0.53 - 1), 0, None)
    rows = steered(kp, 3.0, 35.0, pressure, noise)
    plain = invert_breaths(*rows, explore=False)
    assert settings_of(plain) == (kp, 3.0, 35.0)
    assert np.isnan(plain.pressure[0, noise > 0]).all()
    found = invert_breaths(*rows).pressure[0]
    known = np.isfinite(found)
    np.testing.assert_array_equal(found[known], pressure[known])
    assert known[noise > 0].all()


def test_a_decay_before_the_first_run_is_read_backwards() -> None:
    count = 24
    pressure = PRESSURE_GRID[110 + np.cumsum(np.random.default_rng(4).integers(0, 12, count))]
    noise = 40 * np.clip(1 - 0.034 * np.arange(count) / 0.25, 0, None)
    found = invert_breaths(*steered(0.5, 3.0, 35.0, pressure, noise)).pressure[0]
    np.testing.assert_array_equal(found, pressure)


def test_single_rows_between_runs_follow_whatever_was_on_them() -> None:
    noise = np.zeros(ROWS)
    noise[8] = 7.0
    rows = steered(1.0, 3.0, 35.0, RISING, noise)
    assert np.isnan(invert_breaths(*rows, explore=False).pressure[0, 8])
    np.testing.assert_array_equal(invert_breaths(*rows).pressure[0], RISING)


@pytest.mark.parametrize(
    "u_in",
    [np.zeros(30), np.full(30, 100.0), np.random.default_rng(1).uniform(1, 99, 30), np.full(30, np.nan)],
    ids=["shut", "open", "random", "missing"],
)
def test_nothing_is_claimed_where_nothing_is_to_be_known(u_in: np.ndarray) -> None:
    found = invert_breaths(u_in, 0.033 * np.arange(30), np.zeros(30, dtype=int))
    assert np.isnan(found.pressure).all()
    assert not found.solved.any()
    assert found.checks.tolist() == [0]


def test_random_valves_are_never_claimed() -> None:
    u_in = np.random.default_rng(2).uniform(1, 99, (300, 32))
    clock = np.tile(0.033 * np.arange(32), (300, 1))
    assert not invert_breaths(u_in, clock, np.zeros((300, 32))).solved.any()


def test_every_claim_about_simulated_breaths_is_true() -> None:
    breaths = simulate_breaths(600, seed=11)
    found = invert_breaths(breaths.u_in, breaths.time_step, breaths.u_out)
    assert not found.solved[breaths.other_controller].any()
    assert found.solved[~breaths.other_controller].mean() > 0.88
    known = np.isfinite(found.pressure)
    assert not known[breaths.u_out == 1].any()
    assert not known[~found.solved].any()
    assert known[breaths.u_out == 0].mean() > 0.65
    np.testing.assert_array_equal(found.pressure[known], breaths.pressure[known])
    for name in ("kp", "ki", "kt"):  # the rest: steady states, in which only kp + ki shows
        right = getattr(breaths.settings, name) == getattr(found, name)
        assert right[found.solved].mean() > 0.99, name


def test_other_breaths_change_nothing() -> None:
    breaths = simulate_breaths(40, seed=3)
    columns = (breaths.u_in, breaths.time_step, breaths.u_out)
    together = invert_breaths(*columns)
    alone = [invert_breaths(*(one[breath] for one in columns)) for breath in range(40)]
    np.testing.assert_array_equal(together.pressure, np.concatenate([one.pressure for one in alone]))


def test_real_breaths() -> None:
    """Issue 6: of 1,000 at least 880 solved, and the recovered pressures met on 99.5 % of the common rows."""
    real = pd.read_csv(real_data("ventilator/real_breaths_1000.csv.gz"))
    table = {name: real[name].to_numpy().reshape(-1, STEPS) for name in real.columns}
    found = invert_breaths(table["u_in"], table["time_step"], table["u_out"])
    assert found.solved.sum() >= 890
    published = np.isfinite(table["pressure"])
    both = published & np.isfinite(found.pressure)
    assert both.sum() > 0.99 * published.sum()
    assert (np.abs(found.pressure - table["pressure"])[both] < 1e-6).mean() > 0.999
    compared = found.solved & np.isfinite(table["kp"][:, 0])
    same = [np.isclose(getattr(found, name), table[name][:, 0])[compared] for name in ("kp", "ki", "kt")]
    assert np.logical_and.reduce(same).mean() > 0.98  # the rest: steady states, in which only kp + ki shows
