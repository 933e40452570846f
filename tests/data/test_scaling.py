"""Target transforms and their inverses; location and scale of windows, flat and empty ones too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.check_competition import TRANSFORMS as DECLARED
from data.errors import InputError
from data.scaling import (
    LARGEST_EXPONENT,
    SCALINGS,
    TRANSFORMS,
    forward_transform,
    inverse_transform,
    location_and_scale,
    transform,
)

positive = arrays(np.float64, 8, elements=st.floats(1e-3, 1e6))
anything = arrays(np.float64, 8, elements=st.floats(-1e6, 1e6))


def test_the_transforms_that_may_be_declared_are_those_that_there_are() -> None:
    assert set(TRANSFORMS) == set(DECLARED)


@pytest.mark.parametrize("name", TRANSFORMS)
@settings(max_examples=50, deadline=None)
@given(values=positive)
def test_inverse_undoes_forward(name: str, values: np.ndarray) -> None:
    np.testing.assert_allclose(inverse_transform(name, forward_transform(name, values)), values, rtol=1e-9)


@pytest.mark.parametrize("name", TRANSFORMS)
@settings(max_examples=50, deadline=None)
@given(values=anything)
def test_arrays_and_tensors_are_treated_alike(name: str, values: np.ndarray) -> None:
    for function in (forward_transform, inverse_transform):
        found = function(name, values)
        assert isinstance(found, np.ndarray)
        tensor = function(name, torch.from_numpy(values))
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_allclose(tensor.numpy(), found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", TRANSFORMS)
@settings(max_examples=50, deadline=None)
@given(values=anything)
def test_monotone_and_finite_whatever_comes(name: str, values: np.ndarray) -> None:
    """Values below the transform's lowest are raised to it; what a network might say stays finite."""
    values = np.sort(values)
    forward, inverse = forward_transform(name, values), inverse_transform(name, values)
    assert np.isfinite(forward).all()
    assert np.isfinite(inverse.astype(np.float32)).all()
    assert (np.diff(forward) >= 0).all()
    assert (np.diff(inverse) >= 0).all()
    lowest = transform(name).lowest
    if lowest is not None:
        raised = forward_transform(name, np.array([lowest]))[0]
        np.testing.assert_allclose(forward[values < lowest], raised)


@pytest.mark.parametrize("name", ["none", "log1p"])
def test_what_the_panel_lets_through_is_learnt_as_it_is(name: str) -> None:
    """log1p is defined above -1: a loss of a half is no 0."""
    values = np.array([-0.999, -0.5, -1e-3, 0.0, 2.0])
    expected = np.log1p(values) if name == "log1p" else values
    np.testing.assert_array_equal(forward_transform(name, values), expected)
    np.testing.assert_allclose(inverse_transform(name, forward_transform(name, values)), values, rtol=1e-12)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_raised_to_the_lowest_is_finite_in_float32_too(name: str) -> None:
    raised = np.array([-1e6, -1.0, 0.0], dtype=np.float32)
    assert np.isfinite(forward_transform(name, raised)).all()
    assert torch.isfinite(forward_transform(name, torch.from_numpy(raised))).all()


def test_missing_stays_missing_and_input_is_left_alone() -> None:
    for name in TRANSFORMS:
        values = np.array([np.nan, -1.0, 4.0])
        assert np.isnan(forward_transform(name, values)[0])
        assert np.isnan(inverse_transform(name, values)[0])
        assert values[1] == -1.0


def test_huge_exponents_are_cut() -> None:
    for name in ("log", "log1p"):
        assert inverse_transform(name, np.array([1e9])) == inverse_transform(
            name, np.array([LARGEST_EXPONENT])
        )


def test_unknown_names_say_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown target_transform 'log1'; did you mean .*'log1p'"):
        transform("log1")
    with pytest.raises(
        InputError, match=r"windows\.scaling: unknown scaling 'standart'; did you mean 'standard'"
    ):
        location_and_scale("standart", torch.zeros(1, 2, 1), torch.ones(1, 2, 1, dtype=torch.bool))


