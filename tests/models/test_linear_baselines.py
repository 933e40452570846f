"""NLinear and DLinear against their formulas, window by window; short histories; maps of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.forecaster import make_forecaster
from models.layers.direct_forecast import DirectForecast
from models.networks.linear_baselines import DLinear, HorizonMap, NLinear, decompose, fill_front
from models.networks.patch_transformer import PatchTransformer
from models.networks.seasonal_linear import SeasonalLinear
from tests.batches import make_batch, make_schema, perturb, with_other_unjudged

CONTEXT, HORIZON, TARGETS, OUTPUTS = 9, 5, 2, 3

#: They take the level of a series from its own past.
LEVELLED = (NLinear, SeasonalLinear, PatchTransformer)


def build(kind: type[DirectForecast], **settings: Any) -> tuple[DirectForecast, InputSchema]:
    schema = make_schema(context=CONTEXT, horizon=HORIZON, targets=TARGETS)
    torch.manual_seed(0)
    network = kind(schema, kind.Config(**{"covariates": False, **settings}), OUTPUTS)
    perturb(network)
    return network.eval(), schema


def histories(batch: SequenceBatch, schema: InputSchema) -> list[np.ndarray]:
    """Each window's own past targets (rows, K), without any padding."""
    past = batch.real[:, :, schema.reals("past_target")].numpy()
    return [past[window, :origin] for window, origin in enumerate(batch.origin.tolist())]


def weights(part: HorizonMap, target: int) -> tuple[np.ndarray, np.ndarray]:
    """(C, H, P) and (H, P)."""
    index = target if len(part.weight) > 1 else 0
    weight = part.weight[index].detach().numpy().reshape(CONTEXT, HORIZON, OUTPUTS)
    return weight, part.bias[index].detach().numpy().reshape(HORIZON, OUTPUTS)


def compare(batch: SequenceBatch, output: Tensor, expected: list[np.ndarray]) -> None:
    """expected: for each window (H, K, P); asked rows are compared, all others must be 0."""
    found = output.detach().unflatten(-1, (TARGETS, OUTPUTS)).numpy()
    for window, (origin, end) in enumerate(zip(batch.origin.tolist(), batch.length.tolist(), strict=True)):
        np.testing.assert_allclose(
            found[window, origin:end], expected[window][: end - origin], rtol=1e-4, atol=1e-4
        )
        assert (found[window, :origin] == 0).all()
        assert (found[window, end:] == 0).all()


@pytest.mark.parametrize("individual", ["none", "target"])
@pytest.mark.parametrize("level_outputs", [1, OUTPUTS])
def test_nlinear_is_its_formula(individual: str, level_outputs: int) -> None:
    """y = W (x - last) + b + last, with the last columns of W where the history is short."""
    network, schema = build(NLinear, individual=individual)
    network.level_outputs = level_outputs
    batch = make_batch(schema, windows=12)
    assert len(set(batch.origin.tolist())) > 3
    expected = []
    for history in histories(batch, schema):
        value = np.zeros((HORIZON, TARGETS, OUTPUTS))
        for target in range(TARGETS):
            weight, bias = weights(network.map, target)  # type: ignore[arg-type]
            x = history[:, target]
            own = np.einsum("c,chp->hp", x - x[-1], weight[CONTEXT - len(x) :]) + bias
            own[:, :level_outputs] += x[-1]
            value[:, target] = own
        expected.append(value)
    compare(batch, network(batch), expected)


