"""G(tau): against derivatives taken window by window, through embeddings, and by finite differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.memory.asked_rows import asked_rows, shown_inputs
from models.memory.gradient_by_lag import gradient_by_lag
from models.network import NETWORKS, Network
from tests.batches import TASKS, make_batch, make_schema, perturb, with_garbage

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
CASES = [
    pytest.param(name, task, id=f"{name}-{task}")
    for name, kind in NETWORKS.items()
    for task in TASKS
    if task in kind.tasks
]


def build(name: str, schema: InputSchema, outputs: int = 1, **settings: Any) -> Network:
    kind = NETWORKS.get(name)
    torch.manual_seed(0)
    config = kind.Config(**settings) if settings else kind.small()
    return perturb(kind(schema, config, outputs)).eval()  # type: ignore[return-value]


class Lagged(Network):
    """y_t = sum over lags of weight[lag] x_{t - lag} + table[code_{t - lag}] . slope[lag], by plain loops."""

    @dataclass(frozen=True)
    class Config:
        """Weights by lag; negative lags look ahead."""

        weight: dict[int, float]
        slope: dict[int, float]

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        self.table = nn.Embedding(schema.category_size[0], 3)

    def forward(self, batch: SequenceBatch) -> Tensor:
        used = batch.used()[:, :, None]
        real = batch.real[:, :, :1].masked_fill(~used, 0.0)
        looked_up = self.table(batch.category[:, :, 0]).sum(2, keepdim=True).masked_fill(~used, 0.0)
        output = torch.zeros_like(real)
        for values, weights in ((real, self.config.weight), (looked_up, self.config.slope)):
            for lag, weight in weights.items():
                moved = values.roll(lag, dims=1)
                if lag:
                    moved[:, slice(0, lag) if lag > 0 else slice(lag, None)] = 0.0
                output = output + weight * moved
        return output


def test_a_known_linear_network() -> None:
    """G is |weight| for the real input, and |slope| sqrt(3) for three embedded values that are summed."""
    schema = make_schema("sequence", known=2, categories=(4,))
    network = Lagged(schema, Lagged.Config({0: 1.0, 3: -2.0, -2: 0.5}, {1: 0.7, 3: 0.1}))
    measured = gradient_by_lag(network, [make_batch(schema, windows=6)])
    real, category = np.zeros(schema.length), np.zeros(schema.length)
    real[[0, 3]], category[[1, 3]] = [1.0, 2.0], np.array([0.7, 0.1]) * math.sqrt(3)
    np.testing.assert_allclose(measured.real, real, atol=1e-6)
    np.testing.assert_allclose(measured.category, category, atol=1e-6)
    np.testing.assert_allclose(measured.total, np.hypot(real, category), atol=1e-6)
    assert measured.future == 0.0, "the last row in use has none after it"


def test_the_share_in_the_future() -> None:
    schema = make_schema("horizon", categories=(4,))
    network = Lagged(schema, Lagged.Config({0: 1.0, 3: -2.0, -2: 0.5}, {-1: 0.5 / math.sqrt(3)}))
    batch = make_batch(schema, windows=6, even=True)
    measured = gradient_by_lag(network, [batch])
    assert measured.future == pytest.approx(1.0 / 4.0)
    assert len(measured.total) == schema.context + 1, "lags of the first row of the horizon"
    assert measured.pairs.tolist() == [6] * len(measured.total)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_every_network_as_by_one_window_at_a_time(name: str, task: str) -> None:
    """Windows that differ in length, two outputs, three rows; what is blanked left out.

    Every row has a code of its own, so the derivative by its vector is that by a row of the table.
    """
    windows = 3
    rows = make_schema(task).length
    schema = make_schema(task, categories=(1 + windows * rows,))
    network = build(name, schema, outputs=2)
    batch = make_batch(schema, windows)._replace(target=None)
    own = torch.arange(1, 1 + windows * rows).view(windows, rows, 1)
    batch = batch._replace(category=own * batch.used()[:, :, None])
    measured = gradient_by_lag(network, [with_garbage(batch)], rows=3, which="spread", at_once=5)
    row = asked_rows(batch, schema, 3, "spread")
    shown, _ = shown_inputs(batch, schema)
    tables = [
        module.weight
        for module in network.modules()
        if isinstance(module, nn.Embedding) and module.num_embeddings == 1 + windows * rows
    ]
    sums, pairs = np.zeros((2, rows)), np.zeros(rows)
    for window in range(windows):
        for at in {int(at) for at in row[window] if at >= 0}:
            real_part, category_part = torch.zeros(rows), torch.zeros(rows)
            for output in range(2):
                alone = batch.select(torch.tensor([window]))
                alone.real.requires_grad_(True)
                value = network(alone)[0, at, output]
                by_real, *by_table = torch.autograd.grad(value, [alone.real, *tables], allow_unused=True)
                real_part += (by_real[0] * shown[window]).square().sum(1)
                for gradient in by_table:
                    category_part += gradient[own[window, :, 0]].square().sum(1)
            for tau in range(at + 1):
                sums[0, tau] += float(real_part[at - tau].sqrt())
                sums[1, tau] += float(category_part[at - tau].sqrt())
                pairs[tau] += 1
    expected = (sums / np.maximum(pairs, 1))[:, pairs > 0]
    assert (measured.pairs == pairs[pairs > 0]).all()
    assert tables, "no table of the time-varying category"
    assert expected.max(1).min() > 0
    np.testing.assert_allclose(measured.real, expected[0], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(measured.category, expected[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "biplstm"])
def test_as_by_finite_differences(name: str) -> None:
    schema = make_schema("sequence", known=1)
    network = build(name, schema)
    batch = make_batch(schema, windows=5, even=True)
    measured = gradient_by_lag(network, [batch], which="first")
    assert (measured.future > 0.1) == (name == "biplstm")
    last = gradient_by_lag(network, [batch]).real
    step = 1e-2
    with torch.no_grad():
        for lag in (0, 1, 5):
            there = torch.zeros_like(batch.real)
            there[:, schema.length - 1 - lag] = step
            above, below = (network(batch._replace(real=batch.real + sign * there)) for sign in (1, -1))
            slope = (above - below)[:, -1, 0].abs() / (2 * step)
            assert float(slope.mean()) == pytest.approx(float(last[lag]), rel=0.02)


def test_the_network_is_left_as_it_was() -> None:
    schema = make_schema("sequence")
    network = build("lstm", schema, dropout=0.5, input_dropout=0.5, hidden=8)
    network.train()
    network.mixers[0].eval()
    some = next(network.parameters())
    some.requires_grad_(False)
    modes = [module.training for module in network.modules()]
    batch = make_batch(schema)
    with torch.inference_mode():
        first = gradient_by_lag(network, [make_batch(schema)])
    again = gradient_by_lag(network, [batch])
    np.testing.assert_array_equal(first.total, again.total, err_msg="dropout was on")
    assert [module.training for module in network.modules()] == modes
    assert not some.requires_grad
    assert sum(not parameter.requires_grad for parameter in network.parameters()) == 1
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not batch.real.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_many_outputs_are_estimated_by_signs() -> None:
    """With more outputs than passes the norm is Hutchinson's estimate: close for many windows."""
    schema = make_schema("sequence")
    network = build("lstm", schema, outputs=12)
    batch = make_batch(schema, windows=200, even=True)
    measured = gradient_by_lag(network, [batch])
    squares = np.zeros(schema.length)
    for output in range(12):
        real = batch.real.clone().requires_grad_(True)
        value = network(batch._replace(real=real))[:, -1, output].sum()
        squares = squares + torch.autograd.grad(value, real)[0].double().square().sum(2).numpy()
    exact = np.sqrt(squares).mean(0)[::-1]
    np.testing.assert_allclose(measured.real, exact, rtol=0.3)


