"""tcnn: the article's network, fixed places counted from the origin, and the windows that it cannot see."""

from __future__ import annotations

import pytest
import torch

from data.errors import InputError
from models.networks.tcnn import TCNNNetwork
from tests.batches import make_batch, make_schema, perturb

LENGTH = 11


def article(filters: int = 0, units: int = 0) -> TCNNNetwork:
    """One input, no metadata, one asked row at the end of LENGTH rows."""
    schema = make_schema(
        "horizon",
        context=LENGTH - 1,
        horizon=1,
        known=1,
        categories=(),
        static_real=0,
        static_categories=(),
    )
    schema = schema._replace(real=("x",), real_role=("known",))
    torch.manual_seed(0)
    return TCNNNetwork(schema, TCNNNetwork.Config(filters=filters, units=units))


def test_with_one_asked_row_it_is_the_article_s_network() -> None:
    """Conv1d(3, kernel L) -> Dense(2) -> Dense(1), softplus after the first two, written out."""
    network = article()
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    assert shapes == {
        "convolution.weight": (3, 1, LENGTH),
        "convolution.bias": (3,),
        "first.weight": (2, 3),
        "first.bias": (2,),
        "second.weight": (1, 2),
        "second.bias": (1,),
    }
    batch = make_batch(network.schema, windows=6, even=True)
    x = batch.real[:, :, 0]  # (B, LENGTH)
    kernel = network.convolution.weight[:, 0]
    a = torch.log1p(torch.exp(x @ kernel.T + network.convolution.bias))
    u = torch.log1p(torch.exp(a @ network.first.weight.T + network.first.bias))
    expected = u @ network.second.weight.T + network.second.bias
    torch.testing.assert_close(network(batch)[:, -1], expected)
    assert network(batch)[:, :-1].abs().max() == 0.0


def test_it_learns_the_sum_of_both_ends() -> None:
    """The article's task, y = x[0] + x[-1]: an error far below the variance of an end, which is 1."""
    network = article()
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    batch = make_batch(network.schema, windows=400, even=True)
    for _ in range(500):
        optimizer.zero_grad()
        wanted = batch.real[:, 0, 0] + batch.real[:, -1, 0]
        error = (network(batch)[:, -1, 0] - wanted).square().mean()
        error.backward()
        optimizer.step()
    other = make_batch(network.schema, windows=400, seed=1, even=True)
    error = (network(other)[:, -1, 0] - other.real[:, 0, 0] - other.real[:, -1, 0]).square().mean()
    assert error.item() < 0.1


@pytest.mark.parametrize("task", ["sequence", "horizon"])
def test_places_are_counted_from_the_origin(task: str) -> None:
    """A window without its first rows gives what the whole one gives with zeros there."""
    schema = make_schema(task, targets=2)
    network = TCNNNetwork(schema, TCNNNetwork.Config(static_state="none"), outputs=3)
    perturb(network.eval())
    batch = make_batch(schema, even=True)
    gone = 4 if task == "horizon" else 0
    empty = torch.arange(schema.length)[None, :, None] < gone
    # Categories are looked up: the place of a row that is not there has no category either.
    assert network.category is not None
    with torch.no_grad():
        for table in network.category.tables:
            table.weight[0] = 0.0
    zeroed = batch._replace(
        real=batch.real.masked_fill(empty, 0.0), category=batch.category.masked_fill(empty, 0)
    )
    short = batch._replace(
        real=batch.real[:, gone:],
        category=batch.category[:, gone:],
        length=batch.length - gone,
        origin=batch.origin - gone,
        target=None,
    )
    assert short.rows == schema.length - gone
    torch.testing.assert_close(network(short), network(zeroed)[:, gone:])


def test_step_of_the_horizon_keeps_its_weights_wherever_the_origin_is() -> None:
    """The last layer's bias for a step is found at that step of each window, whatever its origin."""
    schema = make_schema("horizon")
    network = TCNNNetwork(schema, TCNNNetwork.Config())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.second.bias.copy_(torch.arange(schema.horizon) + 1.0)
    batch = make_batch(schema, windows=9)
    assert len(batch.origin.unique()) > 1
    output = network(batch)[:, :, 0]
    for window in range(9):
        for row in range(schema.length):
            step = row - int(batch.origin[window])
            expected = step + 1.0 if step >= 0 and row < batch.length[window] else 0.0
            assert output[window, row] == expected


def test_windows_longer_than_the_schema_s_are_cut() -> None:
    schema = make_schema("sequence", context=5, horizon=3)
    longer = make_batch(make_schema("sequence", context=5, horizon=6), even=True)
    network = TCNNNetwork(schema, TCNNNetwork.Config()).eval()
    perturb(network)
    output = network(longer)
    assert output.shape[1] == 11
    assert output[:, 8:].abs().max() == 0.0
    cut = longer._replace(
        real=longer.real[:, :8], category=longer.category[:, :8], length=longer.length.clamp(max=8)
    )
    torch.testing.assert_close(output[:, :8], network(cut))


def test_by_itself_three_filters_and_two_units_an_output_up_to_a_limit() -> None:
    small = TCNNNetwork(make_schema("horizon", horizon=5, targets=2), TCNNNetwork.Config(), outputs=3)
    assert (small.convolution.out_channels, small.first.out_features) == (3 * 30, 2 * 30)
    large = TCNNNetwork(make_schema("horizon", horizon=200), TCNNNetwork.Config())
    assert (large.convolution.out_channels, large.first.out_features) == (256, 256)
    given = article(filters=7, units=4)
    assert (given.convolution.out_channels, given.first.out_features) == (7, 4)


def test_impossible_settings() -> None:
    with pytest.raises(InputError, match="filters=-1"):
        article(filters=-1)