def test_nlinear_starts_from_the_last_row_that_counts() -> None:
    """The formula, where rows that are missing or not judged stand at x_C and are never x_C themselves."""
    network, schema = build(NLinear)
    network.level_outputs = 1
    batch = make_batch(schema, windows=30, unjudged=0.5)
    assert batch.counted is not None
    expected, skipped, empty = [], 0, 0
    for window, history in enumerate(histories(batch, schema)):
        counted = batch.counted[window, : len(history)].numpy()
        skipped += int(counted.any() and not counted[-1])
        empty += int(not counted.any())
        value = np.zeros((HORIZON, TARGETS, OUTPUTS))
        for target in range(TARGETS):
            weight, bias = weights(network.map, target)  # type: ignore[arg-type]
            x = history[:, target]
            last = x[counted][-1] if counted.any() else 0.0
            change = np.where(counted, x - last, 0.0)
            value[:, target] = np.einsum("c,chp->hp", change, weight[CONTEXT - len(x) :]) + bias
            value[:, target, 0] += last
        expected.append(value)
    assert skipped
    assert empty
    compare(batch, network(batch), expected)


@pytest.mark.parametrize("kind", LEVELLED)
def test_rows_that_do_not_count_change_no_forecast(kind: type[DirectForecast]) -> None:
    """A closed day is log1p(0), some -30 deviations; a missing row is a 0 that says nothing."""
    network, schema = build(kind)
    batch = make_batch(schema, windows=30, unjudged=0.4)
    other = with_other_unjudged(batch, schema)
    torch.testing.assert_close(network(other), network(batch), rtol=0, atol=0)
    assert not torch.allclose(network(other._replace(counted=None)), network(batch))


@pytest.mark.parametrize("kind", LEVELLED)
def test_a_closed_day_before_the_origin_moves_no_level(kind: type[DirectForecast]) -> None:
    """At the start of training: an open shop sells 2, and was closed on the last day and once a week."""
    schema = make_schema(context=CONTEXT, horizon=HORIZON)
    torch.manual_seed(0)
    network = kind(schema, kind.Config(covariates=False)).eval()
    batch = make_batch(schema, even=True)
    closed = (torch.arange(schema.length) % 7 == (CONTEXT - 1) % 7).expand(len(batch.length), -1)
    real = batch.real.clone()
    real[:, :, schema.reals("past_target")] = torch.where(closed, -30.0, 2.0)[:, :, None]
    real = real * batch.past()[:, :, None]
    forecast = network(batch._replace(real=real, counted=batch.past() & ~closed))[batch.asked]
    torch.testing.assert_close(forecast, torch.full_like(forecast, 2.0), rtol=0, atol=0.02)


@pytest.mark.parametrize("kind", LEVELLED)
def test_a_history_that_all_counts_gives_what_it_gave(kind: type[DirectForecast]) -> None:
    network, schema = build(kind)
    batch = make_batch(schema, windows=12)
    told = network(batch._replace(counted=batch.past()))
    torch.testing.assert_close(told, network(batch), rtol=0, atol=0)
    # What a batch says of rows that are not past is not looked at.
    everywhere = network(batch._replace(counted=torch.ones_like(batch.asked)))
    torch.testing.assert_close(everywhere, told, rtol=0, atol=0)


def moved(batch: SequenceBatch, schema: InputSchema, by: float) -> SequenceBatch:
    """The same windows with another level of the past targets."""
    real = batch.real.clone()
    columns = schema.reals("past_target")
    real[:, :, columns] = torch.where(batch.past()[:, :, None], real[:, :, columns] + by, 0.0)
    return batch._replace(real=real)


