"""PatchTST: patches as in the paper, instance normalisation, targets by themselves, short histories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.networks.patch_transformer import PatchTransformer, cut_patches, standardise
from tests.batches import make_batch, make_schema, perturb


def build(outputs: int = 1, context: int = 12, **settings: Any) -> tuple[PatchTransformer, InputSchema]:
    schema = make_schema(context=context, horizon=5, targets=2)
    config = {"patch": 4, "stride": 3, "hidden": 8, "heads": 2, "layers": 2, "covariates": False, **settings}
    torch.manual_seed(0)
    network = PatchTransformer(schema, PatchTransformer.Config(**config), outputs)
    perturb(network)
    return network.eval(), schema


def with_past(batch: SequenceBatch, schema: InputSchema, past: torch.Tensor) -> SequenceBatch:
    real = batch.real.clone()
    real[:, :, schema.reals("past_target")] = past * batch.past()[:, :, None]
    return batch._replace(real=real)


def past_of(batch: SequenceBatch, schema: InputSchema) -> torch.Tensor:
    return batch.real[:, :, schema.reals("past_target")]


@pytest.mark.parametrize(("context", "patches"), [(336, 42), (512, 64)])
def test_as_many_patches_as_published(context: int, patches: int) -> None:
    """N = floor((C - P) / S) + 2: the names of PatchTST/42 and PatchTST/64."""
    network, _ = build(context=context, patch=16, stride=8)
    assert network.position.shape[0] == patches


@pytest.mark.parametrize(
    ("rows", "patch", "stride"), [(12, 4, 2), (12, 4, 3), (11, 4, 4), (3, 3, 1), (1, 1, 1)]
)
def test_patches_row_by_row(rows: int, patch: int, stride: int) -> None:
    series = torch.randn(2, 3, rows)
    found = cut_patches(series, patch, stride)
    count = (rows - patch) // stride + 2
    assert found.shape == (2, 3, count, patch)
    for index in range(count):
        for place in range(patch):
            row = min(index * stride + place, rows - 1)  # the end is repeated
            torch.testing.assert_close(found[:, :, index, place], series[:, :, row], rtol=0, atol=0)
    assert (count - 1) * stride + patch >= rows, "the last row is in a patch"


def test_standardised_over_the_rows_that_are_there() -> None:
    past = torch.randn(3, 10, 2) * 4.0 + 7.0
    there = torch.arange(10) >= torch.tensor([0, 6, 9])[:, None]
    centred, mean, deviation = standardise(past, there)
    for window, first in enumerate([0, 6, 9]):
        own = past[window, first:].numpy()
        np.testing.assert_allclose(mean[window, 0], own.mean(0), rtol=1e-5)
        np.testing.assert_allclose(deviation[window, 0], np.sqrt(own.var(0) + 1e-5), rtol=1e-5)
        expected = (own - own.mean(0)) / np.sqrt(own.var(0) + 1e-5)
        np.testing.assert_allclose(centred[window, first:], expected, rtol=1e-3, atol=1e-4)
        assert (centred[window, :first] == 0).all()


def test_without_a_row_that_counts_nothing_is_scaled() -> None:
    centred, mean, deviation = standardise(torch.full((2, 4, 1), -30.0), torch.zeros(2, 4, dtype=torch.bool))
    assert (centred == 0).all()
    assert (mean == 0).all()
    assert (deviation == 1).all()


def test_patches_without_a_row_that_counts_are_not_looked_at() -> None:
    """Rows 3 to 6 are those of the second patch."""
    network, schema = build()
    batch = make_batch(schema, windows=8, even=True)
    step = torch.arange(schema.length).expand(8, -1)
    batch = batch._replace(counted=batch.past() & ((step < 3) | (step >= 7)))
    before = network(batch)
    for patch, seen in enumerate([True, False, True, True]):
        with torch.no_grad():
            network.position[patch] += torch.randn(8)
        after = network(batch)
        assert bool(((after - before).abs() > 1e-6).any()) == seen, patch
        before = after


def test_forecast_follows_level_and_spread() -> None:
    """Values move with a x + b; outputs that are no values (a deviation, a logit) do not."""
    network, schema = build(outputs=3)
    network.level_outputs = 2
    batch = make_batch(schema, even=True)
    before = network(batch).unflatten(-1, (2, 3))[batch.asked]
    moved = with_past(batch, schema, 5.0 * past_of(batch, schema) + 20.0)
    after = network(moved).unflatten(-1, (2, 3))[batch.asked]
    torch.testing.assert_close(after[..., :2], 5.0 * before[..., :2] + 20.0, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(after[..., 2], before[..., 2], rtol=1e-3, atol=1e-3)


def test_targets_do_not_see_each_other_and_share_weights() -> None:
    network, schema = build()
    batch = make_batch(schema)
    past = past_of(batch, schema)
    first = network(batch)
    other = past.clone()
    other[:, :, 0] = torch.randn(past.shape[:2])
    changed = (network(with_past(batch, schema, other)) - first)[batch.asked].abs().amax(0)
    assert changed[0] > 0
    assert changed[1] == 0
    swapped = network(with_past(batch, schema, past.flip(-1)))
    torch.testing.assert_close(swapped, first.flip(-1), rtol=1e-4, atol=1e-5)


def test_patches_before_a_short_history_are_not_looked_at() -> None:
    """Their positions may be anything; those of patches with rows matter."""
    network, schema = build()
    batch = make_batch(schema, windows=8)
    before = network(batch)
    first_row = schema.context - batch.origin  # of the context, that is there
    for patch in range(len(network.position)):
        with torch.no_grad():
            network.position[patch] += torch.randn(8)
        moved = ((network(batch) - before).abs().amax(-1) * batch.asked).amax(-1) > 1e-6
        seen = patch * 3 + 3 >= first_row  # its last row is there
        assert torch.equal(moved, seen), patch
        before = network(batch)


def test_a_series_that_stands_still_is_forecast_at_its_level() -> None:
    network, schema = build()
    batch = make_batch(schema)
    forecast = network(with_past(batch, schema, torch.full_like(past_of(batch, schema), 3.0)))[batch.asked]
    assert forecast.isfinite().all()
    assert ((forecast - 3.0).abs() < 0.1).all()  # what is added has the deviation sqrt(1e-5)


def test_impossible_settings() -> None:
    with pytest.raises(InputError, match="patch: 4, stride: 0; expected at least 1 of each"):
        build(stride=0)
    with pytest.raises(InputError, match="heads: 3 does not divide the width of 8"):
        build(heads=3)
