"""Mixup, masked covariates and auxiliary differences, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data.batch import SequenceBatch
from models.augment import augmented, masked, mixed
from models.auxiliary import difference_loss
from models.settings import Fit
from tests.batches import make_batch, make_schema

MIXED = ("real", "static_real", "location", "scale", "target")


def same(first: SequenceBatch, second: SequenceBatch, name: str) -> bool:
    return torch.equal(getattr(first, name), getattr(second, name))


def test_nothing_is_done_unasked() -> None:
    schema = make_schema()
    batch = make_batch(schema)
    before = torch.get_rng_state()
    assert augmented(batch, schema, Fit()) is batch
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("task", ["sequence", "horizon"])
def test_mixup_mixes_windows_of_the_same_shape(task: str) -> None:
    schema = make_schema(task)
    batch = make_batch(schema, windows=200, unjudged=0.2)
    torch.manual_seed(0)
    found = mixed(batch, 0.8)
    # The same draws, in the same order.
    torch.manual_seed(0)
    order = torch.randperm(200)
    drawn = torch.distributions.Beta(0.8, 0.8).sample((200,))  # type: ignore[no-untyped-call]
    own = torch.maximum(drawn, 1 - drawn)
    changed = 0
    for a, b in enumerate(order.tolist()):
        alike = batch.length[a] == batch.length[b] and batch.origin[a] == batch.origin[b]
        share = float(own[a]) if alike else 1.0
        changed += int(alike and a != b)
        for name in MIXED:
            value = getattr(batch, name)
            expected = share * value[a] + (1 - share) * value[b]
            torch.testing.assert_close(getattr(found, name)[a], expected)
        both = (batch.weight[a] > 0) & (batch.weight[b] > 0)
        weight = torch.where(both, share * batch.weight[a] + (1 - share) * batch.weight[b], 0.0)
        torch.testing.assert_close(found.weight[a], weight if alike else batch.weight[a])
        assert found.counted is not None
        assert batch.counted is not None
        counted = batch.counted[a] & batch.counted[b] if alike else batch.counted[a]
        assert torch.equal(found.counted[a], counted)
    assert changed >= 2, "some must be mixed for the test to mean something"
    for name in set(SequenceBatch._fields) - {*MIXED, "weight", "counted"}:
        assert same(batch, found, name), name


def test_mixup_of_a_share_of_the_windows() -> None:
    schema = make_schema()
    batch = make_batch(schema, windows=400, even=True)
    torch.manual_seed(0)
    found = mixed(batch, 1.0, share=0.3)
    assert found.target is not None
    assert batch.target is not None
    untouched = (found.target == batch.target).all(2).all(1)
    assert float(untouched.float().mean()) == pytest.approx(0.7, abs=0.07)


def test_masked_columns_are_whole_ones() -> None:
    schema = make_schema(known=3)
    batch = make_batch(schema, windows=500, even=True)
    batch = batch._replace(static_category=batch.static_category + 1)
    torch.manual_seed(0)
    found = masked(batch, schema, 0.25)
    known = schema.reals("known")
    for column in range(batch.real.shape[2]):
        blank = (found.real[:, :, column] == 0).all(1)
        kept = (found.real[:, :, column] == batch.real[:, :, column]).all(1)
        if column in known:
            assert (blank | kept).all()
            assert float(blank.float().mean()) == pytest.approx(0.25, abs=0.06)
        else:
            assert kept.all()
    blank = (found.static_category == 0).all(1)
    assert torch.equal(blank, (found.static_real == 0).all(1))
    assert torch.equal(found.static_category[~blank], batch.static_category[~blank])
    assert float(blank.float().mean()) == pytest.approx(0.25, abs=0.06)
    for name in set(SequenceBatch._fields) - {"real", "static_real", "static_category", "counted"}:
        assert same(batch, found, name), name


@pytest.mark.parametrize("task", ["sequence", "horizon"])
def test_difference_loss(task: str) -> None:
    schema = make_schema(task, targets=2)
    batch = make_batch(schema)
    output = torch.randn(4, schema.length, 2, 3)
    assert batch.target is not None
    target, weight = batch.target.numpy(), batch.weight.numpy()
    means = []
    for lag in (1, 2, 3):
        total, weights = 0.0, 0.0
        for window in range(4):
            for row in range(lag, schema.length):
                if weight[window, row - lag] > 0:
                    difference = target[window, row] - target[window, row - lag]
                    error = np.abs(output[window, row, :, lag - 1].numpy() - difference).mean()
                    total += weight[window, row] * error
                    weights += weight[window, row]
        means.append(total / weights)
    assert float(difference_loss(output, batch)) == pytest.approx(np.mean(means), rel=1e-5)
