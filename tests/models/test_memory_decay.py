"""Exponential against power law, on curves that are known to be one of them."""

from __future__ import annotations

import numpy as np
import pytest

from models.memory.decay import fit_decay
from models.memory.receptive_field import reach

LAG = np.arange(200)


def noisy(curve: np.ndarray, seed: int, deviation: float = 0.2, correlation: float = 0.0) -> np.ndarray:
    """Times the exponential of noise, whose neighbours may be correlated."""
    shocks = np.random.default_rng(seed).normal(0.0, deviation, len(curve))
    noise = np.zeros(len(curve))
    for place, shock in enumerate(shocks):
        before = noise[place - 1] if place else 0.0
        noise[place] = correlation * before + (1.0 - correlation**2) ** 0.5 * shock
    return curve * np.exp(noise)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [5.0, 30.0, 100.0])
def test_an_exponential_is_found(steps: float, seed: int) -> None:
    fit = fit_decay(LAG, noisy(0.7 * np.exp(-LAG / steps), seed))
    assert fit is not None
    assert fit.better.law == "exponential"
    assert fit.weight > 0.99
    assert fit.exponential.rate == pytest.approx(steps, rel=0.1)
    assert fit.exponential.scale == pytest.approx(0.7, rel=0.2)
    assert fit.exponential.deviation == pytest.approx(0.2, rel=0.2)
    assert fit.exponential.floor < 0.02 * fit.exponential.scale


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("power", [0.3, 1.0, 2.5])
def test_a_power_law_is_found(power: float, seed: int) -> None:
    fit = fit_decay(LAG, noisy(3.0 * (LAG + 1.0) ** -power, seed))
    assert fit is not None
    assert fit.better.law == "power"
    assert fit.weight > 0.99
    assert fit.power.rate == pytest.approx(power, rel=0.15)
    assert fit.power.deviation == pytest.approx(0.2, rel=0.2)


@pytest.mark.parametrize("seed", range(3))
def test_a_floor_is_told_from_a_slow_decay(seed: int) -> None:
    """The tail of an exponential that ends on a floor is flat: it is no power law."""
    fit = fit_decay(LAG, noisy(np.exp(-LAG / 8.0) + 1e-3, seed))
    assert fit is not None
    assert fit.better.law == "exponential"
    assert fit.exponential.rate == pytest.approx(8.0, rel=0.15)
    assert fit.exponential.floor == pytest.approx(1e-3, rel=0.15)
    fit = fit_decay(LAG, noisy((LAG + 1.0) ** -1.5 + 5e-3, seed))
    assert fit is not None
    assert fit.better.law == "power"
    assert fit.power.rate == pytest.approx(1.5, rel=0.2)
    assert fit.power.floor == pytest.approx(5e-3, rel=0.3)


def test_curves_without_noise() -> None:
    fit = fit_decay(LAG, 2.0 * np.exp(-LAG / 12.0))
    assert fit is not None
    assert (fit.better.law, fit.better.floor) == ("exponential", 0.0)
    assert fit.better.rate == pytest.approx(12.0, rel=1e-6)
    assert fit.lags == np.sum(np.exp(-LAG / 12.0) > 1e-7), "what float32 cannot resolve is left out"
    np.testing.assert_allclose(fit.better.curve(LAG), 2.0 * np.exp(-LAG / 12.0), rtol=1e-6)
    fit = fit_decay(LAG, 2.0 * (LAG + 1.0) ** -0.7)
    assert fit is not None
    assert fit.better.law == "power"
    assert fit.better.rate == pytest.approx(0.7, rel=1e-3)
    np.testing.assert_allclose(fit.better.curve(LAG), 2.0 * (LAG + 1.0) ** -0.7, rtol=1e-2)


def test_zeros_and_gaps_are_left_out() -> None:
    curve = np.exp(-LAG / 20.0)
    holed = curve.copy()
    holed[[3, 50]] = 0.0
    holed[[7, 60]] = np.nan
    holed[150:] = 0.0  # beyond a receptive field
    fit = fit_decay(LAG, holed)
    assert fit is not None
    assert fit.lags == 150 - 4
    assert fit.exponential.rate == pytest.approx(20.0, rel=1e-6)


def test_too_few_lags_tell_nothing() -> None:
    assert fit_decay(LAG[:7], np.exp(-LAG[:7] / 3.0)) is None
    assert fit_decay(LAG, np.zeros(200)) is None
    assert fit_decay(LAG, np.full(200, np.nan)) is None


def test_a_level_curve_is_neither() -> None:
    fit = fit_decay(LAG, noisy(np.ones(200), 0))
    assert fit is not None
    assert fit.weight < 0.9
    assert fit.exponential.rate > 300.0
    assert fit.power.rate < 0.1


@pytest.mark.parametrize(("lags", "peak"), [(400, [10.0, 5.0, 3.0]), (4000, [1000.0, 5.0, 3.0])])
def test_a_steep_fall_far_from_lag_0(lags: int, peak: list[float]) -> None:
    """The line through a falling spike is beyond any float64 at lag 0; the curve is level but for it."""
    curve = np.ones(lags)
    curve[-65:-62] = peak
    fit = fit_decay(np.arange(1, lags + 1), curve)
    assert fit is not None
    for law in (fit.exponential, fit.power):
        assert np.isfinite([law.scale, law.aic, law.deviation]).all()
        np.testing.assert_allclose(law.curve(np.array([1, lags])), 1.0, rtol=0.1)
    far = np.arange(1000, 1010)
    steep = fit_decay(far, np.exp(-1.5 * (far - 1000.0)))
    assert steep is not None
    assert steep.better.law == "exponential"
    assert steep.better.rate == pytest.approx(1 / 1.5)
    assert np.isfinite(steep.better.scale)


def test_weights_count_as_observations() -> None:
    """A tail that few windows reach does not decide."""
    curve = np.exp(-LAG / 30.0)
    curve[100:] = curve[100]
    counts = np.where(LAG < 100, 1000, 1)
    fit = fit_decay(LAG, noisy(curve, 0, 0.05), counts)
    assert fit is not None
    assert fit.better.law == "exponential"
    assert fit.exponential.rate == pytest.approx(30.0, rel=0.05)


def test_correlated_noise_is_fewer_observations() -> None:
    """A curve whose neighbours err together must not look as certain as one with independent errors."""
    curve = np.exp(-LAG / 60.0)
    independent = fit_decay(LAG, noisy(curve, 1, 0.5))
    together = fit_decay(LAG, noisy(curve, 1, 0.5, correlation=0.9))
    assert independent is not None
    assert together is not None
    assert independent.observations > 120
    assert together.observations < 40


def test_reach() -> None:
    assert reach(np.array([95.0, 0.0, 5.0])) == 0
    assert reach(np.array([94.0, 1.0, 5.0])) == 1
    assert reach(np.array([90.0, 0.0, np.nan, 10.0])) == 3
    assert reach(np.full(100, 0.3)) == 94, "the sum of lags 0 to 94 is 95 of 100"
    assert reach(np.full(100, 0.3), share=0.5) == 49
    assert reach(np.zeros(4)) is None
    assert reach(np.array([])) is None
