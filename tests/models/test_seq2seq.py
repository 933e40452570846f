"""seq2seq_attention: against a plain loop over rows and layers, and whether attention finds what it needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.forecaster import make_forecaster
from models.interpretation import Looked
from models.layers.bidirectional_encoder import BidirectionalEncoder
from models.layers.naive import Naive
from models.layers.source_attention import SourceAttention
from models.networks.seq2seq_attention import Seq2SeqAttention
from tests.batches import TASKS, make_batch, make_schema, perturb

SMALL = Seq2SeqAttention.Config(hidden=5, layers=3, dropout=0.0, static_width=6)


def made(schema: InputSchema, config: Any = SMALL, outputs: int = 1) -> Seq2SeqAttention:
    torch.manual_seed(0)
    network = Seq2SeqAttention(schema, config, outputs)
    perturb(network)
    return network.eval()


def plain_attention(attention: Any, query: Tensor, memory: Tensor) -> Tensor:
    """One row's context (.) by loops over the memory (M, .)."""
    score = []
    for row in memory:
        if attention.additive:
            score.append(attention.energy(torch.tanh(attention.query(query) + attention.key(row)))[0])
        else:
            key = attention.key(row)
            score.append(attention.query(query) @ key / len(key) ** 0.5)
    weight = torch.stack(score).softmax(0)
    return (weight[:, None] * memory).sum(0)


def one_row(layer: Any, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    mixed, states = layer.carry(inputs[None, None], torch.tensor([1]), states)
    return mixed[0, 0], states


def plain(network: Any, batch: SequenceBatch, window: int) -> Tensor:
    """(asked rows, K * P) of one window: cut to its rows, row by row, layer by layer."""
    config, schema = network.config, network.schema
    batch = batch.select(torch.tensor([window]))
    origin, length = int(batch.origin[0]), int(batch.length[0])
    (initial, *own), (added, *_) = network.static_state(batch)
    embedded = network.embedding(batch)
    embedded = (embedded if added is None else embedded + added)[0]
    read = origin if schema.context else length
    kinds = network.encoder.kinds
    initial = initial or [torch.zeros(1, config.hidden)] * len(network.encoder.state_shapes())
    bottom = network.encoder.bottom(embedded[None, :read], torch.tensor([read]), initial[: 2 * kinds])[0]
    ends = torch.cat([bottom[-1, : config.hidden], bottom[0, config.hidden :]])
    states = [list(network.encoder.bridge(ends)[None].chunk(kinds, dim=1))]
    memory = bottom
    for place in range(config.layers - 1):
        block = network.encoder.above.blocks[place]
        begin = [initial[(place + 2) * kinds + kind][None] for kind in range(kinds)]
        mixed, last = block(memory[None], tuple(begin) if kinds == 2 else begin[0])
        memory = mixed[0] + network.encoder.above.shortcuts[place](memory)
        states.append([kind[0] for kind in last] if kinds == 2 else [last[0]])
    for place, static in enumerate(own):
        if static is not None:
            states[place] = [state + more for state, more in zip(states[place], static, strict=True)]
    context = torch.zeros(memory.shape[1])
    past = schema.reals("past_target")
    value = batch.real[0, origin - 1, past] if past else torch.zeros(schema.targets)
    level = None if config.add_last == "none" else Naive(schema, config.add_last)(batch)
    outputs = []
    for row in range(origin, length):
        inputs = torch.cat([embedded[row], value, context]) if config.feed_back else embedded[row]
        hidden, states[0] = one_row(network.decoder[0], inputs, states[0])
        context = plain_attention(network.attention, hidden, memory)
        for place in range(1, config.layers):
            inputs = torch.cat([hidden, context])
            mixed, states[place] = one_row(network.decoder[place], inputs, states[place])
            hidden = hidden + mixed
        output = network.outlet(torch.cat([hidden, context, embedded[row]]))
        if level is not None:
            output = output + level[0, row].repeat_interleave(network.outputs)
        value = output.view(schema.targets, -1)[:, 0]
        outputs.append(output)
    return torch.stack(outputs)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("attention", ["dot", "additive"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"feed_back": True},
        {"layers": 1, "cell": "gru", "static_state": "both"},
        {"cell": "rnn", "feed_back": True, "static_state": "none"},
    ],
)
def test_equals_a_loop_over_rows_and_layers(task: str, attention: str, changes: dict[str, Any]) -> None:
    schema = make_schema(task, targets=2)
    more = {"add_last": "seasonal"} if task == "horizon" else {}
    network = made(schema, replace(SMALL, attention=attention, **changes, **more), outputs=2)
    batch = make_batch(schema)
    found = network(batch)
    for window in range(4):
        origin, length = int(batch.origin[window]), int(batch.length[window])
        expected = plain(network, batch, window)
        torch.testing.assert_close(found[window, origin:length], expected, rtol=1e-4, atol=1e-5)
        assert (found[window, :origin] == 0).all()
        assert (found[window, length:] == 0).all()


