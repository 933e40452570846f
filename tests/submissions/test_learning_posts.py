"""Steps that learn from out-of-fold rows: the right constants, and coverage that holds on fresh rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from submissions.posts.base import (
    POSTS,
    Forecast,
    LearningPost,
    Post,
    PostData,
    PostRows,
    make_post,
)

LEARNING = [name for name in POSTS.names() if issubclass(POSTS.get(name), LearningPost)]
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def problem(rows: int = 4000, targets: int = 1, seed: int = 0, relative: bool = True) -> PostData:
    """Points too high by a quarter in region 1 and too low by a tenth in region 2; noise of a tenth."""
    generator = np.random.default_rng(seed)
    region = generator.integers(1, 3, rows)
    truth = generator.gamma(20.0, 5.0, (rows, targets))
    noise = np.exp(generator.normal(0, 0.1, truth.shape))
    point = truth * noise * np.where(region == 1, 1.25, 0.9)[:, None]
    inputs = {"region": region.astype(np.int32)}
    own = {"series": np.arange(rows) % 50, "step": 1 + np.arange(rows) % 7}
    quantiles = point[:, :, None] * (1 + 0.02 * (np.array(LEVELS) - 0.5))
    weight = (generator.random(rows) > 0.1).astype(np.float32)

    def loss(chosen: np.ndarray, value: np.ndarray) -> float:
        error = np.abs(value - truth[chosen]) / (truth[chosen] if relative else 1.0)
        return float(np.average(error.mean(axis=1), weights=weight[chosen]))

    posts = PostRows(np.arange(rows), {}, inputs, np.array([0, rows]), own)
    return PostData(Forecast(point, quantiles, LEVELS), posts, truth, weight, loss)


def quantiles_of(data: PostData) -> np.ndarray:
    assert data.forecast.quantiles is not None
    return data.forecast.quantiles


def learn(kind: str, data: PostData, **settings: Any) -> Post:
    """The step after a way through JSON, as it is kept with a blend."""
    step = make_post(kind, settings)
    assert isinstance(step, LearningPost)
    return step.learnt(json.loads(json.dumps(step.fit(data))))


@pytest.mark.parametrize("targets", [1, 2])
def test_scale_by_group(targets: int) -> None:
    data = problem(targets=targets)
    post = learn("correction", data, by=["region"], prior=0, most=0.5)
    ratio = post.apply(data.forecast.point, data.rows) / data.forecast.point
    region = data.rows.inputs["region"]
    np.testing.assert_allclose(ratio[region == 1], 1 / 1.25, atol=0.02)
    np.testing.assert_allclose(ratio[region == 2], 1 / 0.9, atol=0.02)
    quantiles = quantiles_of(data)
    found = post.apply_quantiles(quantiles, LEVELS, data.rows)
    np.testing.assert_allclose(found, quantiles * ratio[:, :, None])


def test_a_scale_is_what_the_metric_likes_best() -> None:
    """RMSPE: the best factor has a closed form, sum(p / y) / sum((p / y)^2)."""
    data = problem()
    share = data.forecast.point / data.truth

    def rmspe(chosen: np.ndarray, value: np.ndarray) -> float:
        return float(np.sqrt(((value / data.truth[chosen] - 1) ** 2).mean()))

    data = PostData(data.forecast, data.rows, data.truth, np.ones(len(share)), rmspe)
    found = learn("correction", data).apply(np.ones((1, 1)), data.rows.take(np.array([0])))
    assert found[0, 0] == pytest.approx(share.sum() / (share**2).sum(), abs=1e-4)


def test_bias_by_target() -> None:
    data = problem(targets=2, relative=False)
    moved = PostData(
        Forecast(data.truth + np.array([3.0, -5.0])), data.rows, data.truth, data.weight, data.loss
    )
    post = learn("correction", moved, how="bias")
    np.testing.assert_allclose(post.apply(moved.forecast.point, moved.rows), data.truth, atol=0.05)


def test_small_and_unseen_groups_follow_all_rows() -> None:
    data = problem()
    common = learn("correction", data, most=0.5).apply(np.ones((1, 1)), data.rows.take(np.array([0])))[0, 0]
    far = learn("correction", data, by=["region"], prior=1e9, most=0.5)
    np.testing.assert_allclose(far.apply(np.ones_like(data.truth), data.rows), common, rtol=1e-3)
    unseen = PostRows(np.arange(3), {}, {"region": np.full(3, 9)})
    near = learn("correction", data, by=["region"], prior=0, most=0.5)
    np.testing.assert_allclose(near.apply(np.ones((3, 1)), unseen), common)
    half = learn("correction", data, by=["region"], prior=float((data.weight > 0).sum() / 2), most=0.5)
    ratio = half.apply(data.forecast.point, data.rows) / data.forecast.point
    assert 0.8 < ratio.min() < common < ratio.max() < 1 / 0.9


def test_a_correction_stays_within_its_limit() -> None:
    data = problem()
    post = learn("correction", data, by=["region"], prior=0, most=0.05)
    ratio = post.apply(data.forecast.point, data.rows) / data.forecast.point
    assert ratio.max() <= 1.05 + 1e-9
    assert ratio.min() >= 1 / 1.05 - 1e-9


def test_isotonic_mends_a_rising_distortion_and_keeps_the_order() -> None:
    data = problem()
    bent = PostData(Forecast(data.truth**1.3), data.rows, data.truth, data.weight, data.loss)
    post = learn("isotonic", bent)
    found = post.apply(bent.forecast.point, bent.rows)
    assert np.abs(found - data.truth).mean() < 0.05 * np.abs(bent.forecast.point - data.truth).mean()
    order = np.argsort(bent.forecast.point[:, 0])
    assert (np.diff(found[order, 0]) >= 0).all()
    half = learn("isotonic", bent, share=0.5).apply(bent.forecast.point, bent.rows)
    np.testing.assert_allclose(half, (found + bent.forecast.point) / 2)


def test_isotonic_is_the_pool_adjacent_violators_solution() -> None:
    point, truth = np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 3, 2, 2, 6])
    data = PostData(
        Forecast(point[:, None]),
        PostRows(np.arange(5), {}),
        truth[:, None],
        np.ones(5),
        lambda *_: 0.0,
    )
    found = learn("isotonic", data).apply(point[:, None], data.rows)[:, 0]
    # 3, 2, 2 are pooled at their mean prediction 3; between the pools the map is a line
    np.testing.assert_allclose(found, [1, (1 + 7 / 3) / 2, 7 / 3, (7 / 3 + 6) / 2, 6])


@pytest.mark.parametrize("unit", ["none", "width", "middle"])
@pytest.mark.parametrize("by", [[], ["region"], ["step"]])
def test_conformal_intervals_cover_new_rows(unit: str, by: list[str]) -> None:
    post = learn("conformal", problem(seed=1), unit=unit, by=by)
    fresh = problem(seed=2)
    quantiles = post.apply_quantiles(quantiles_of(fresh), LEVELS, fresh.rows)
    assert (np.diff(quantiles, axis=2) >= 0).all()
    below = fresh.truth[:, :, None] <= quantiles
    np.testing.assert_allclose(below.mean(axis=(0, 1)), LEVELS, atol=0.03)
    if by == ["region"]:
        for region in (1, 2):
            own = below[fresh.rows.inputs["region"] == region].mean(axis=(0, 1))
            np.testing.assert_allclose(own, LEVELS, atol=0.04)
    np.testing.assert_array_equal(post.apply(fresh.forecast.point, fresh.rows), fresh.forecast.point)


def test_conformal_ranks_are_those_of_the_paper() -> None:
    """99 scores 1..99: level 0.9 takes the 90th, level 0.1 its mirror image, the 10th."""
    truth = np.arange(1.0, 100.0)[:, None]
    zero = np.zeros((99, 1))
    data = PostData(
        Forecast(zero, np.zeros((99, 1, 2)), (0.1, 0.9)),
        PostRows(np.arange(99), {}), truth, np.ones(99), lambda *_: 0.0,
    )  # fmt: skip
    found = learn("conformal", data).apply_quantiles(np.zeros((1, 1, 2)), (0.1, 0.9), data.rows)
    np.testing.assert_array_equal(found[0, 0], [10, 90])


@pytest.mark.parametrize("kind", LEARNING)
def test_rows_that_are_not_judged_teach_nothing(kind: str) -> None:
    data = problem(500)
    wild = np.where((data.weight == 0)[:, None], np.nan, data.truth)
    step = make_post(kind, {})
    assert isinstance(step, LearningPost)
    assert step.fit(data) == step.fit(PostData(data.forecast, data.rows, wild, data.weight, data.loss))


@pytest.mark.parametrize("kind", LEARNING)
def test_nothing_to_learn_from_changes_nothing(kind: str) -> None:
    data = problem(20)
    none = PostData(data.forecast, data.rows, data.truth, np.zeros(20), data.loss)
    post = learn(kind, none)
    np.testing.assert_allclose(post.apply(data.forecast.point, data.rows), data.forecast.point)
    quantiles = quantiles_of(data)
    np.testing.assert_allclose(post.apply_quantiles(quantiles, LEVELS, data.rows), quantiles)
