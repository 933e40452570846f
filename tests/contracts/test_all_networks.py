"""What every registered network keeps to, in both kinds of task, in every variant it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.forecaster import Forecaster
from models.heads import PointHead
from models.losses import L2
from models.network import NETWORKS, Network
from tests.batches import TASKS, make_batch, make_schema, perturb, with_garbage

CASES = [
    pytest.param(name, config, task, id=f"{name}{f'-{index}' if index else ''}-{task}")
    for name, kind in NETWORKS.items()
    for index, config in enumerate(kind.variants())
    for task in TASKS
    if task in kind.tasks
]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def build(name: str, config: Any, schema: InputSchema, outputs: int = 1, moved: bool = True) -> Network:
    torch.manual_seed(0)
    network = NETWORKS.get(name)(schema, config, outputs)
    if moved:
        perturb(network)
    return network.eval()


def judged(batch: SequenceBatch, output: Tensor) -> Tensor:
    """The output of the rows that count."""
    return output[batch.asked]


@pytest.mark.parametrize(("name", "config", "task"), CASES)
class TestNetwork:
    def test_shape_and_finite(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task, targets=2)
        batch = make_batch(schema)
        output = build(name, config, schema, outputs=3)(batch)
        assert output.shape == (4, schema.length, 2 * 3)
        assert output.isfinite().all()

    def test_every_parameter_gets_a_gradient(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task)
        batch = make_batch(schema, windows=24)
        network = build(name, config, schema).train()
        L2(schema)(network(batch)[..., None], batch).backward()
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name
            assert parameter.grad.abs().max() > 0, parameter_name

    def test_garbage_in_padding_changes_nothing(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task)
        batch = make_batch(schema)
        network = build(name, config, schema)
        torch.testing.assert_close(
            judged(batch, network(batch)), judged(batch, network(with_garbage(batch))), rtol=0, atol=0
        )

    def test_order_of_the_batch(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task)
        batch = make_batch(schema)
        network = build(name, config, schema)
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(network(batch)[order], network(batch.select(order)), rtol=1e-4, atol=1e-5)

    def test_a_window_does_not_depend_on_its_neighbours(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task)
        batch = make_batch(schema)
        network = build(name, config, schema)
        for window in range(4):
            alone = batch.select(torch.tensor([window]))
            torch.testing.assert_close(
                judged(alone, network(alone)),
                judged(alone, network(batch)[window : window + 1]),
                rtol=1e-4,
                atol=1e-5,
            )

    def test_causal_networks_do_not_look_ahead(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task)
        batch = make_batch(schema, even=True)
        network = build(name, config, schema)
        assert network.is_causal() or not type(network).causal
        row = schema.length - 2
        real = batch.real.clone()
        real[:, row, : len(schema.reals("known"))] += 1.0
        before, after = network(batch), network(batch._replace(real=real))
        changed = (before - after).abs().amax((0, 2)) > 1e-7
        assert changed[row:].any(), "a known input of the horizon reaches nothing"
        if network.is_causal():
            assert not changed[:row].any()

    def test_the_last_row_asked_alone(self, name: str, config: Any, task: str) -> None:
        """Rows that nobody wants may be left out, which changes nothing of the one that is wanted."""
        schema = make_schema(task)
        batch = make_batch(schema, even=True)
        network = build(name, config, schema)
        last = torch.arange(batch.rows) == batch.rows - 1
        alone = network(batch._replace(asked=batch.asked & last, weight=batch.weight * last))
        torch.testing.assert_close(alone[:, -1], network(batch)[:, -1], rtol=1e-4, atol=1e-5)

    def test_static_metadata_reaches_row_0(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task)
        batch = make_batch(schema)
        network = build(name, config, schema)
        first = torch.arange(4), batch.origin if task == "horizon" else torch.zeros(4, dtype=torch.int64)
        before = network(batch)[first]
        real = network(batch._replace(static_real=batch.static_real + 1.0))[first]
        code = (batch.static_category + 1) % torch.tensor(schema.static_category_size)
        category = network(batch._replace(static_category=code))[first]
        assert ((before - real).abs().amax(1) > 1e-7).all()
        assert ((before - category).abs().amax(1) > 1e-7).all()

    def test_works_without_any_static_or_category(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task, categories=(), static_real=0, static_categories=())
        assert build(name, config, schema)(make_batch(schema)).isfinite().all()

    def test_the_target_is_not_read_in_evaluation(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task)
        batch = make_batch(schema)
        network = build(name, config, schema)
        blind = network(batch._replace(target=None))
        torch.testing.assert_close(network(batch), blind, rtol=0, atol=0)

    def test_overfits_one_batch(self, name: str, config: Any, task: str) -> None:
        schema = make_schema(task, context=5, horizon=3)
        batch = make_batch(schema, windows=3)
        torch.manual_seed(0)
        network = build(name, config, schema, moved=False).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        loss_function = L2(schema)
        first = None
        for _ in range(400):
            optimizer.zero_grad()
            loss = loss_function(network(batch)[..., None], batch)
            first = first or float(loss.detach())
            loss.backward()
            optimizer.step()
            if loss < 0.05 * first:
                break
        assert loss < 0.05 * first, f"from {first:.3f} to {float(loss):.3f}"

    def test_store_and_load(self, name: str, config: Any, task: str, tmp_path: Path) -> None:
        schema = make_schema(task)
        batch = make_batch(schema)
        forecaster = Forecaster(name, build(name, config, schema), PointHead(schema), L2(schema)).eval()
        forecaster.save(tmp_path)
        again = Forecaster.load(tmp_path)
        torch.testing.assert_close(
            again.forecast(batch).value, forecaster.forecast(batch).value, rtol=0, atol=0
        )
        assert again.network.config == forecaster.network.config


@pytest.mark.parametrize("statics", [2, 0])
@pytest.mark.parametrize("name", [name for name, kind in NETWORKS.items() if "sequence" in kind.tasks])
def test_rows_without_any_input_column(name: str, statics: int) -> None:
    """The row's place is all that is left to go by, and the static metadata where there is any."""
    schema = make_schema(
        "sequence",
        known=0,
        categories=(),
        static_real=statics,
        static_categories=(3,) * statics,
    )
    batch = make_batch(schema)
    network = build(name, NETWORKS.get(name).small(), schema)
    output = network(batch)
    assert output.shape[:2] == batch.used().shape
    assert output.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS.names())