class TestAskedRows:
    def test_by_task_and_place(self) -> None:
        for task in TASKS:
            schema = make_schema(task)
            batch = make_batch(schema, windows=8)
            first, last = (asked_rows(batch, schema, 1, which)[:, 0] for which in ("first", "last"))
            assert (first == batch.origin).all()
            assert (last == batch.length - 1).all()
            chosen = asked_rows(batch, schema)[:, 0]
            assert (chosen == (last if task == "sequence" else first)).all()

    def test_rows_that_are_not_judged_are_not_asked(self) -> None:
        schema = make_schema("sequence")
        batch = make_batch(schema, windows=3, even=True)
        batch.weight[:, 4:] = 0.0
        batch.weight[2] = 0.0  # as in the test part: nothing is judged
        last = schema.length - 1
        assert asked_rows(batch, schema, 2).tolist() == [[3, 2], [3, 2], [last, last - 1]]
        assert asked_rows(batch, schema, 5)[0].tolist() == [3, 2, 1, 0, -1]
        assert asked_rows(batch, schema, 2, "spread")[0].tolist() == [1, 3]

    def test_an_unknown_place(self) -> None:
        schema = make_schema("sequence")
        with pytest.raises(InputError, match="middle"):
            asked_rows(make_batch(schema), schema, 1, "middle")


def test_what_is_blanked_is_not_shown() -> None:
    schema = make_schema("horizon")._replace(real_reach=(None, None, 0, 2, 2))
    batch = make_batch(schema, windows=2, even=True)
    shown, codes = shown_inputs(batch, schema)
    origin = schema.context
    assert shown[0, origin - 1].all()
    assert shown[0, origin].tolist() == [True, True, False, True, True]
    assert shown[0, origin + 2].tolist() == [True, True, False, False, False]
    assert codes.all()