def test_the_encoder_ends_at_the_origin() -> None:
    """Known inputs of the horizon reach a row of it only through the decoder's rows up to it."""
    schema = make_schema()
    network = made(schema)
    batch = make_batch(schema, even=True)
    real = batch.real.clone()
    real[:, schema.context + 2 :] += 1.0
    before, after = network(batch), network(batch._replace(real=real))
    first = slice(schema.context, schema.context + 2)
    torch.testing.assert_close(after[:, first], before[:, first], rtol=0, atol=0)
    assert network.is_causal()
    assert not made(make_schema("sequence")).is_causal()


@pytest.mark.parametrize("feed_back", [False, True])
def test_windows_without_history(feed_back: bool) -> None:
    schema = make_schema()
    network = made(schema, replace(SMALL, feed_back=feed_back))
    batch = make_batch(schema, even=True)
    everywhere = torch.ones_like(batch.asked)
    none = batch._replace(origin=torch.zeros_like(batch.origin), asked=everywhere)
    some = none._replace(origin=torch.tensor([0, 4, 0, 9]))
    for other in (none, some):
        assert network(other).isfinite().all()
    torch.testing.assert_close(network(some)[[0, 2]], network(none)[[0, 2]], rtol=1e-4, atol=1e-5)
    network.train()
    network(some).square().sum().backward()
    assert all(
        parameter.grad.isfinite().all() for parameter in network.parameters() if parameter.grad is not None
    )


def test_feeding_back_reads_the_point_of_the_head() -> None:
    """Of the quantile head that is its median, not the first output."""
    schema = make_schema(quantile=(0.1, 0.5, 0.9))
    settings = {"hidden": 5, "feed_back": True, "dropout": 0.0}
    torch.manual_seed(0)
    forecaster = make_forecaster("seq2seq_attention", settings, schema).eval()
    network: Any = forecaster.network
    batch = make_batch(schema, even=True)
    read: list[Tensor] = []
    carry = network.decoder[0].carry

    def noted(inputs: Tensor, *more: Any) -> Any:
        read.append(inputs[:, 0, 5:6])  # behind the embedding
        return carry(inputs, *more)

    network.decoder[0].carry = noted
    point = forecaster.head.forecast(forecaster(batch))[:, schema.context :, :, 0]
    torch.testing.assert_close(torch.stack(read[1:], dim=1), point[:, :-1])
    past = batch.real[:, schema.context - 1, schema.reals("past_target")]
    torch.testing.assert_close(read[0], past)


@pytest.mark.parametrize("score", ["dot", "additive"])
def test_attention(score: str) -> None:
    torch.manual_seed(0)
    attention = SourceAttention(4, 6, 5, score)
    asking, memory = torch.randn(3, 2, 4), torch.randn(3, 7, 6)
    count = torch.tensor([7, 3, 0])
    seen = torch.arange(7) < count[:, None]
    context, weight = attention(asking, memory, attention.keys(memory), seen)
    torch.testing.assert_close(weight.sum(-1), (count > 0).float()[:, None].expand(3, 2))
    assert (weight.masked_select(~seen[:, None]) == 0).all()
    for window, rows in enumerate(count.tolist()):
        for row in range(2):
            expected = torch.zeros(6)
            if rows:
                expected = plain_attention(attention, asking[window, row], memory[window, :rows])
            torch.testing.assert_close(context[window, row], expected)


