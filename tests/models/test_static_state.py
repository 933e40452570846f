"""Static metadata as initial states: the modes, the zero start, and the gated residual network."""

from __future__ import annotations

import math

import pytest
import torch

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.embedding import CategoryEmbedding, InputEmbedding, embedding_width
from models.forecaster import make_forecaster
from models.networks.recurrent import BiLSTMNetwork, LSTMNetwork
from models.networks.stack import Stack
from models.static_state import MODES, GatedResidual, StaticState
from tests.batches import make_batch, make_schema, perturb


def bilstm(mode: str, **settings: int) -> BiLSTMNetwork:
    torch.manual_seed(0)
    config = BiLSTMNetwork.Config(hidden=5, layers=2, static_state=mode, static_width=6, **settings)
    return BiLSTMNetwork(make_schema(), config).eval()


def test_training_starts_from_the_zero_state() -> None:
    network = bilstm("state")
    states, added = network.static_state(make_batch(make_schema()))
    assert [len(own) for own in states] == [2 * 2 * 2]
    assert all(torch.equal(tensor, torch.zeros(4, 5)) for own in states for tensor in own)
    assert added == [None]


def test_every_layer_and_direction_gets_a_state_of_its_own() -> None:
    network = bilstm("state")
    perturb(network)
    (states,), _ = network.static_state(make_batch(make_schema()))
    assert states is not None
    for one in range(len(states)):
        for other in range(one):
            assert not torch.allclose(states[one], states[other])
        assert (states[one].std(0) > 0).all(), "windows with other metadata have the same state"


@pytest.mark.parametrize("mode", MODES)
def test_modes(mode: str) -> None:
    """Which of them let metadata through, and by which way."""
    network = bilstm(mode)
    perturb(network)
    batch = make_batch(make_schema())
    (states,), (added,) = network.static_state(batch)
    assert (states is not None) is (mode in ("state", "both", "learned"))
    assert (added is not None) is (mode in ("concatenate", "both"))
    moved = network(batch._replace(static_real=batch.static_real + 1.0))
    reached = not torch.equal(network(batch), moved)
    assert reached is (mode in ("state", "both", "concatenate"))
    if mode == "learned":
        assert states is not None
        assert all(torch.equal(tensor[0], tensor[1]) for tensor in states)


def test_random_states_are_noise_in_training_only() -> None:
    network = bilstm("random")
    batch = make_batch(make_schema())
    torch.testing.assert_close(network(batch), network(batch), rtol=0, atol=0)
    network.train()
    assert not torch.equal(network(batch), network(batch))


def test_concatenate_equals_concatenating_to_every_row() -> None:
    """W [x; e] = W_x x + W_e e: adding a projection is concatenation before the first linear map."""
    network = bilstm("concatenate")
    perturb(network)
    batch = make_batch(make_schema())
    encoder, layer = network.static_state.encoder, network.static_state.to_input["0"]
    assert encoder is not None
    _, (added,) = network.static_state(batch)
    encoding = encoder(batch)[:, None, :].expand(-1, batch.rows, -1)
    project = network.embedding.project
    inputs = torch.cat([batch.real, network.embedding.category(batch.category), encoding], dim=-1)  # type: ignore[misc]
    weight = torch.cat([project.weight, layer.weight], dim=1)  # type: ignore[list-item]
    whole = torch.nn.functional.linear(inputs, weight, project.bias + layer.bias)  # type: ignore[operator]
    torch.testing.assert_close(whole, network.embedding(batch) + added)


@pytest.mark.parametrize("mode", MODES)
def test_without_statics_or_without_states_everything_still_runs(mode: str) -> None:
    bare = make_schema(static_real=0, static_categories=())
    for schema in (bare, make_schema()):
        for mixers in (["conv"], ["lstm"], ["conv", {"name": "gru", "hidden": 4}, "tcn"]):
            network = Stack(schema, Stack.Config(mixers=mixers, static_state=mode, width=6))
            network.train()(make_batch(schema)).square().mean().backward()
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None, name
    shapes = [[(3,), (2, 4)], []]
    states, added = StaticState(bare, shapes, [5, 5], "both")(make_batch(bare))
    assert states == [None, None]
    assert added == [None, None]


def test_states_of_any_shape_and_mixers_without_one() -> None:
    schema = make_schema()
    part = StaticState(schema, [[], [(3,), (2, 4)], []], [5, 6, 7], "state")
    states, added = part(make_batch(schema))
    assert states[0] is None
    assert states[2] is None
    assert [tensor.shape for tensor in states[1]] == [(4, 3), (4, 2, 4)]
    assert [None if tensor is None else tensor.shape for tensor in added] == [(4, 1, 5), None, (4, 1, 7)]


