"""Everything by one call: on a network that has learnt a known lag, and on members of a competition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.batch import SequenceBatch
from models.forecaster import Forecaster, make_forecaster
from models.members.catalogue import make_member
from models.memory.fitted_member import memory_of_fit
from models.memory.summary import memory_of
from models.network import NETWORKS
from tests.batches import make_batch, make_schema
from tests.members import fit_task, make_toy, small_settings

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LAG = 4
ROWS = 16


def delay_batch(schema: Any, seed: int, windows: int = 64) -> SequenceBatch:
    """The last row's target is the input LAG rows before, of the first of two columns."""
    batch = make_batch(schema, windows, seed, even=True)
    weight = torch.zeros_like(batch.weight)
    weight[:, -1] = 1.0
    return batch._replace(weight=weight, target=batch.real[:, :, :1].roll(LAG, dims=1))


@pytest.fixture(scope="module", params=["lstm", "plstm", "tcn"])
def learnt(request: pytest.FixtureRequest) -> Forecaster:
    """A forecaster that gives back what it read LAG rows ago."""
    schema = make_schema(
        "sequence", context=ROWS - 2, horizon=2, categories=(), static_real=0, static_categories=()
    )
    torch.manual_seed(0)
    settings = {"hidden": 16, **({"layers": 1} if request.param != "tcn" else {"layers": 2})}
    forecaster = make_forecaster(request.param, settings, schema, loss="l2")
    optimizer = torch.optim.Adam(forecaster.parameters(), lr=1e-2)
    for step in range(400):
        batch = delay_batch(schema, 1000 + step)
        loss = forecaster.loss(forecaster(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
    return forecaster.eval()


def test_the_lag_that_was_learnt_stands_out(learnt: Forecaster) -> None:
    schema = learnt.network.schema
    batches = [delay_batch(schema, seed, 40) for seed in range(2)]
    memory = memory_of(learnt, batches, capacity=12)
    assert memory.windows == 64
    assert int(memory.gradient.total.argmax()) == LAG
    assert memory.gradient.total[LAG] == pytest.approx(1.0, abs=0.25)
    assert memory.reach95 is not None
    assert memory.reach95 >= LAG
    place = memory.perturbation.lag.tolist().index(LAG)
    assert memory.perturbation.change[place] == pytest.approx(2 / np.pi**0.5, abs=0.2)
    assert np.delete(memory.perturbation.change, place).max() < 0.5
    assert memory.capacity is not None
    assert memory.capacity.by_lag[LAG] > 0.2
    if type(learnt.network) is NETWORKS.get("tcn"):
        assert memory.receptive_field is not None
        assert (memory.receptive_field.rows, memory.beyond) == (13, 0.0)
        assert (memory.gradient.total[13:] == 0).all()
        assert memory.retention == []
    else:
        assert memory.receptive_field is None
        assert memory.beyond is None
        (layer,) = memory.retention
        assert layer.timescale.shape == (16,)


def test_json(learnt: Forecaster) -> None:
    memory = memory_of(learnt, [delay_batch(learnt.network.schema, 0)])
    content = json.loads(json.dumps(memory.to_json(lags=6), allow_nan=False))
    assert set(content) == set(memory._fields)
    assert content["gradient"]["total"] == pytest.approx(memory.gradient.total.tolist())
    assert memory.fit is not None
    assert content["fit"]["better"] == memory.fit.better.law
    assert content["reach95"] == memory.reach95
    assert content["capacity"] is None
    for layer in content["retention"]:
        assert len(layer["lag"]) == len(layer["kept"]["0.5"]) <= 7
        assert layer["kept"]["0.5"][0] == 1.0


@pytest.mark.parametrize("name", NETWORKS.names())
def test_every_network_can_be_measured(name: str) -> None:
    kind = NETWORKS.get(name)
    for task in kind.tasks:
        schema = make_schema(task)
        torch.manual_seed(0)
        forecaster = make_forecaster(name, small_settings(name), schema)
        memory = memory_of(forecaster, [make_batch(schema, windows=6)], lags=5, capacity=5)
        assert memory.windows == 6
        assert np.isfinite(memory.gradient.total).all()
        assert np.isfinite(memory.perturbation.change).any()
        json.dumps(memory.to_json(), allow_nan=False)


def test_a_large_network_is_measured_on_fewer_windows() -> None:
    schema = make_schema("sequence")
    batch = make_batch(schema, windows=40)
    network = make_forecaster("lstm", {"hidden": 32}, schema)
    a_window = batch.rows * sum(parameter.numel() for parameter in network.network.parameters())
    assert memory_of(network, [batch], work=1e12).windows == 40
    assert memory_of(network, [batch], work=8 * 20 * a_window).windows == 20
    assert memory_of(network, [batch], work=1.0).windows == 8
    few = memory_of(network, [batch], work=1.0).perturbation.pairs.max()
    assert few < memory_of(network, [batch]).perturbation.pairs.max()
    assert memory_of(network, [batch], capacity=5).capacity is not None
    assert memory_of(network, [batch], capacity=5, work=8 * 20 * a_window).capacity is None


def test_nothing_to_measure_on() -> None:
    schema = make_schema("sequence")
    memory = memory_of(make_forecaster("lstm", None, schema), [])
    assert (memory.windows, memory.reach95, memory.fit, memory.retention) == (0, None, None, [])
    json.dumps(memory.to_json(), allow_nan=False)


@pytest.mark.parametrize("kind", ["sequence", "horizon"])
def test_of_members_of_a_competition(kind: str, tmp_path: Path) -> None:
    toy = make_toy(kind)
    task = fit_task(toy, tmp_path)
    member = make_member("lstm", small_settings("lstm"))
    member.fit(task)
    memory = memory_of_fit(member, task, windows=5)
    assert memory is not None
    assert memory.windows == min(5, len(task.fold.asked.row))
    assert memory.gradient.total.max() > 0
    assert memory.capacity is not None
    assert len(memory.capacity.by_lag) == task.inputs.schema.length, "delays of a whole window, and 0"
    again = memory_of_fit(member, task, windows=5)
    assert again is not None
    np.testing.assert_array_equal(memory.gradient.total, again.gradient.total)
    np.testing.assert_array_equal(memory.perturbation.change, again.perturbation.change)


@pytest.mark.parametrize("name", ["seasonal_naive", "lightgbm"])
def test_members_that_are_no_networks(name: str, tmp_path: Path) -> None:
    toy = make_toy("horizon")
    member = make_member(name, small_settings(name))
    assert memory_of_fit(member, fit_task(toy, tmp_path)) is None