def test_encoder_hands_over_the_states_of_each_window() -> None:
    torch.manual_seed(0)
    encoder = BidirectionalEncoder(4, "lstm", 5, 3, 0.0, "cell").eval()
    hidden, length = torch.randn(3, 6, 4), torch.tensor([6, 2, 0])
    memory, states = encoder(hidden, length)
    assert (memory.shape, len(states)) == ((3, 6, 5), 6)
    for window, rows in enumerate(length.tolist()):
        if rows == 0:
            assert all((state[window] == 0).all() for state in states)
            continue
        alone, own = encoder(hidden[window : window + 1, :rows], length[window : window + 1])
        torch.testing.assert_close(memory[window, :rows], alone[0])
        torch.testing.assert_close([state[window] for state in states], [state[0] for state in own])


def marked(schema: InputSchema, windows: int, seed: int) -> tuple[SequenceBatch, Tensor]:
    """The horizon repeats the value of the one row of the past that a known input marks; and that row."""
    batch = make_batch(schema, windows, seed=seed, even=True)
    generator = torch.Generator().manual_seed(seed + 1000)
    row = torch.randint(0, schema.context, (windows,), generator=generator)
    value = torch.randn(windows, schema.length, generator=generator)
    real = torch.zeros_like(batch.real)
    real[torch.arange(windows), row, 0] = 1.0
    real[:, :, schema.reals("past_target")[0]] = value * batch.past()
    target = value.gather(1, row[:, None]).expand(-1, schema.length)[:, :, None]
    return batch._replace(real=real, target=target, weight=batch.asked.float()), row


def test_attention_finds_the_row_that_tells_and_says_so() -> None:
    schema = make_schema(
        context=10, horizon=2, known=1, categories=(), static_real=0, static_categories=(), seasonality=()
    )
    torch.manual_seed(0)
    settings = {"hidden": 16, "layers": 1, "dropout": 0.0}
    forecaster = make_forecaster("seq2seq_attention", settings, schema, hint="l2").train()
    optimizer = torch.optim.Adam(forecaster.parameters(), lr=1e-2)
    for seed in range(200):
        batch, _ = marked(schema, 128, seed)
        loss = forecaster.loss(forecaster(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # the variance of the target is 1
    batch, row = marked(schema, 200, 9000)
    network: Any = forecaster.eval().network
    looked = Looked()
    with torch.no_grad():
        _, weight = network._decoded(batch)
        network.interpret(batch, looked)
    # Bidirectional rows beside the mark know it too.
    near = (torch.arange(schema.context) - row[:, None]).abs() <= 1
    assert (weight * near[:, None]).sum(-1).mean() > 0.6
    found = looked.means()
    assert found is not None
    position = dict(zip(found.attention["position"].at, found.attention["position"].mean, strict=True))
    expected = weight.mean((0, 1))
    assert sorted(position) == list(range(-10, 0))
    for place in range(10):
        assert position[place - 10] == pytest.approx(float(expected[place]), abs=1e-5)
    lag = dict(zip(found.attention["lag"].at, found.attention["lag"].mean, strict=True))
    assert sorted(lag) == list(range(1, 12))
    assert lag[11] == pytest.approx(float(weight[:, 1, 0].mean()), abs=1e-5)  # row 11 looks at row 0


def test_settings_that_do_not_fit() -> None:
    schema = make_schema()
    for wrong, message in (
        ({"layers": 0}, "seq2seq_attention.layers: found 0"),
        ({"cell": "conv"}, "seq2seq_attention.cell: 'conv' cannot go on from row to row"),
        ({"cell": "lstmm"}, "'lstmm'; did you mean 'lstm'"),
        ({"attention": "dott"}, "unknown score 'dott'"),
        ({"add_last": "lst"}, "unknown add_last 'lst'"),
    ):
        with pytest.raises(InputError, match=message):
            made(schema, replace(SMALL, **wrong))  # type: ignore[arg-type]
