"""Heads: point, quantiles that never cross, classes and bins; what every head keeps to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.errors import InputError
from models.heads import HEADS, Head, QuantileHead, TrainingTargets, choose_head
from models.units import Units
from tests.batches import make_schema
from tests.heads import SETTINGS, make_head

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
UNITS = Units("none", torch.zeros(3, 2), torch.ones(3, 2))


def random_parameters(head: Head, units: Units = UNITS, rows: int = 7, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    windows, targets = units.location.shape
    return head(torch.randn(windows, rows, targets * head.outputs, generator=generator), units)


@pytest.mark.parametrize("name", HEADS.names())
class TestEveryHead:
    def test_shapes(self, name: str) -> None:
        head = make_head(name, make_schema(targets=2, quantile=LEVELS))
        parameters = random_parameters(head)
        assert parameters.shape[:3] == (3, 7, 2)
        forecast = head.forecast(parameters)
        assert forecast.shape == (3, 7, 2, 1 + len(head.levels))
        assert forecast.isfinite().all()
        assert head.draw(parameters).shape == (3, 7, 2)
        assert 0 <= head.level_outputs <= head.outputs
        if head.outputs == 1:  # target-major: output p of target k stands at k * P + p
            output = torch.arange(6.0).reshape(3, 1, 2)
            first = head(output, UNITS)[..., 0]
            assert (first.diff(dim=0) > 0).all()
            assert (first.diff(dim=2) > 0).all()

    def test_quantiles_rise(self, name: str) -> None:
        head = make_head(name, make_schema(targets=2, quantile=LEVELS))
        forecast = head.forecast(random_parameters(head))
        assert (forecast[..., 1:].diff(dim=-1) >= 0).all()

    def test_any_leading_shape(self, name: str) -> None:
        """A decoder calls a head step by step, and with its paths as windows."""
        head = make_head(name, make_schema(targets=2, quantile=LEVELS))
        parameters = random_parameters(head)
        step = parameters[:, 3]
        torch.testing.assert_close(head.forecast(step), head.forecast(parameters)[:, 3])
        assert head.draw(step).shape == (3, 2)
        assert head.draw(parameters.expand(5, *parameters.shape)).shape == (5, 3, 7, 2)

    def test_draws_come_from_the_generator(self, name: str) -> None:
        head = make_head(name, make_schema(targets=2, quantile=LEVELS))
        parameters = random_parameters(head)

        def drawn(seed: int) -> Tensor:
            return head.draw(parameters, torch.Generator().manual_seed(seed))

        torch.manual_seed(5)
        first = drawn(1)
        torch.manual_seed(6)
        assert torch.equal(first, drawn(1))
        if name != "point":
            assert not torch.equal(first, drawn(2))

    def test_settings_are_checked(self, name: str) -> None:
        with pytest.raises(InputError, match=r"fit.head_settings: unknown setting 'no_such'"):
            make_head(name, make_schema(quantile=LEVELS), no_such=1)


@pytest.mark.parametrize("name", [name for name in HEADS.names() if name != "classes"])  # no median
def test_summary_of_draws_is_the_forecast(name: str) -> None:
    head = make_head(name, make_schema(targets=2, quantile=(0.25, 0.5, 0.75)))
    units = Units("none", torch.full((3, 2), 5.0), torch.full((3, 2), 3.0))
    parameters = random_parameters(head, units, rows=2)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([head.draw(parameters, generator) for _ in range(4000)])
    exact, drawn = head.forecast(parameters), head.summarise(draws)
    assert exact.shape == drawn.shape
    step = 1.0 / 3.0  # of a count, scaled: a quantile of draws may fall on the neighbour
    torch.testing.assert_close(drawn, exact, rtol=0.1, atol=0.12 + (step if head.level_outputs == 0 else 0))


@pytest.mark.parametrize("name", ["gaussian", "poisson", "bins"])
def test_point_of_a_distribution(name: str) -> None:
    """The mean where the metric is of squared errors, else the median; or what is asked for."""
    schema = make_schema(targets=2)
    settings = SETTINGS.get(name, {})
    assert choose_head(name, schema, settings, hint="l2").config.point == "mean"
    assert choose_head(name, schema, settings, hint="smape").config.point == "median"
    assert choose_head(name, schema, settings, hint="rmsle").config.point == "median"
    assert choose_head(name, schema, {**settings, "point": "median"}, hint="l2").config.point == "median"
    with pytest.raises(
        InputError, match=r"fit.head_settings.point: unknown point 'meen'; did you mean 'mean'"
    ):
        choose_head(name, schema, {**settings, "point": "meen"})


@pytest.mark.parametrize("name", ["gaussian", "bins"])
def test_the_mean_of_logarithms_is_what_rmsle_wants(name: str) -> None:
    settings = SETTINGS.get(name, {})

    def point(transform: str, hint: str) -> str:
        schema = make_schema(target_transform=transform)
        return str(choose_head(name, schema, settings, hint=hint).config.point)

    assert point("log1p", "rmsle") == "mean"
    assert {point("log1p", "l1"), point("sqrt", "rmsle"), point("none", "rmsle")} == {"median"}


@pytest.mark.parametrize("name", ["laplace", "negative_binomial", "tweedie", "zero_inflated_poisson", "bins"])
def test_mean_is_that_of_draws(name: str) -> None:
    head = make_head(name, make_schema(targets=2), point="mean")
    units = Units("none", torch.full((3, 2), 5.0), torch.full((3, 2), 3.0))
    parameters = random_parameters(head, units, rows=2)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([head.draw(parameters, generator) for _ in range(8000)])
    torch.testing.assert_close(head.forecast(parameters)[..., 0], draws.mean(0), rtol=0.05, atol=0.06)
    torch.testing.assert_close(head.summarise(draws)[..., 0], draws.mean(0))


@pytest.mark.parametrize("name", ["bins", "poisson", "zero_inflated_negative_binomial"])
def test_between_two_draws_there_is_no_count_and_no_value_of_a_grid(name: str) -> None:
    head = make_head(name, make_schema(targets=2, quantile=LEVELS))
    assert head.discrete
    draws = torch.arange(24.0).reshape(4, 3, 1, 2)
    summary = head.summarise(draws)
    assert summary.shape == (3, 1, 2, 6)
    for place, window in enumerate((1, 0, 0, 1, 2, 2)):  # the median, then LEVELS
        torch.testing.assert_close(summary[..., place], draws[window])


@pytest.mark.parametrize(
    ("name", "settings"), [("bins", {"start": None, "step": None}), ("tweedie", {}), ("gaussian", {})]
)
def test_between_two_draws_of_amounts_there_is_the_line(name: str, settings: dict[str, Any]) -> None:
    targets = TrainingTargets(("y",), np.array([[0.0], [3.0]]), lambda: np.array([[-1.0], [2.0]]))
    head = choose_head(name, make_schema(), settings, targets=targets)
    assert not head.discrete
    assert float(head.summarise(torch.tensor([[[1.0]], [[2.0]]]))) == pytest.approx(1.5)


class TestQuantileHead:
    def test_never_cross_and_the_median_is_the_point(self) -> None:
        head = QuantileHead(make_schema(quantile=LEVELS))
        forecast = head.forecast(head(torch.randn(3, 7, len(LEVELS)), UNITS))
        assert (forecast[..., 1:].diff(dim=-1) >= 0).all()
        torch.testing.assert_close(forecast[..., 0], forecast[..., 3])

    @pytest.mark.parametrize(
        ("levels", "expected"),
        [
            ((0.4, 0.6), 1.5),
            ((0.4, 0.8), 1.25),
            ((0.1, 0.5), 2.0),
            ((0.6, 0.9), 1.0),
            ((0.1, 0.2), 2.0),
            ((0.5,), 1.0),
        ],
    )
    def test_point_between_levels(self, levels: tuple[float, ...], expected: float) -> None:
        head = QuantileHead(make_schema(quantile=levels))
        parameters = torch.arange(1.0, 1.0 + len(levels)).reshape(1, 1, 1, -1)
        assert float(head.forecast(parameters)[..., 0]) == pytest.approx(expected)

    def test_draws_follow_the_line_between_the_levels(self) -> None:
        head = QuantileHead(make_schema(quantile=LEVELS))
        value = torch.tensor([-3.0, -1.0, 0.0, 0.5, 4.0])
        drawn = head.draw(value.expand(40_000, 5), torch.Generator().manual_seed(0)).numpy()
        for level in (0.1, 0.2, 0.4, 0.6, 0.8, 0.9):
            expected = np.interp(level, LEVELS, value.numpy())
            assert np.quantile(drawn, level) == pytest.approx(expected, abs=0.1)
        assert (drawn.min(), drawn.max()) == (-3.0, 4.0)

    @pytest.mark.parametrize("levels", [(), (0.5, 0.1), (0.5, 0.5)])
    def test_impossible_quantiles(self, levels: tuple[float, ...]) -> None:
        with pytest.raises(InputError, match="quantiles"):
            choose_head("quantile", make_schema(quantile=levels))


def normal_logits(centre: float, spread: float, count: int) -> Tensor:
    return -0.5 * ((torch.arange(float(count)) - centre) / spread).square()


class TestBinsHead:
    def test_the_forecast_lies_on_the_grid_and_is_the_median(self) -> None:
        """Grid in original units, target transformed and scaled."""
        schema = make_schema(target_transform="log1p", quantile=(0.1, 0.9))
        head = make_head("bins", schema, start=10.0, step=0.5, count=60)
        units = Units("log1p", torch.tensor([[2.0]]), torch.tensor([[0.7]]))
        parameters = head(normal_logits(30.3, 4.0, 60).reshape(1, 1, 60), units)
        value = units.original(head.forecast(parameters))[0, 0, 0]
        share = normal_logits(30.3, 4.0, 60).softmax(0).numpy().cumsum()
        expected = [10.0 + 0.5 * np.searchsorted(share, level) for level in (0.5, 0.1, 0.9)]
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5)

    def test_between_the_values_where_there_is_no_grid(self) -> None:
        head = make_head("bins", make_schema(), start=-2.0, step=0.1, count=41, scaled=True)
        parameters = head(normal_logits(20.3, 3.0, 41).reshape(1, 1, 41), Units("none", *torch.ones(2, 1, 1)))
        assert float(head.forecast(parameters)) == pytest.approx(-2.0 + 0.1 * 20.3, abs=2e-3)

    @pytest.mark.parametrize("scaled", [False, True])
    def test_labels(self, scaled: bool) -> None:
        schema = make_schema(target_transform="log1p")
        head = make_head("bins", schema, start=0.5, step=0.25, count=12, smoothing=0.8, scaled=scaled)
        units = Units("log1p", torch.tensor([[0.9]]), torch.tensor([[0.4]]))
        parameters = head(torch.zeros(1, 1, 12), units)
        value = 1.6  # original, or scaled
        target = torch.tensor([[[value if scaled else (np.log1p(value) - 0.9) / 0.4]]])
        place = (value - 0.5) / 0.25
        weight = np.exp(-0.5 * ((np.arange(12) - place) / 0.8) ** 2)
        labels = head.labels(parameters, target)[0, 0, 0]  # type: ignore[operator]
        np.testing.assert_allclose(labels.numpy(), weight / weight.sum(), rtol=1e-3, atol=1e-6)

    def test_targets_beyond_the_grid_take_its_ends(self) -> None:
        head = make_head("bins", make_schema(), start=0.0, step=1.0, count=5, smoothing=0.0)
        parameters = head(torch.zeros(1, 1, 5), Units("none", torch.zeros(1, 1), torch.ones(1, 1)))
        for value, number in ((-9.0, 0), (2.4, 2), (99.0, 4)):
            labels = head.labels(parameters, torch.tensor([[[value]]]))  # type: ignore[operator]
            assert labels[0, 0, 0].tolist() == [float(index == number) for index in range(5)]

    def test_without_a_grid_the_training_rows_give_the_range(self) -> None:
        targets = TrainingTargets(("y",), np.zeros((3, 1)), lambda: np.array([[-1.5], [0.0], [2.5]]))
        head = choose_head("bins", make_schema(), {"count": 5}, targets=targets)
        assert (head.config.start, head.config.step, head.config.scaled) == (-1.5, 1.0, True)
        grid = choose_head("bins", make_schema(), SETTINGS["bins"], targets=targets)
        assert (grid.config.start, grid.config.scaled) == (-2.0, False)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({}, "start and step, unless a fit takes them from its rows"),
            ({"start": 1.0}, "start and step, or neither"),
            ({"start": 1.0, "step": 0.0}, "step: found 0, expected a number above 0"),
            ({"start": 1.0, "step": 1.0, "count": 1}, "count: found 1, expected a whole number from 2"),
            ({"start": 1.0, "step": 1.0, "smoothing": -1.0}, "smoothing: found -1, expected"),
        ],
    )
    def test_bad_settings(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            choose_head("bins", make_schema(), settings)


class TestClassesHead:
    def test_the_likeliest_class_whatever_the_scaling(self) -> None:
        head = make_head("classes", make_schema(), count=3)
        units = Units("none", torch.tensor([[1.2]]), torch.tensor([[0.8]]))
        parameters = head(torch.tensor([[[0.1, 2.0, 0.3], [0.1, 0.2, 1.0]]]), units)
        assert units.original(head.forecast(parameters))[0, :, 0, 0].tolist() == pytest.approx([1.0, 2.0])
        target = (torch.tensor([[[2.0], [0.0]]]) - 1.2) / 0.8
        labels = head.labels(parameters, target)  # type: ignore[operator]
        assert labels[0, :, 0].tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]

    def test_draws_follow_the_probabilities(self) -> None:
        head = make_head("classes", make_schema(), count=3)
        share = torch.tensor([0.2, 0.5, 0.3])
        parameters = head(share.log().reshape(1, 1, 3), Units("none", *torch.tensor([[[0.0]], [[1.0]]])))
        drawn = head.draw(parameters.expand(20_000, 1, 1, 5), torch.Generator().manual_seed(0))
        counted = np.bincount(drawn.long().reshape(-1).numpy(), minlength=3) / 20_000
        np.testing.assert_allclose(counted, share, atol=0.02)

    def test_of_draws_the_forecast_is_the_class_drawn_most_often(self) -> None:
        """Not their median, which may be a class that is hardly ever drawn, or none at all."""
        head = make_head("classes", make_schema(targets=2), count=3)
        units = Units("none", torch.full((1, 2), 1.2), torch.full((1, 2), 0.8))
        share = torch.tensor([[0.46, 0.09, 0.45], [0.2, 0.3, 0.5]])
        parameters = head(share.log().reshape(1, 1, 6), units)
        draws = head.draw(parameters.expand(20_000, 1, 1, 2, 5), torch.Generator().manual_seed(0))
        torch.testing.assert_close(head.summarise(draws), head.forecast(parameters), rtol=0, atol=0)
        even = torch.tensor([2.0, 0.0, 0.0, 2.0])[:, None, None, None].expand(4, 1, 1, 2)
        assert head.summarise(even).flatten().tolist() == [0.0, 0.0], "as argmax has it: the first of equals"

    def test_the_number_of_classes(self) -> None:
        targets = TrainingTargets(("y",), np.array([[0.0], [3.0]]), lambda: np.zeros((1, 1)))
        assert choose_head("classes", make_schema(), targets=targets).outputs == 4
        assert choose_head("classes", make_schema(), {"count": 6}, targets=targets).outputs == 6
        with pytest.raises(InputError, match=r"found 3 in target 'y'.*expected whole numbers from 0 to 2"):
            choose_head("classes", make_schema(), {"count": 3}, targets=targets)
        with pytest.raises(InputError, match="count: found 0, expected a number of classes from 2 on"):
            choose_head("classes", make_schema())


def test_auto() -> None:
    plain, quantiles = make_schema(), make_schema(quantile=LEVELS)
    assert choose_head("auto", plain).outputs == 1
    assert choose_head("auto", quantiles).outputs == 5
    assert type(choose_head("auto", quantiles, default="gaussian")) is HEADS.get("gaussian")
    assert type(choose_head("auto", quantiles, default="quantile")) is QuantileHead
    assert type(choose_head("auto", plain, default="quantile")) is HEADS.get("point")
    assert type(choose_head("point", quantiles, default="gaussian")) is HEADS.get("point")


def test_unknown_head() -> None:
    with pytest.raises(InputError, match=r"fit.head: unknown head 'quantiles'; did you mean 'quantile'"):
        choose_head("quantiles", make_schema())