def test_unknown_mode() -> None:
    with pytest.raises(InputError, match="did you mean 'concatenate'"):
        bilstm("concatenated")


def test_gated_residual_network_is_the_paper_s() -> None:
    """Equations 2 to 5 of Lim et al. 2021, written out."""
    torch.manual_seed(0)
    part = GatedResidual(4).double()
    a = torch.randn(3, 4, dtype=torch.float64)
    eta_2 = torch.nn.functional.elu(a @ part.first.weight.T + part.first.bias)
    eta_1 = eta_2 @ part.second.weight.T + part.second.bias
    both = eta_1 @ part.gate.weight.T + part.gate.bias
    gated = both[:, :4] * torch.sigmoid(both[:, 4:])
    added = a + gated
    mean, variance = added.mean(1, keepdim=True), added.var(1, unbiased=False, keepdim=True)
    torch.testing.assert_close(part(a), (added - mean) / (variance + part.norm.eps).sqrt())


def test_embedding_width_and_the_unknown_code() -> None:
    assert [embedding_width(size) for size in (1, 2, 5, 1116, 10**6)] == [2, 2, 4, 50, 50]
    assert embedding_width(100) == round(1.6 * math.pow(100, 0.56))
    part = CategoryEmbedding([4, 3])
    assert part(torch.zeros(2, 5, 2, dtype=torch.int64)).abs().max() == 0.0
    assert (part(torch.ones(2, 5, 2, dtype=torch.int64)) != 0.0).all()


@pytest.mark.parametrize("embedding", ["linear", "none"])
def test_how_far_apart_categories_start_is_a_setting(embedding: str) -> None:
    schema = make_schema(categories=(10**5,))
    for given in ({}, {"category_std": 2.0}):
        torch.manual_seed(0)
        network = LSTMNetwork(schema, LSTMNetwork.Config(hidden=4, embedding=embedding, **given))
        [table] = network.embedding.category.tables
        assert table.weight.std().item() == pytest.approx(given.get("category_std", 0.1), rel=0.01)
        assert (table.weight[0] == 0).all()


def test_input_dropout_in_training_only() -> None:
    schema = make_schema()
    part = InputEmbedding(schema, 4, dropout=0.5)
    batch = make_batch(schema)
    assert not torch.equal(part(batch), part(batch))
    part.eval()
    torch.testing.assert_close(part(batch), part(batch), rtol=0, atol=0)


def dynamics(windows: int, seed: int) -> SequenceBatch:
    """Sequences y[t] = a y[t-1] + u[t] of 20 rows, of which only u and the static code of a are given."""
    coefficient = torch.tensor([-0.9, 0.0, 0.5, 0.97])
    schema = only_metadata_tells()
    batch = make_batch(schema, windows, seed, even=True)
    code = torch.randint(0, len(coefficient), (windows, 1), generator=torch.Generator().manual_seed(seed))
    target = torch.zeros(windows, schema.length, 1)
    for row in range(schema.length):
        before = target[:, row - 1] if row else 0.0
        target[:, row] = coefficient[code] * before + batch.real[:, row]
    return batch._replace(static_category=code, target=target, weight=batch.asked.float())


def only_metadata_tells() -> InputSchema:
    return make_schema(
        "sequence", 15, 5, known=1, categories=(), static_real=0, static_categories=(4,), seasonality=()
    )


@pytest.mark.parametrize("mode", ["state", "both", "none"])
def test_metadata_that_alone_tells_the_dynamics(mode: str) -> None:
    """`state` and `both` learn which dynamics a series follows, from the initial state on; `none` cannot.

    Without the metadata the best forecast is the mean over the four coefficients; what it leaves of the
    variance is far from 0 (benchmarks/static_state.py has the table of all modes).
    """
    torch.manual_seed(0)
    schema = only_metadata_tells()
    settings = {"hidden": 24, "layers": 1, "static_state": mode, "static_width": 8}
    forecaster = make_forecaster("lstm", settings, schema, loss="l2")
    train, fresh = dynamics(512, seed=1), dynamics(512, seed=2)
    optimizer = torch.optim.Adam(forecaster.parameters(), lr=0.01)
    for step in range(300):
        optimizer.zero_grad()
        part = train.select(torch.arange(64) + 64 * (step % 8))
        forecaster.loss(forecaster(part), part).backward()
        optimizer.step()
    with torch.no_grad():
        left = float(forecaster.loss(forecaster(fresh), fresh)) / float(fresh.target.var())
    assert left < 0.1 if mode != "none" else left > 0.4
