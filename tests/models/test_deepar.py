"""deepar: what a row reads, its paths against a plain loop, and its spread against a known process."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.forecaster import Forecaster, make_forecaster
from models.heads import HEADS
from models.layers.lagged_values import lagged, lags_of, last_known, season_of
from models.layers.window_generators import window_generators
from models.networks.deepar import SEED, DeepAR
from models.units import Units
from tests.batches import TASKS, make_batch, make_schema, perturb, with_garbage, with_other_unjudged
from tests.heads import SETTINGS

SMALL = DeepAR.Config(hidden=6, layers=2, dropout=0.0, paths=7, lags=[1, 3], static_width=6)
LEVELS = (0.1, 0.5, 0.9)


def made(schema: InputSchema, config: Any = SMALL, head: str = "auto") -> tuple[Forecaster, DeepAR]:
    torch.manual_seed(0)
    forecaster = make_forecaster(
        "deepar", asdict(config), schema, head=head, hint="l2", head_settings=SETTINGS.get(head)
    )
    perturb(forecaster)
    network = forecaster.network
    assert isinstance(network, DeepAR)
    return forecaster.eval(), network


@torch.no_grad()
def parameters_of_next(
    forecaster: Forecaster, batch: SequenceBatch, window: int, row: int, value: Tensor
) -> Tensor:
    """(1, 1, K, .) of one row given scaled values (row, K) before it: everything anew, row by row."""
    network: Any = forecaster.network
    alone = batch.select(torch.tensor([window]))
    (states,), (added,) = network.static_state(alone)
    embedded = network.inputs.embedded(alone)
    for t in range(row + 1):
        before = [value[t - lag] if t >= lag else torch.zeros(value.shape[1]) for lag in network.inputs.lags]
        there = torch.tensor([float(t >= lag) for lag in network.inputs.lags])
        inputs = torch.cat([embedded[0, t], *before, there])[None, None]
        if added is not None:
            inputs = inputs + added
        hidden, states = network.mixer.carry(inputs, torch.tensor([1]), states)
    output = network.outlet(torch.cat([hidden, inputs], dim=-1) if network.config.skip else hidden)
    if network.config.add_last != "none" and row:
        season = network.schema.seasonality[0] if network.config.add_last == "seasonal" else 1
        level = value[row - season if row >= season else row - 1]
        output.unflatten(-1, (len(level), -1))[..., : network.level_outputs] += level[:, None]
    parameters: Tensor = forecaster.head(output, Units.of(alone, network.schema))
    return parameters


def past_of(batch: SequenceBatch, schema: InputSchema, window: int) -> list[Tensor]:
    columns = schema.reals("past_target")
    return [batch.real[window, row, columns] for row in range(int(batch.origin[window]))]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("config", [*DeepAR.variants(), replace(SMALL, add_last="last", lags=[2])])
def test_paths_are_drawn_row_by_row(task: str, config: Any) -> None:
    schema = make_schema(task, targets=2, context=6, horizon=3)
    forecaster, network = made(schema, replace(config, paths=3))
    batch = make_batch(schema, windows=3)
    paths = network.sample(batch)
    assert paths is not None
    assert paths.shape == (3, 3, schema.length, 2)
    for window, generator in enumerate(window_generators(batch, SEED)):
        origin, length = int(batch.origin[window]), int(batch.length[window])
        assert (paths[:, window, :origin] == 0).all()
        assert (paths[:, window, length:] == 0).all()
        drawn = [past_of(batch, schema, window) for _ in range(3)]
        for row in range(origin, length):
            parameters = [
                parameters_of_next(
                    forecaster, batch, window, row, torch.stack(past) if past else torch.zeros(0, 2)
                )
                for past in drawn
            ]
            for past, value in zip(
                drawn, forecaster.head.draw(torch.cat(parameters), generator), strict=True
            ):
                past.append(value[0])
        expected = torch.stack([torch.stack(past[origin:]) for past in drawn])
        torch.testing.assert_close(paths[:, window, origin:length], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("head", ["gaussian", "negative_binomial"])
def test_without_paths_a_row_reads_the_point_before(task: str, head: str) -> None:
    schema = make_schema(task, targets=2, context=6, horizon=3)
    forecaster, network = made(schema, replace(SMALL, paths=0), head)
    batch = make_batch(schema, windows=3)
    assert network.sample(batch) is None
    found = forecaster(batch)
    for window in range(3):
        past = past_of(batch, schema, window)
        for row in range(int(batch.origin[window]), int(batch.length[window])):
            value = torch.stack(past) if past else torch.zeros(0, 2)
            parameters = parameters_of_next(forecaster, batch, window, row, value)
            torch.testing.assert_close(found[window, row], parameters[0, 0], rtol=1e-4, atol=1e-5)
            past.append(forecaster.head.forecast(parameters)[0, 0, :, 0])


@pytest.mark.parametrize("task", TASKS)
def test_in_training_a_row_reads_the_true_rows_before(task: str) -> None:
    schema = make_schema(task, targets=2, context=6, horizon=3)
    forecaster, network = made(schema)
    batch = make_batch(schema, windows=3)
    batch = batch._replace(weight=batch.asked.float())
    assert batch.target is not None
    taught = network.taught(batch)
    torch.testing.assert_close(network.train()(batch), taught)
    found = forecaster.head(taught, Units.of(batch, schema))
    for window in range(3):
        origin = int(batch.origin[window])
        past = past_of(batch, schema, window)
        value = torch.stack([*past, *batch.target[window, origin:]])
        for row in range(origin, int(batch.length[window])):
            parameters = parameters_of_next(forecaster, batch, window, row, value)
            torch.testing.assert_close(found[window, row], parameters[0, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_targets_of_unjudged_rows_are_never_read(task: str) -> None:
    schema = make_schema(task, targets=2)
    _, network = made(schema)
    batch = make_batch(schema)
    unjudged = torch.rand(batch.weight.shape, generator=torch.Generator().manual_seed(5)) < 0.4
    batch = batch._replace(weight=batch.weight.masked_fill(unjudged, 0.0))
    for training in (False, True):
        network.train(training)
        outputs = []
        for other in (batch, with_garbage(batch)):
            torch.manual_seed(3)
            outputs.append(network.taught(other)[batch.asked])
        torch.testing.assert_close(*outputs, rtol=0, atol=0)


def test_unjudged_rows_are_read_as_own_draws() -> None:
    """Of a distribution without width: as its mean, which is what a forecast reads there."""
    schema = make_schema("sequence")
    config = replace(SMALL, lags=[1])
    _, network = made(schema, config)
    with torch.no_grad():
        network.outlet.weight[1] = 0.0
        network.outlet.bias[1] = -1e3  # deviation 1e-4
    batch = make_batch(schema, windows=3, even=True)
    hole = 4
    weight = torch.ones_like(batch.weight)
    weight[:, hole] = 0.0
    batch = batch._replace(weight=weight)
    assert batch.target is not None
    with torch.no_grad():
        complete = network.taught(batch._replace(weight=torch.ones_like(weight)))
        target = batch.target.clone()
        target[:, hole] = complete[:, hole, :1]  # the mean there, given the rows before
        expected = network.taught(batch._replace(target=target, weight=torch.ones_like(weight)))
        found = network.taught(batch)
    assert (complete - expected).abs().max() > 1e-2
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("head", HEADS.names())
def test_every_head_is_sampled_and_summarised(head: str) -> None:
    schema = make_schema(targets=2, quantile=LEVELS)
    forecaster, network = made(schema, head=head)
    batch = make_batch(schema)
    forecast = forecaster.forecast(batch).value
    assert forecast.shape == (4, schema.length, 2, 1 + len(forecaster.head.levels))
    assert forecast[batch.asked].isfinite().all()
    paths = network.sample(batch)
    if head == "point":
        assert paths is None
        return
    assert paths is not None
    expected = Units.of(batch, schema).original(forecaster.head.summarise(paths))
    torch.testing.assert_close(forecast, expected)


@pytest.mark.parametrize(
    ("head", "start", "step"), [("classes", 0.0, 1.0), ("bins", -2.0, 0.1), ("poisson", 0.0, 1.0)]
)
def test_what_is_forecast_is_one_of_the_values_that_occur(head: str, start: float, step: float) -> None:
    """An even number of paths: a point halfway between two draws would be no class, count or grid value."""
    schema = make_schema(targets=2, quantile=LEVELS)
    settings = SETTINGS.get(head, {}) | ({} if head == "classes" else {"point": "median"})
    forecaster = make_forecaster(
        "deepar", asdict(replace(SMALL, paths=8)), schema, head=head, head_settings=settings
    )
    perturb(forecaster)
    batch = make_batch(schema, windows=30)
    value = forecaster.eval().forecast(batch).value[batch.asked]
    place = (value - start) / step
    torch.testing.assert_close(place, place.round(), rtol=0, atol=1e-3)
    if head == "classes":
        paths = forecaster.network.sample(batch)
        assert paths is not None
        units = Units.of(batch, schema)
        number = torch.stack([units.original(path).round().long() for path in paths])[:, batch.asked]
        drawn = torch.nn.functional.one_hot(number, 4).sum(0)
        assert torch.equal(place.round().long()[..., 0], drawn.argmax(-1))


def test_differences_learnt_beside_it_are_not_read() -> None:
    """Outputs behind the head's own change no forecast."""
    schema = make_schema(targets=2)
    batch = make_batch(schema)
    forecaster = make_forecaster("deepar", asdict(SMALL), schema, auxiliary=2).eval()
    before = forecaster.forecast(batch).value
    network: Any = forecaster.network
    with torch.no_grad():
        network.outlet.weight.view(2, 4, -1)[:, 2:] += 1.0
    torch.testing.assert_close(forecaster.forecast(batch).value, before, rtol=0, atol=0)
    network.config = replace(SMALL, paths=0)
    assert network.sample(batch) is None
    assert forecaster.forecast(batch).value.isfinite().all()


