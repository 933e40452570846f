"""Stacks: lists of mixers, the skip to the head, the naive forecast below, and what bad settings get."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
import torch

from data.configure import make_settings
from data.errors import InputError
from models.embedding import embedding_width
from models.layers.naive import Naive
from models.network import NETWORKS
from models.networks.recurrent import LSTMNetwork
from models.networks.stack import Stack
from tests.batches import TASKS, make_batch, make_schema, perturb, with_other_unjudged


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("skip", [False, True])
def test_every_parameter_is_used(task: str, head: str, skip: bool) -> None:
    schema = make_schema(task, targets=2)
    torch.manual_seed(0)
    tcn = {"name": "tcn", "hidden": 16, "levels": 2}
    mixers = ["conv", {"name": "lstm", "hidden": 6, "bidirectional": True}, tcn]
    network = Stack(schema, Stack.Config(mixers=mixers, head=head, skip=skip, width=7), outputs=3)
    perturb(network)
    network(make_batch(schema)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["lstm", "tcn", "transformer"])
def test_without_an_embedding_the_mixer_reads_the_inputs_as_they_are(task: str, kind: str) -> None:
    schema = make_schema(task)
    batch = make_batch(schema)
    torch.manual_seed(0)
    network = NETWORKS.get(kind)
    built = network(schema, network.Config(embedding="none", hidden=8))
    inputs = built.embedding(batch)
    categories = inputs.shape[-1] - len(schema.real)
    assert categories == sum(embedding_width(size) for size in schema.category_size) > 0
    used = batch.used()[:, :, None]
    torch.testing.assert_close(inputs[..., : len(schema.real)], batch.real.masked_fill(~used, 0.0))
    built(batch).square().mean().backward()
    assert all(parameter.grad is not None for parameter in built.mixers.parameters())


@pytest.mark.parametrize("skip", [False, True])
def test_rows_that_nobody_wants_are_left_out(skip: bool) -> None:
    schema = make_schema("sequence")
    torch.manual_seed(0)
    tcn = {"name": "tcn", "hidden": 6, "levels": 3}
    network = Stack(schema, Stack.Config(mixers=["conv", tcn], skip=skip, width=7), outputs=2)
    perturb(network)
    whole = make_batch(schema, even=True)
    last = torch.arange(whole.rows) == whole.rows - 1
    asked, weight = whole.asked & last, whole.weight * last
    one = whole._replace(asked=asked, weight=weight)
    every, alone = network(whole), network(one)
    torch.testing.assert_close(alone[:, -1], every[:, -1])
    assert not alone[:, :-1].any()
    assert every[:, :-1].any(), "otherwise the line above says nothing"
    for other in (
        one._replace(weight=weight + 0.1),  # rows that are not judged, but learnt
        one._replace(length=whole.length - (torch.arange(len(whole.length)) == 0).long()),
        one._replace(asked=whole.asked),
    ):
        torch.testing.assert_close(network(other)[1:], every[1:])


def test_nothing_to_read_without_an_embedding() -> None:
    schema = make_schema()._replace(real=(), real_role=(), category=(), category_size=())
    with pytest.raises(InputError, match="embedding=none: the rows have no input column; expected embedd"):
        Stack(schema, Stack.Config(embedding="none"))


@pytest.mark.parametrize("embedding", ["linear", "none"])
def test_not_even_nan_in_padding_reaches_a_weight(embedding: str) -> None:
    schema = make_schema()
    batch = make_batch(schema)
    used = batch.used()[:, :, None]
    torch.manual_seed(0)
    network = Stack(schema, Stack.Config(mixers=["conv", "lstm", "tcn"], embedding=embedding))
    gradients = []
    for filling in (0.0, float("nan"), float("inf")):
        network.zero_grad()
        network(batch._replace(real=torch.where(used, batch.real, filling))).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=0, atol=0)


def test_causal_if_all_mixers_are() -> None:
    schema = make_schema()
    for mixers, causal in [
        (["lstm", {"name": "tcn"}], True),
        (["lstm", {"name": "tcn", "causal": False}], False),
        ([{"name": "gru", "bidirectional": True}], False),
    ]:
        assert Stack(schema, Stack.Config(mixers=mixers)).is_causal() is causal


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden": 3}, "member.lstm: unknown setting 'hiden'; did you mean 'hidden'"),
        (
            {"hidden": "many"},
            "member.lstm.hidden: Value 'many' of type 'str' could not be converted to Integer",
        ),
        ({"head": "mpl"}, "unknown head 'mpl'; did you mean 'mlp'"),
        ({"add_last": "first"}, "unknown add_last 'first'"),
        ({"embedding": "nnoe"}, "unknown embedding 'nnoe'; did you mean 'none'"),
        ({"embedding": "none", "width": 4}, "width=4: embedding=none takes no width; expected width=0"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LSTMNetwork(make_schema(), make_settings(LSTMNetwork.Config, settings, "member.lstm"))


@pytest.mark.parametrize(
    ("mixers", "message"),
    [
        ([], "the list is empty"),
        (["lstn"], r"mixers: unknown mixer 'lstn'; did you mean 'lstm'"),
        (["conv", "lstn"], r"mixers\[1\]: unknown mixer 'lstn'"),
        ([{"hidden": 3}], r"mixers\[0\]: .* is not the name of a mixer"),
        (["conv", {"name": "lstm", "hiden": 3}], r"mixers\[1\].lstm: unknown setting 'hiden'"),
    ],
)
def test_bad_mixers_are_refused_by_place(mixers: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Stack(make_schema(), Stack.Config(mixers=mixers))


def test_settings_are_frozen() -> None:
    config = make_settings(LSTMNetwork.Config, {"hidden": 3}, "member.lstm")
    assert config == LSTMNetwork.Config(hidden=3)
    with pytest.raises(AttributeError):
        config.hidden = 4  # type: ignore[misc]


@pytest.mark.parametrize("unjudged", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["last", "seasonal"])
def test_naive_forecast_row_by_row(kind: str, unjudged: float) -> None:
    """The newest row of the phase that counts; without one the newest of all, and then 0."""
    schema = make_schema(context=8, horizon=7, targets=2, seasonality=(3,))
    batch = make_batch(schema, windows=30, unjudged=unjudged)
    forecast = Naive(schema, kind)(batch).numpy()
    past = batch.real[:, :, schema.reals("past_target")].numpy()
    counted, fallbacks = batch.counted_past().numpy(), 0
    for window, origin in enumerate(batch.origin.tolist()):
        for row in range(schema.length):
            expected = np.zeros(2)
            if row >= origin:
                season = 1 if kind == "last" else 3
                source = row
                while source >= 0 and not counted[window, source]:
                    source -= season
                fallbacks += source < 0
                if source < 0 and counted[window].any():
                    source = int(np.flatnonzero(counted[window])[-1])
                expected = past[window, source] if source >= 0 else expected
            np.testing.assert_array_equal(forecast[window, row], expected)
    assert fallbacks or kind == "last"


@pytest.mark.parametrize("kind", ["last", "seasonal"])
def test_naive_forecast_reads_no_row_that_does_not_count(kind: str) -> None:
    schema = make_schema()
    batch = make_batch(schema, windows=30, unjudged=0.4)
    naive = Naive(schema, kind)
    assert torch.equal(naive(with_other_unjudged(batch, schema)), naive(batch))


def test_add_last_is_added_to_every_output_of_its_target() -> None:
    schema = make_schema(targets=2)
    batch = make_batch(schema)
    config = {"hidden": 4, "static_width": 4}
    torch.manual_seed(0)
    plain = LSTMNetwork(schema, LSTMNetwork.Config(**config), outputs=3).eval()
    added = LSTMNetwork(schema, LSTMNetwork.Config(**config, add_last="seasonal"), outputs=3).eval()
    added.load_state_dict(plain.state_dict())
    difference = (added(batch) - plain(batch)).unflatten(-1, (2, 3))
    expected = (Naive(schema, "seasonal")(batch) * batch.used()[:, :, None])[..., None].expand(-1, -1, -1, 3)
    torch.testing.assert_close(difference, expected)


def test_add_last_needs_a_history() -> None:
    with pytest.raises(InputError, match="only horizon tasks"):
        LSTMNetwork(make_schema("sequence"), LSTMNetwork.Config(add_last="last"))


@pytest.mark.parametrize("name", NETWORKS.names())
def test_what_is_searched_can_be_built(name: str) -> None:
    kind = NETWORKS.get(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        settings = kind.search(study.ask())
        kind(make_schema(), make_settings(kind.Config, settings, f"member.{name}"))
