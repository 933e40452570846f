"""controller_inversion as a step: exact where a breath is solved, the prediction everywhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.sources.ventilator_simulator import STEPS, Breaths, simulate_breaths
from submissions.posts.base import Post, PostRows, make_post


@pytest.fixture(scope="module")
def breaths() -> Breaths:
    return simulate_breaths(60, seed=4)


def rows_of(breaths: Breaths, series: np.ndarray) -> PostRows:
    """All rows of the breaths `series`, of a panel that has them all."""
    inputs = {name: getattr(breaths, name).ravel() for name in ("u_in", "time_step", "u_out")}
    row_id = (series[:, None] * STEPS + np.arange(STEPS)).ravel()
    return PostRows(row_id, {}, inputs, np.arange(len(breaths) + 1) * STEPS)


def post() -> Post:
    step = make_post("controller_inversion", {})
    assert isinstance(step, Post)
    return step


def test_known_rows_are_exact_and_the_others_stay(breaths: Breaths) -> None:
    rows = rows_of(breaths, np.arange(60))
    truth = breaths.pressure.ravel()[:, None]
    given = np.full_like(truth, 17.0)
    found = post().apply(given, rows)
    changed = found != given
    np.testing.assert_array_equal(found[changed], truth[changed])
    inspiration = breaths.u_out.ravel() == 0
    assert changed[inspiration].mean() > 0.6
    assert not changed[~inspiration].any()
    np.testing.assert_array_equal(given, 17.0)


def test_some_rows_in_any_order_have_what_all_of_them_have(breaths: Breaths) -> None:
    everything = rows_of(breaths, np.arange(60))
    given = np.random.default_rng(0).normal(20, 5, (60 * STEPS, 1))
    whole = post().apply(given, everything)
    chosen = np.random.default_rng(1).permutation(60 * STEPS)[:500]
    part = post().apply(given[chosen], everything.take(chosen))
    np.testing.assert_array_equal(part, whole[chosen])


def test_breaths_of_other_lengths_and_missing_values(breaths: Breaths) -> None:
    """A breath cut short is read as far as it goes; a missing u_in ends it."""
    rows = rows_of(breaths, np.arange(60))
    kept = np.ones(60 * STEPS, dtype=bool)
    kept[20:STEPS] = False  # the first breath has twenty rows
    inputs = {name: value[kept].astype(np.float64) for name, value in rows.inputs.items()}
    inputs["u_in"][20:30] = np.nan  # the second one starts with missing values
    offsets = np.concatenate([[0], 20 + np.arange(60) * STEPS])
    shorter = replace(rows, row_id=np.arange(kept.sum()), inputs=inputs, offsets=offsets)
    given = np.full((int(kept.sum()), 1), 17.0)
    found = post().apply(given, shorter)
    np.testing.assert_array_equal(found[20 : 20 + STEPS], 17.0)
    whole = post().apply(np.full((60 * STEPS, 1), 17.0), rows)[kept]
    np.testing.assert_array_equal(found[20 + STEPS :], whole[20 + STEPS :])