def test_a_window_draws_the_same_wherever_it_stands() -> None:
    schema = make_schema(quantile=LEVELS)
    forecaster, _ = made(schema, replace(SMALL, paths=400))  # more than one run of windows
    batch = make_batch(schema, windows=6)
    whole = forecaster.forecast(batch).value
    torch.testing.assert_close(forecaster.forecast(batch).value, whole, rtol=0, atol=0)
    torch.manual_seed(99)
    order = torch.tensor([4, 0, 5])
    some = forecaster.forecast(batch.select(order)).value
    asked = batch.asked[order]
    torch.testing.assert_close(some[asked], whole[order][asked], rtol=1e-4, atol=1e-4)


def test_windows_draw_from_streams_of_their_own() -> None:
    schema = make_schema()
    batch = make_batch(schema, windows=50)
    drawn = torch.stack([torch.randn(200, generator=stream) for stream in window_generators(batch, SEED)])
    correlation = torch.corrcoef(drawn) - torch.eye(50)
    assert correlation.abs().max() < 0.35  # 5 / sqrt(200)
    again = torch.stack([torch.randn(200, generator=stream) for stream in window_generators(batch, SEED)])
    torch.testing.assert_close(drawn, again, rtol=0, atol=0)


def autoregressive(schema: InputSchema, windows: int, share: float, seed: int) -> SequenceBatch:
    """z_t = share z_{t-1} + e_t, e_t standard normal; all other inputs are noise."""
    batch = make_batch(schema, windows, seed=seed, even=True)
    noise = torch.randn(windows, schema.length, generator=torch.Generator().manual_seed(seed + 1000))
    value = [noise[:, 0] / (1.0 - share**2) ** 0.5]
    for row in range(1, schema.length):
        value.append(share * value[-1] + noise[:, row])
    target = torch.stack(value, dim=1)[:, :, None]
    real = batch.real.clone()
    real[:, :, schema.reals("past_target")] = target * batch.past()[:, :, None]
    unit = torch.ones_like(batch.scale)
    return batch._replace(
        real=real, target=target, weight=batch.asked.float(), location=torch.zeros_like(unit), scale=unit
    )


