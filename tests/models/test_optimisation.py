"""Optimisers, schedules and what decays."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from data.errors import InputError
from models.network import NETWORKS, Network
from models.networks.recurrent import LSTMNetwork
from models.networks.stack import Stack
from models.optimisation import (
    OPTIMIZERS,
    averaging_callbacks,
    learning_rate_factor,
    lightning_precision,
    make_optimizer,
    parameter_groups,
)
from models.settings import Fit
from tests.batches import make_batch, make_schema


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.1), (100, 0.3), (1000, 0.05), (40, 0.25)])
def test_one_cycle_is_torch_s(steps: int, warmup: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=steps, pct_start=warmup, cycle_momentum=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(steps):
            expected = optimizer.param_groups[0]["lr"]
            assert learning_rate_factor("one_cycle", step, steps, warmup) == pytest.approx(expected, abs=1e-9)
            if step < steps - 1:
                schedule.step()


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 500])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_schedules_of_any_length(schedule: str, steps: int, warmup: float) -> None:
    factors = [learning_rate_factor(schedule, step, steps, warmup) for step in range(steps + 1)]
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    assert max(factors[:-1]) > 0.0
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_cosine_and_constant() -> None:
    assert [learning_rate_factor("constant", step, 20, 0.2) for step in range(6)] == [
        0.25,
        0.5,
        0.75,
        1.0,
        1.0,
        1.0,
    ]
    assert learning_rate_factor("cosine", 4, 20, 0.2) == 1.0
    assert learning_rate_factor("cosine", 12, 20, 0.2) == pytest.approx(0.5)
    assert learning_rate_factor("cosine", 20, 20, 0.2) == pytest.approx(0.0)


def grouped(network: nn.Module) -> tuple[set[str], set[str]]:
    """Names of the parameters that decay, and of those that do not: each is in one of them."""
    decayed, spared = parameter_groups(network, 0.1)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    name = {id(parameter): name for name, parameter in network.named_parameters()}
    decaying = {name[id(parameter)] for parameter in decayed["params"]}
    sparing = {name[id(parameter)] for parameter in spared["params"]}
    assert decaying | sparing == set(name.values())
    assert not decaying & sparing
    return decaying, sparing


def weights_alone(decaying: set[str]) -> None:
    for one in decaying:
        assert not any(part in one for part in ("bias", "norm", "tables", "original0")), one
        assert one.rpartition(".")[2] != "position", one


@pytest.mark.parametrize(
    ("kind", "config", "task"),
    [
        pytest.param(kind, config, task, id=f"{name}-{index}-{task}")
        for name, kind in NETWORKS.items()
        for index, config in enumerate(kind.variants())
        for task in kind.tasks
    ],
)
def test_only_weights_decay_in_any_network(kind: type[Network], config: Any, task: str) -> None:
    weights_alone(grouped(kind(make_schema(task), config))[0])


def test_only_weights_decay() -> None:
    mixers = ["conv", {"name": "tcn"}, {"name": "lstm", "layer_norm": True}]
    decaying, sparing = grouped(Stack(make_schema(), Stack.Config(mixers=mixers)))
    weights_alone(decaying)
    assert {"embedding.category.tables.0.weight", "embedding.project.bias"} <= sparing
    assert "mixers.2.blocks.0.weight_ih_l0" in decaying
    assert "mixers.1.blocks.0.first.parametrizations.weight.original1" in decaying


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_lowers_the_loss(name: str) -> None:
    schema = make_schema()
    batch = make_batch(schema)
    torch.manual_seed(0)
    network = LSTMNetwork(schema, LSTMNetwork.Config(hidden=8))
    optimizer = make_optimizer(network, Fit(optimizer=name, learning_rate=3e-3))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (network(batch) - batch.target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_precision() -> None:
    assert lightning_precision("auto", "cpu") == "32-true"
    assert lightning_precision("bf16", "cpu") == "bf16-mixed"
    assert lightning_precision("32", "cuda") == "32-true"
    with pytest.raises(InputError, match=r"fit.precision: unknown precision 'bf61'"):
        lightning_precision("bf61", "cpu")


def test_misspelt_names() -> None:
    with pytest.raises(InputError, match=r"fit.optimizer: unknown optimizer 'adamW2'; did you mean 'adamw'"):
        make_optimizer(nn.Linear(1, 1), Fit(optimizer="adamW2"))
    with pytest.raises(InputError, match=r"fit.averaging: unknown averaging 'emma'; did you mean 'ema'"):
        averaging_callbacks(Fit(averaging="emma"))
