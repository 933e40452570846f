"""es_rnn: its smoothing on values of all sorts, and the dilated LSTM behind it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.mixers.dilated_lstm import DilatedLSTM
from models.networks.es_rnn import ESRNN, growth
from tests.batches import make_batch, make_schema

CONTEXT, HORIZON, PERIOD = 24, 8, 4


def schema_of(**changes: Any) -> InputSchema:
    return make_schema(context=CONTEXT, horizon=HORIZON, seasonality=(PERIOD,), **changes)


def network_of(schema: InputSchema, outputs: int = 1, **settings: Any) -> ESRNN:
    torch.manual_seed(0)
    return ESRNN(schema, ESRNN.Config(hidden=6, static_width=6, **settings), outputs).eval()


def trained(network: ESRNN) -> ESRNN:
    """The network with a last layer that is not at its start."""
    last: Any = network.stack.head[-1]
    nn.init.normal_(last.weight, std=0.3)
    return network


def with_history(schema: InputSchema, series: Tensor) -> SequenceBatch:
    """Full windows, unscaled, with `series` (B, CONTEXT) as the history of the first target."""
    batch = make_batch(schema, windows=len(series), even=True)
    real = batch.real.clone()
    real[:, :CONTEXT, schema.reals("past_target")[0]] = series
    return batch._replace(
        real=real, location=torch.zeros_like(batch.location), scale=torch.ones_like(batch.scale)
    )


def seasonal_series(rows: int = CONTEXT) -> Tensor:
    """(1, rows) a level of 100 times a season."""
    return 100.0 * torch.tensor([0.5, 1.0, 1.7, 0.8]).repeat(rows // PERIOD)[None, :rows]


class TestUntrained:
    """The last layer starts at zero: what comes out is the forecast of the smoothing."""

    def test_it_repeats_a_season_without_noise(self) -> None:
        schema = schema_of()
        network = network_of(schema)
        nn.init.constant_(network.smoothing.shared, 2.0)  # all coefficients near 1: it trusts what it sees
        output = network(with_history(schema, seasonal_series()))
        expected = seasonal_series(CONTEXT + HORIZON)[:, CONTEXT:]
        torch.testing.assert_close(output[:, CONTEXT:, 0], expected, rtol=1e-3, atol=0.0)
        assert (output[:, : CONTEXT - network.lookback] == 0).all()

    @pytest.mark.parametrize(
        ("kind", "factor", "added"), [("multiplicative", 1e4, 0.0), ("additive", 1.0, 1e3)]
    )
    def test_level_and_scale_do_not_matter(self, kind: str, factor: float, added: float) -> None:
        """For the whole network, not for the smoothing alone: with weights that are not at their start."""
        schema = schema_of()
        network = trained(network_of(schema, seasonality_kind=kind))
        series = seasonal_series() + torch.randn(1, CONTEXT, generator=torch.Generator().manual_seed(0))
        batch = with_history(schema, series)
        other = with_history(schema, factor * series + added)
        torch.testing.assert_close(
            network(other)[:, CONTEXT:], factor * network(batch)[:, CONTEXT:] + added, rtol=1e-3, atol=0.1
        )

    def test_the_scaling_of_windows_does_not_matter(self) -> None:
        schema = schema_of()
        network = trained(network_of(schema))
        batch = with_history(schema, seasonal_series())
        location, scale = torch.full_like(batch.location, 70.0), torch.full_like(batch.scale, 30.0)
        real = batch.real.clone()
        column = schema.reals("past_target")[0]
        real[:, :CONTEXT, column] = (real[:, :CONTEXT, column] - 70.0) / 30.0
        scaled = network(batch._replace(real=real, location=location, scale=scale))
        torch.testing.assert_close(
            30.0 * scaled[:, CONTEXT:] + 70.0, network(batch)[:, CONTEXT:], rtol=1e-4, atol=1e-2
        )

    @pytest.mark.parametrize("kind", ["multiplicative", "additive"])
    @pytest.mark.parametrize("mark", ["missing", "zero"])
    def test_missing_values_and_zeros_teach_nothing(self, kind: str, mark: str) -> None:
        schema = schema_of(known=3)
        if mark == "missing":
            schema = schema._replace(real=("missing.anything", *schema.real[1:]))
        network = network_of(schema, seasonality_kind=kind)
        gap = torch.zeros(1, CONTEXT).bool()
        gap[0, [3, 9, 10, CONTEXT - 1]] = True
        outputs = []
        for hidden in (0.0, 5.0):  # what would stand there, were it known, changes nothing
            batch = with_history(schema, seasonal_series().masked_fill(gap, 0.0))
            location = hidden * torch.ones_like(batch.location) if mark == "missing" else batch.location
            real = batch.real.clone()
            real[:, :, 0] = 0.0
            if mark == "missing":
                real[:, :CONTEXT, 0] = gap.float()
                shown = real[:, :CONTEXT, schema.reals("past_target")[0]]
                shown -= torch.where(gap, 0.0, hidden)
            outputs.append(network(batch._replace(real=real, location=location)) + location[:, None])
        first, second = (output[:, CONTEXT:, 0] for output in outputs)
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-3)
        expected = seasonal_series(CONTEXT + HORIZON)[:, CONTEXT:]
        torch.testing.assert_close(first, expected, rtol=0.5, atol=30.0)
        assert (first > 20.0).all()

    def test_zeros_count_where_they_are_wanted(self) -> None:
        schema = schema_of()
        series = seasonal_series()
        series[0, 1::2] = 0.0
        without = network_of(schema)(with_history(schema, series))[0, CONTEXT:]
        taken = network_of(schema, zeros=True)(with_history(schema, series))[0, CONTEXT:]
        assert taken.mean() < 0.8 * without.mean()

    def test_values_that_are_not_positive(self) -> None:
        """Below zero, around zero, all alike, nothing but zeros: lifted, smoothed, let down again."""
        schema = schema_of()
        wave = seasonal_series() / 100.0
        series = torch.cat([wave - 5.0, wave - 1.0, torch.ones_like(wave), torch.zeros_like(wave)])
        network = network_of(schema)
        nn.init.constant_(network.smoothing.shared, 2.0)
        output = network(with_history(schema, series))[:, CONTEXT:, 0]
        expected = seasonal_series(CONTEXT + HORIZON)[:, CONTEXT:] / 100.0
        torch.testing.assert_close(output[:1], expected - 5.0, rtol=0.0, atol=0.02)
        torch.testing.assert_close(output[1:2], expected - 1.0, rtol=0.0, atol=0.02)
        torch.testing.assert_close(output[2], torch.ones(HORIZON), rtol=1e-3, atol=0.0)
        assert output[3].isfinite().all()

    def test_only_outputs_in_the_target_s_units_have_a_level(self) -> None:
        schema = schema_of(targets=2)
        network = network_of(schema, outputs=3)
        network.level_outputs = 2
        output = network(make_batch(schema, even=True))[:, CONTEXT:].unflatten(-1, (2, 3))
        assert (output[..., 2] == 0).all()
        torch.testing.assert_close(output[..., 0], output[..., 1])
        assert (output[..., 0] != 0).all()

    def test_every_target_has_a_smoothing_of_its_own(self) -> None:
        both, one = schema_of(targets=2), schema_of(targets=1)
        batch = with_history(both, seasonal_series())
        first = network_of(both)(batch)[:, CONTEXT:, :1]
        alone = with_history(one, seasonal_series())
        torch.testing.assert_close(first, network_of(one)(alone)[:, CONTEXT:])


def test_coefficients_are_shared_until_a_series_has_its_own() -> None:
    smoothing = network_of(schema_of()).smoothing
    series = torch.tensor([-1, 0, 1])
    nn.init.constant_(smoothing.shared, 0.1)
    before = smoothing.coefficients(series)
    assert before.shape == (3, 3)  # rate of the level, rate of the season, trust
    torch.testing.assert_close(before[0], before[1])
    with torch.no_grad():
        smoothing.own.weight[0] = 0.3
    after = smoothing.coefficients(series)
    assert (after[1] > before[1]).all()
    torch.testing.assert_close(after[[0, 2]], before[[0, 2]])


def test_a_logarithm_makes_it_additive() -> None:
    assert network_of(schema_of()).kind.multiplicative
    assert not network_of(schema_of(target_transform="log1p")).kind.multiplicative
    chosen = network_of(schema_of(target_transform="log1p"), seasonality_kind="multiplicative")
    assert chosen.kind.multiplicative


def test_periods_are_those_that_the_context_holds_twice() -> None:
    schema = schema_of()._replace(seasonality=(4, 12, 13))
    assert network_of(schema).periods == (4, 12)
    assert network_of(schema, periods=[13, 6]).periods == (6, 13)
    assert network_of(schema._replace(seasonality=())).periods == ()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"periods": [25]}, "periods: found 25, expected 2 to the 24 rows"),
        ({"seasonality_kind": "multiplicativ"}, "multiplicative"),
        ({"rounds": -1}, "rounds"),
        ({"floor": 0.0}, "floor"),
        ({"dilations": [[1], []]}, "dilations"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        network_of(schema_of(), **settings)


def test_growth_is_the_exponential_with_tangents() -> None:
    x = torch.tensor([-9.0, -3.0, -0.9, 0.0, 1.0, 2.9, 5.0, 200.0], requires_grad=True)
    y = growth(x)
    torch.testing.assert_close(y[2:6], x[2:6].exp())
    assert y[0] < 0
    assert y.isfinite().all()
    assert (y.diff() > 0).all()
    y.sum().backward()
    slope = x.detach().clamp(-1.0, 3.0).exp()
    torch.testing.assert_close(x.grad, slope)


@pytest.mark.parametrize("dilation", [1, 3, 20])
def test_a_dilated_layer_reads_its_state_from_so_many_rows_back(dilation: int) -> None:
    """Against a loop over LSTMCell with a list of states; the initial state starts each chain."""
    torch.manual_seed(0)
    windows, rows, width = 2, 11, 5
    mixer = DilatedLSTM(width, DilatedLSTM.Config(hidden=width, dilations=[[dilation], [dilation]]))
    hidden = torch.randn(windows, rows, width)
    state = [torch.randn(windows, *shape) for shape in mixer.state_shapes()]
    expected = hidden
    layers: Any = mixer.layers
    for index, layer in enumerate(layers):
        fused = layer.blocks[0]
        cell = nn.LSTMCell(width, width)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data = getattr(fused, f"{name}_l0").data
        states: list[tuple[Tensor, Tensor]] = []
        for row in range(rows):
            before = states[row - dilation] if row >= dilation else (state[2 * index], state[2 * index + 1])
            states.append(cell(expected[:, row], before))
        expected = expected + torch.stack([h for h, _ in states], dim=1)
    found = mixer(hidden, torch.full((windows,), rows), state)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