def test_quantiles_of_an_autoregressive_process() -> None:
    """At step h: mean share^h z_T, variance (1 - share^2h) / (1 - share^2), from sampled paths alone."""
    share, horizon = 0.8, 6
    schema = make_schema(
        context=6, horizon=horizon, categories=(), static_categories=(), quantile=LEVELS, seasonality=()
    )
    torch.manual_seed(0)
    settings = asdict(replace(SMALL, hidden=8, layers=1, paths=400))
    forecaster = make_forecaster("deepar", settings, schema, hint="l2").train()
    optimizer = torch.optim.Adam(forecaster.parameters(), lr=1e-2)
    for seed in range(250):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1.0 - seed / 250)
        batch = autoregressive(schema, 256, share, seed=seed)
        loss = forecaster.loss(forecaster(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    batch = autoregressive(schema, 200, share, seed=5000)
    with torch.no_grad():
        found = forecaster.eval().forecast(batch).value[:, schema.context :, 0]  # (B, H, 1 + Q)
    last = batch.real[:, schema.context - 1, schema.reals("past_target")]  # (B, 1)
    step = torch.arange(1, horizon + 1)
    mean = share**step * last
    deviation = ((1.0 - share ** (2 * step)) / (1.0 - share**2)) ** 0.5
    normal = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(LEVELS))  # type: ignore[no-untyped-call]
    expected = torch.cat([mean[..., None], mean[..., None] + deviation[:, None] * normal], dim=-1)
    error = (found - expected) / deviation[:, None]
    assert error.abs().mean() < 0.12
    assert error.mean(0).abs().max() < 0.1  # of each step and quantile: no bias, and a spread that grows


@pytest.mark.parametrize("task", TASKS)
def test_lags(task: str) -> None:
    schema = make_schema(task, seasonality=(3, 7, 100), context=9, horizon=5)
    assert lags_of(schema, [], "lags") == [1, 2, 3, 4, 6, 7, 8]
    assert lags_of(schema, [5, 1, 5], "lags") == [1, 5]
    assert made(schema, replace(SMALL, lags=[5], add_last="seasonal"))[1].inputs.lags == [1, 3, 5]
    assert season_of(schema) == 3
    assert season_of(schema._replace(seasonality=(100, 3))) == season_of(schema._replace(seasonality=())) == 1
    longest = 9 if task == "horizon" else 13
    assert lags_of(schema, [longest], "lags") == [longest]
    for wrong, said in (
        (0, r"deepar.lags: found \[0\], expected a whole number from 1 on"),
        (longest + 1, f"deepar.lags: found {longest + 1}, expected 1 to the {longest} rows"),
    ):
        with pytest.raises(InputError, match=said):
            made(schema, replace(SMALL, lags=[wrong]))


def test_lagged_values_stand_by_lag_then_target() -> None:
    values = torch.arange(1.0, 11.0).view(1, 5, 2)
    found = lagged(values, [1, 3])
    torch.testing.assert_close(found[0, 3], torch.tensor([5.0, 6.0, 1.0, 2.0]))
    torch.testing.assert_close(found[0, 1], torch.tensor([1.0, 2.0, 0.0, 0.0]))
    known = torch.tensor([[False, True, False, False, True]])
    assert last_known(values, known)[0, :, 0].tolist() == [0.0, 3.0, 3.0, 3.0, 9.0]


@pytest.mark.parametrize("kind", ["last", "seasonal"])
def test_no_level_of_a_row_that_does_not_count(kind: str) -> None:
    """The day before the origin was closed, log1p(0): the level is that of the last day that was open."""
    schema = make_schema(targets=2)
    _, network = made(schema, replace(SMALL, add_last=kind))
    batch = make_batch(schema, windows=20, unjudged=0.4)._replace(target=None)
    other = with_other_unjudged(batch, schema)
    torch.testing.assert_close(network(other), network(batch), rtol=0, atol=0)
    assert not torch.allclose(network(other._replace(counted=None)), network(batch))
    all_count = batch._replace(counted=batch.past())
    torch.testing.assert_close(network(all_count), network(batch._replace(counted=None)), rtol=0, atol=0)


def test_settings_that_do_not_fit() -> None:
    schema = make_schema()
    with pytest.raises(InputError, match=r"deepar.paths: found -1"):
        made(schema, replace(SMALL, paths=-1))
    with pytest.raises(InputError, match=r"deepar.cell: 'conv' cannot go on from row to row"):
        made(schema, replace(SMALL, cell="conv"))
    with pytest.raises(InputError, match=r"unknown add_last 'lst'"):
        made(schema, replace(SMALL, add_last="lst"))
    with pytest.raises(InputError, match=r"unknown static_state 'stat'"):
        made(schema, replace(SMALL, static_state="stat"))