@pytest.mark.parametrize("period", [1, 2, 3, 4, 1000])
def test_seasonal_linear_is_its_equations(period: int) -> None:
    """Each phase's past seasons times one matrix, after x + conv(x), all of it around the window's mean."""
    network, schema = build(SeasonalLinear, period=period)
    assert isinstance(network, SeasonalLinear)
    network.level_outputs = 1
    season = min(period, CONTEXT)
    kernel = network.smooth.weight.detach().numpy().reshape(-1).astype(np.float64)
    matrix = network.map.weight.detach().numpy().astype(np.float64)  # (ahead * P, seasons)
    seasons, reach = CONTEXT // season, season // 2
    batch = make_batch(schema, windows=12)
    expected = []
    for history in histories(batch, schema):
        forecast = np.zeros((HORIZON, TARGETS, OUTPUTS))
        for target in range(TARGETS):
            x = history[-CONTEXT:, target].astype(np.float64)
            mean = x.mean() if len(x) else 0.0
            padded = np.concatenate([np.zeros(CONTEXT - len(x) + reach), x - mean, np.zeros(reach)])
            smooth = [
                padded[reach + row] + sum(kernel[j] * padded[row + j] for j in range(2 * reach + 1))
                for row in range(CONTEXT)
            ]
            for step in range(HORIZON):
                block, phase = divmod(step, season)
                past = [smooth[CONTEXT - (seasons - j) * season + phase] for j in range(seasons)]
                for output in range(OUTPUTS):
                    forecast[step, target, output] = matrix[block * OUTPUTS + output] @ past
                forecast[step, target, 0] += mean
        expected.append(forecast)
    compare(batch, network(batch), expected)


def test_nlinear_follows_the_level() -> None:
    network, schema = build(NLinear)
    batch = make_batch(schema)
    shift = network(moved(batch, schema, 7.0)) - network(batch)
    torch.testing.assert_close(shift[batch.asked], torch.full_like(shift[batch.asked], 7.0))


def plain_average(x: np.ndarray, kernel: int) -> np.ndarray:
    """Row by row: the mean of the rows within reach, where the first and last stand for what is beyond."""
    reach = (kernel - 1) // 2
    rows = len(x)
    return np.array(
        [
            np.mean([x[min(max(row + offset, 0), rows - 1)] for offset in range(-reach, reach + 1)])
            for row in range(rows)
        ]
    )


@pytest.mark.parametrize("kernel", [1, 5, 25])
def test_dlinear_is_its_formula(kernel: int) -> None:
    """y = W_t trend + W_s remainder + b, where a short history stands at its first value before it."""
    network, schema = build(DLinear, kernel=kernel)
    batch = make_batch(schema, windows=12)
    expected = []
    for history in histories(batch, schema):
        value = np.zeros((HORIZON, TARGETS, OUTPUTS))
        for target in range(TARGETS):
            x = np.concatenate([np.full(CONTEXT - len(history), history[0, target]), history[:, target]])
            trend = plain_average(x, kernel)
            for part, values in ((network.trend, trend), (network.season, x - trend)):
                weight, bias = weights(part, target)  # type: ignore[arg-type]
                value[:, target] += np.einsum("c,chp->hp", values, weight) + bias
        expected.append(value)
    compare(batch, network(batch), expected)


def test_a_straight_line_is_all_trend_where_the_ends_do_not_matter() -> None:
    line = torch.arange(60.0)[None, :, None]
    trend, season = decompose(line, 25)
    torch.testing.assert_close(trend[:, 12:-12], line[:, 12:-12])
    torch.testing.assert_close(trend + season, line)
    assert season[0, 0, 0] < 0 < season[0, -1, 0]


