"""A row of another window: against a plain loop, and where the answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.batch import SequenceBatch
from models.forecaster import Forecaster, make_forecaster
from models.heads import PointHead
from models.heads.classes import ClassesHead
from models.losses import L2, CrossEntropy
from models.memory.asked_rows import asked_rows
from models.memory.perturbation import _swaps, lag_grid, perturbation
from models.network import Network
from tests.batches import make_batch, make_schema, perturb, with_garbage


class Reads(Network):
    """y_t = sum over lags of weight x_{t - lag}, of one column."""

    @dataclass(frozen=True)
    class Config:
        """Weights by lag."""

        weight: dict[int, float]
        column: int = 0

    def forward(self, batch: SequenceBatch) -> Tensor:
        column = batch.real[:, :, self.config.column].masked_fill(~batch.used(), 0.0)
        output = torch.zeros_like(column)
        for lag, weight in self.config.weight.items():
            output[:, lag:] += weight * column[:, : batch.rows - lag]
        return output[:, :, None]


def test_a_known_network() -> None:
    """Two independent normal inputs of weight a and b: E|a (x' - x)| / sd = 2 a / sqrt(pi (a^2 + b^2))."""
    schema = make_schema("sequence", known=2)
    network = Reads(schema, Reads.Config({2: 3.0, 7: -4.0}))
    batches = [make_batch(schema, windows=400, even=True, seed=seed) for seed in range(3)]
    measured = perturbation(network, batches, range(schema.length))
    expected = np.zeros(schema.length)
    expected[[2, 7]] = 2 * np.array([3.0, 4.0]) / (5.0 * np.sqrt(np.pi))
    np.testing.assert_allclose(measured.change, expected, atol=0.05)
    assert (measured.change[expected == 0] == 0).all()
    assert measured.pairs.tolist() == [1200] * schema.length


def test_as_by_a_plain_loop() -> None:
    """Windows of unequal length, categories, two asked rows; each altered window by itself."""
    schema = make_schema("horizon", targets=2)
    torch.manual_seed(0)
    forecaster = make_forecaster("lstm", {"hidden": 8, "static_width": 8}, schema, head="gaussian")
    perturb(forecaster)
    forecaster.eval()
    batch = make_batch(schema, windows=9)
    grid = [0, 1, 4, 8]
    measured = perturbation(forecaster, [with_garbage(batch)], grid, rows=2, at_once=7, seed=5)
    generator = np.random.default_rng(5)
    past = schema.reals("past", "past_target", "indicator")
    rows = asked_rows(batch, schema, 2)

    def predict(some: SequenceBatch) -> Tensor:
        with torch.no_grad():
            return forecaster.head.forecast(forecaster(some))[..., 0]

    before, change, predictions = predict(batch), [[] for _ in grid], []
    for asked in rows.T.tolist():
        predictions += [before[window, row] for window, row in enumerate(asked) if row >= 0]
        for window, other, place in _swaps(np.array(asked), np.array(grid), generator).tolist():
            at, lent = asked[window] - grid[place], asked[other] - grid[place]
            real, category = batch.real.clone(), batch.category.clone()
            lends = batch.real[other, lent].clone()
            if at >= batch.origin[window] or lent >= batch.origin[other]:
                lends[past] = real[window, at, past]
            real[window, at], category[window, at] = lends, batch.category[other, lent]
            altered = batch._replace(real=real, category=category).select(torch.tensor([window]))
            change[place].append((predict(altered)[0, asked[window]] - before[window, asked[window]]).abs())
    deviation = torch.stack(predictions).double().std(0, correction=0)
    expected = [float((torch.stack(some).double().mean(0) / deviation).mean()) for some in change]
    np.testing.assert_allclose(measured.change, expected, rtol=1e-4)
    assert measured.pairs.tolist() == [len(some) for some in change]
    assert min(expected) > 1e-3


def test_everyone_lends_and_borrows_once() -> None:
    row = np.array([5, 3, -1, 7, 0, 9])
    swaps = _swaps(row, np.array([0, 4, 8]), np.random.default_rng(0))
    for place, reached in ((0, {0, 1, 3, 4, 5}), (1, {0, 3, 5})):
        window, other = swaps[swaps[:, 2] == place, :2].T
        assert set(window) == set(other) == reached
        assert (window != other).all()
    assert not (swaps[:, 2] == 2).any(), "one window alone has nobody to borrow from"


def test_what_is_blanked_stays_blank() -> None:
    """Nothing is put into the horizon's rows of a past-only column, so reading them changes nothing."""
    schema = make_schema("horizon")
    column = schema.reals("past_target")[0]
    network = Reads(schema, Reads.Config({0: 1.0, 1: 1.0}, column))
    batch = make_batch(schema, windows=20, even=True)
    measured = perturbation(network, [batch], [0, 1])
    assert measured.change[0] == 0.0
    assert measured.change[1] > 0.5
    assert np.isnan(perturbation(network, [batch], [schema.length]).change[0])


def test_nothing_that_was_given_is_altered() -> None:
    schema = make_schema("horizon")
    network = perturb(Reads(schema, Reads.Config({0: 1.0}))).train()
    batch = make_batch(schema)
    before = [None if field is None else field.clone() for field in batch]
    perturbation(network, [batch], [0, 2])  # type: ignore[arg-type]
    for field, was in zip(batch, before, strict=True):
        if was is not None:
            torch.testing.assert_close(field, was, rtol=0, atol=0)
    assert network.training


def test_a_constant_prediction_does_not_change() -> None:
    schema = make_schema("sequence")
    network = Reads(schema, Reads.Config({}))
    forecaster = Forecaster("reads", network, PointHead(schema), L2(schema))
    assert perturbation(forecaster, [make_batch(schema)], [0, 1]).change.tolist() == [0.0, 0.0]
    nothing = perturbation(forecaster, [], [0, 1])
    assert np.isnan(nothing.change).all()


class Uneven(Reads):
    """Besides the sum, whether a window is the same at all rows."""

    def forward(self, batch: SequenceBatch) -> Tensor:
        uneven = (batch.real[:, 1:, 0] != batch.real[:, :-1, 0]).any(1)
        beside = uneven.float()[:, None, None].expand(-1, batch.rows, 1)
        return torch.cat([super().forward(batch), beside], dim=2) if self.config.weight else beside


def test_an_output_without_spread_has_no_unit() -> None:
    """Windows that are even but for the row they are lent: the mean is over other outputs, NaN without."""
    schema = make_schema("sequence", known=1)
    batch = make_batch(schema, windows=400, even=True)
    even = batch._replace(real=batch.real[:, :1].expand_as(batch.real).contiguous())
    both = perturbation(Uneven(schema, Uneven.Config({2: 1.0})), [even], [0, 2])
    assert both.change[0] == 0.0
    assert both.change[1] == pytest.approx(2 / np.pi**0.5, abs=0.1)
    alone = perturbation(Uneven(schema, Uneven.Config({})), [even], [0, 2])
    assert np.isnan(alone.change).all()
    unchanged = perturbation(Uneven(schema, Uneven.Config({})), [batch], [0, 2])
    assert (unchanged.change == 0.0).all(), "all windows are uneven, and stay so"


def test_of_classes_it_is_the_share_that_changes() -> None:
    """The class is the sign of a row's input, as 0 or 2 of three: half of the windows are lent another."""
    schema = make_schema("sequence", known=1)

    class Sign(Reads):
        def forward(self, batch: SequenceBatch) -> Tensor:
            value = super().forward(batch)
            return torch.cat([-value, torch.full_like(value, -9.0), value], dim=2)

    head = ClassesHead(schema, ClassesHead.Config(count=3))
    forecaster = Forecaster("sign", Sign(schema, Sign.Config({2: 1.0})), head, CrossEntropy(head))
    measured = perturbation(forecaster, [make_batch(schema, windows=400, even=True)], [0, 2])
    assert measured.classes
    assert measured.change[0] == 0.0
    assert measured.change[1] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("longest", "count"), [(0, 5), (1, 5), (7, 20), (400, 20), (1000, 3)])
def test_grid(longest: int, count: int) -> None:
    grid: Any = lag_grid(longest, count)
    assert grid[0] == 0
    assert grid[-1] == longest
    assert (np.diff(grid) > 0).all()
    assert len(grid) <= max(count, 2)
    assert {7, 365} <= set(lag_grid(400, count, (7, 365, 1000)).tolist())
