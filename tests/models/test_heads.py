"""Heads: shapes, quantiles that never cross, the median as point forecast."""

from __future__ import annotations

import pytest
import torch

from data.errors import InputError
from models.heads import HEADS, QuantileHead, choose_head
from models.units import Units
from tests.batches import make_schema

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
UNITS = Units("none", torch.zeros(3, 2), torch.ones(3, 2))


@pytest.mark.parametrize("name", HEADS.names())
def test_every_head(name: str) -> None:
    schema = make_schema(targets=2, quantile=LEVELS)
    head = choose_head(name, schema)
    output = torch.randn(3, 7, 2 * head.outputs)
    parameters = head(output, UNITS)
    assert parameters.shape[:3] == (3, 7, 2)
    forecast = head.forecast(parameters)
    assert forecast.shape[:3] == (3, 7, 2)
    assert forecast.shape[3] == 1 + len(head.levels)
    if head.outputs == 1:  # target-major: output p of target k stands at k * P + p
        torch.testing.assert_close(parameters[..., 0], output)


def test_quantiles_never_cross_and_the_median_is_the_point() -> None:
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
def test_point_between_levels(levels: tuple[float, ...], expected: float) -> None:
    head = QuantileHead(make_schema(quantile=levels))
    parameters = torch.arange(1.0, 1.0 + len(levels)).reshape(1, 1, 1, -1)
    assert float(head.forecast(parameters)[..., 0]) == pytest.approx(expected)


def test_auto_follows_the_quantiles() -> None:
    assert choose_head("auto", make_schema()).outputs == 1
    assert choose_head("auto", make_schema(quantile=LEVELS)).outputs == 5


@pytest.mark.parametrize("levels", [(), (0.5, 0.1), (0.5, 0.5)])
def test_impossible_quantiles(levels: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="quantiles"):
        choose_head("quantile", make_schema(quantile=levels))


def test_unknown_head() -> None:
    with pytest.raises(InputError, match="did you mean 'quantile'"):
        choose_head("quantiles", make_schema())