@settings(max_examples=15, deadline=None, derandomize=True)
@given(draw=st.data())
def test_any_shape_of_batch(name: str, draw: Any) -> None:
    """Shapes, finiteness and padding for schemas and lengths that nobody thought of."""
    schema = make_schema(
        draw.draw(st.sampled_from(NETWORKS.get(name).tasks)),
        context=draw.draw(st.integers(1, 12)),
        horizon=draw.draw(st.integers(1, 6)),
        known=draw.draw(st.integers(1, 3)),
        categories=tuple(draw.draw(st.lists(st.integers(1, 60), max_size=2))),
        static_real=draw.draw(st.integers(0, 2)),
        static_categories=tuple(draw.draw(st.lists(st.integers(1, 60), max_size=2))),
        targets=draw.draw(st.integers(1, 3)),
    )
    outputs = draw.draw(st.integers(1, 3))
    windows = draw.draw(st.integers(1, 5))
    unjudged = draw.draw(st.sampled_from([0.0, 0.3, 1.0]))  # of past rows: none, some, all
    batch = make_batch(schema, windows, seed=draw.draw(st.integers(0, 9)), unjudged=unjudged)
    network = build(name, NETWORKS.get(name).small(), schema, outputs)
    output = network(batch)
    assert output.shape == (windows, schema.length, schema.targets * outputs)
    assert output.isfinite().all()
    again = network(with_garbage(batch))
    torch.testing.assert_close(judged(batch, output), judged(batch, again), rtol=0, atol=0)