def windows(seed: int, rows: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, L, K) values of different sizes, and which of them count."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(4, rows, 2, generator=generator) * 10.0 ** torch.randint(
        -3, 6, (4, 1, 2), generator=generator
    )
    return values, torch.rand(4, rows, 2, generator=generator) < 0.7


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_location_and_scale_are_those_of_the_counted_rows(seed: int) -> None:
    values, counted = windows(seed)
    for window in range(len(values)):
        for target in range(2):
            shown = values[window, counted[window, :, target], target].double().numpy()
            if len(shown) < 3:
                continue
            quartile = np.quantile(shown, [0.25, 0.75])
            expected = {
                "none": (0.0, 1.0),
                "mean": (0.0, np.abs(shown).mean()),
                "standard": (shown.mean(), shown.std()),
                "robust": (np.median(shown), (quartile[1] - quartile[0]) / 1.349),
            }
            for scaling, pair in expected.items():
                location, scale = location_and_scale(scaling, values, counted)
                size = np.abs(shown).max()
                assert float(location[window, target]) == pytest.approx(pair[0], abs=1e-5 * size)
                assert float(scale[window, target]) == pytest.approx(pair[1], rel=1e-3)


@pytest.mark.parametrize("scaling", SCALINGS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_not_counted_is_not_looked_at(scaling: str, seed: int) -> None:
    values, counted = windows(seed)
    garbage = torch.where(counted, values, torch.tensor([float("nan"), 1e30])[None, None, :])
    first, second = (
        location_and_scale(scaling, values, counted),
        location_and_scale(scaling, garbage, counted),
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0, -3.0, 123.456, 1e8])
def test_a_series_that_stands_still(scaling: str, level: float) -> None:
    """Scaled values are finite and of the order of 1 at the level itself, at its double and at zero."""
    values = torch.full((1, 20, 1), level)
    location, scale = location_and_scale(scaling, values, torch.ones_like(values, dtype=torch.bool))
    assert scale.item() > 0
    if scaling in ("none", "constant"):
        return
    assert scale.item() == pytest.approx(abs(level) or 1.0, rel=1e-5)
    for value in (level, 2 * level, 0.0):
        assert abs((value - location.item()) / scale.item()) <= 2.001


@pytest.mark.parametrize("usual", [0.0, 3.0])
def test_quartiles_that_fall_together_are_no_standstill(usual: float) -> None:
    """Of an intermittent series: 12 of 56 rows sell about 500. Scaled they are some deviations, not 500."""
    values = torch.full((1, 56, 1), usual)
    values[0, ::5] += torch.linspace(480.0, 520.0, 12)[:, None]
    location, scale = location_and_scale("robust", values, torch.ones_like(values, dtype=torch.bool))
    assert location.item() == usual
    assert scale.item() == pytest.approx(float(values.double().std(correction=0)), rel=1e-5)
    counted = torch.ones_like(values, dtype=torch.bool)
    counted[0, ::5] = False  # what is left stands still
    location, scale = location_and_scale("robust", values, counted)
    assert (location.item(), scale.item()) == (usual, usual or 1.0)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_window_without_counted_rows_is_left_as_it_is(scaling: str) -> None:
    location, scale = location_and_scale(
        scaling, torch.full((2, 5, 1), float("nan")), torch.zeros(2, 5, 1, dtype=torch.bool)
    )
    assert torch.equal(location, torch.zeros(2, 1))
    assert torch.equal(scale, torch.ones(2, 1))
    location, scale = location_and_scale(
        scaling, torch.zeros(2, 0, 1), torch.zeros(2, 0, 1, dtype=torch.bool)
    )
    assert torch.equal(scale, torch.ones(2, 1))


@pytest.mark.parametrize("scaling", SCALINGS)
def test_windows_do_not_hear_of_each_other(scaling: str) -> None:
    values, counted = windows(3)
    together = location_and_scale(scaling, values, counted)
    for window in range(len(values)):
        alone = location_and_scale(scaling, values[window : window + 1], counted[window : window + 1])
        torch.testing.assert_close(alone[0][0], together[0][window])
        torch.testing.assert_close(alone[1][0], together[1][window])