def test_front_is_filled_with_the_first_value() -> None:
    past = torch.tensor([[0.0, 0.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]])[:, :, None]
    there = torch.tensor([[False, False, True, True], [True] * 4, [False] * 4])
    filled = fill_front(past, there)[:, :, 0].tolist()
    assert filled == [[3.0, 3.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [0.0] * 4]


def test_series_have_maps_of_their_own_and_strangers_the_shared_one() -> None:
    schema = make_schema(context=CONTEXT, horizon=HORIZON)
    torch.manual_seed(0)
    part = HorizonMap(schema, HORIZON, "series")
    past = torch.randn(3, CONTEXT, 1)
    series = torch.tensor([-1, 0, 4])
    shared = torch.einsum("bc,co->bo", past[:, :, 0], part.weight[0]) + part.bias
    torch.testing.assert_close(part(past, series)[:, 0], shared)  # all start from the shared one
    assert part.own is not None
    perturb(part.own)
    own = part.own.weight.unflatten(-1, (CONTEXT, HORIZON))
    found = part(past, series)[:, 0]
    torch.testing.assert_close(found[0], shared[0])
    torch.testing.assert_close(found[1], shared[1] + past[1, :, 0] @ own[0])
    torch.testing.assert_close(found[2], shared[2] + past[2, :, 0] @ own[4])


@pytest.mark.parametrize("individual", ["none", "target", "series"])
@pytest.mark.parametrize("kind", [NLinear, DLinear])
def test_training_starts_at_the_mean_of_the_past(kind: type[DirectForecast], individual: str) -> None:
    """Of a full context; DLinear's repeated ends move it a little unless kernel is 1."""
    schema = make_schema(context=CONTEXT, horizon=HORIZON, targets=TARGETS)
    settings: dict[str, Any] = {"kernel": 1} if kind is DLinear else {}
    network = kind(schema, kind.Config(individual=individual, **settings)).eval()
    batch = make_batch(schema, even=True)
    expected = batch.real[:, :CONTEXT, schema.reals("past_target")].mean(1)
    found = network(batch)[:, CONTEXT:]
    torch.testing.assert_close(found, expected[:, None].expand_as(found))


@pytest.mark.parametrize("kind", [NLinear, DLinear])
def test_training_starts_from_the_paper_s_model(kind: type[DirectForecast]) -> None:
    """Covariates and static metadata start at zero, and without them nothing but the past is read."""
    schema = make_schema()
    batch = make_batch(schema)
    torch.manual_seed(0)
    plain = kind(schema, kind.Config(covariates=False)).eval()
    torch.manual_seed(0)
    full = kind(schema, kind.Config()).eval()
    missing, _ = full.load_state_dict(plain.state_dict(), strict=False)
    assert missing
    torch.testing.assert_close(full(batch), plain(batch), rtol=0, atol=0)
    other = make_batch(schema, seed=5)
    past = schema.reals("past_target")
    real = other.real.clone()
    real[:, :, past] = batch.real[:, :, past]
    changed = batch._replace(real=real, category=other.category, static_real=other.static_real)
    torch.testing.assert_close(plain(changed), plain(batch), rtol=0, atol=0)
    perturb(full)
    assert not torch.allclose(full(changed), full(batch))


def test_nlinear_learns_a_season_exactly() -> None:
    """Hours of a day at any level: x_t = x_{t-24} is linear, so the error can fall to nothing."""
    context, horizon, rows = 48, 12, 400
    schema = make_schema(
        context=context, horizon=horizon, known=0, categories=(), static_real=0, static_categories=()
    )
    step = torch.arange(rows)
    series = torch.sin(2 * torch.pi * step / 24) + 0.5 * torch.cos(4 * torch.pi * step / 24) + 3.0
    starts = torch.arange(0, rows - context - horizon)
    index = starts[:, None] + torch.arange(context + horizon)
    batch = make_batch(schema, windows=len(starts), even=True)
    (past,) = schema.reals("past_target")
    real = torch.zeros_like(batch.real)
    real[:, :context, past] = series[index[:, :context]]
    batch = batch._replace(real=real)
    torch.manual_seed(0)
    network = NLinear(schema, NLinear.Config(covariates=False))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(400):
        optimizer.zero_grad()
        loss = (network(batch)[:, context:, 0] - series[index[:, context:]]).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 1e-4 * series.var()


def test_not_for_sequence_tasks() -> None:
    for name in ("nlinear", "dlinear", "seasonal_linear", "patch_transformer"):
        with pytest.raises(InputError, match=f"member.{name}: made for horizon tasks, this is a sequence"):
            make_forecaster(name, None, make_schema("sequence"))


def test_impossible_settings() -> None:
    with pytest.raises(InputError, match="kernel: 24; expected an odd number"):
        DLinear(make_schema(), DLinear.Config(kernel=24))
    with pytest.raises(InputError, match="unknown individual 'serie'; did you mean 'series'"):
        NLinear(make_schema(), NLinear.Config(individual="serie"))
