"""What holds for every registered blender, and for how blenders are judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from data.metrics import MetricTable, SeriesHistory, make_metric
from data.scoring import Asked
from models.blenders.base import BLENDERS, BlendData
from models.blenders.nested import choose, held_out_groups, judge
from models.blenders.sample import sample_forecasts

NAMES = BLENDERS.names()
FITTED = [name for name in NAMES if BLENDERS.get(name).fitted]
METRICS = ["mae", "rmse", "rmspe", "smape", "mase", "r2", "rmsle"]


def asked_rows(series: int = 40, steps: int = 12, folds: int = 3, targets: int = 1, seed: int = 0) -> Asked:
    """Rolling cut-offs: every series is asked `steps` rows at each of `folds` origins. Positive truth."""
    generator = np.random.default_rng(seed)
    count = series * folds * steps
    forecast = np.repeat(np.arange(series * folds), steps)
    owner, fold = forecast // folds, forecast % folds
    row = np.arange(count) + owner * 100
    size = np.exp(generator.normal(3.0, 1.0, series))  # series of different scale
    truth = size[owner][:, None] * generator.gamma(20.0, 0.05, (count, targets))
    return Asked(
        row_id=row,
        origin=row - np.tile(np.arange(steps), series * folds),
        series=owner,
        step=np.tile(np.arange(1, steps + 1), series * folds),
        fold=fold,
        truth=truth,
        weight=(generator.random(count) > 0.1).astype(np.float32),
    )


def loss_of(metric: str, asked: Asked, seed: int = 0) -> Callable[[Asked, np.ndarray], float]:
    """Lower is better."""
    chosen = make_metric(metric)
    generator = np.random.default_rng(seed + 1)
    rows = int(asked.row_id.max()) + 1
    offsets = np.append(np.unique(asked.origin)[:: len(np.unique(asked.fold))], rows)
    offsets[0] = 0
    history = SeriesHistory(offsets, generator.gamma(2.0, 1.0, (rows, asked.truth.shape[1])), 1)
    sign = -1.0 if chosen.greater_is_better else 1.0

    def loss(part: Asked, value: np.ndarray) -> float:
        columns = {name: getattr(part, name) for name in ("weight", "series", "step")}
        origin = part.origin if metric != "mase" else np.maximum(part.origin, offsets[part.series] + 5)
        return sign * chosen.score(
            MetricTable.of(part.truth, value, origin=origin, history=history, **columns)
        )

    return loss


def noisy(asked: Asked, levels: list[float], seed: int = 2) -> np.ndarray:
    """(N, M, K): truth times independent log-normal noise of the given strengths."""
    generator = np.random.default_rng(seed)
    members = [asked.truth * np.exp(generator.normal(0, level, asked.truth.shape)) for level in levels]
    return np.stack(members, axis=1)


def problem(metric: str = "mae", levels: tuple[float, ...] = (0.1, 0.15, 0.2), **shape: int) -> BlendData:
    asked = asked_rows(**shape)
    return BlendData(noisy(asked, list(levels)), asked, loss_of(metric, asked))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("targets", [1, 2])
def test_identical_members_give_that_member(name: str, targets: int) -> None:
    data = problem(levels=(0.2,), targets=targets)
    same = BlendData(np.repeat(data.value, 4, axis=1), data.asked, data.judge)
    blender = BLENDERS.get(name)()
    blender.fit(same)
    np.testing.assert_allclose(blender.predict(same.value), data.value[:, 0], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_one_member_is_the_blend(name: str) -> None:
    data = problem(levels=(0.2,))
    blender = BLENDERS.get(name)()
    blender.fit(data)
    np.testing.assert_array_equal(blender.predict(data.value), data.value[:, 0])
    assert choose(judge(list(NAMES), data)).name == "mean"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", ["mae", "rmspe"])
def test_the_order_of_members_means_nothing(name: str, metric: str) -> None:
    data = problem(metric, (0.3, 0.1, 0.2, 0.15))
    order = np.array([2, 0, 3, 1])
    one, other = BLENDERS.get(name)(), BLENDERS.get(name)()
    one.fit(data)
    other.fit(data.with_members(order))
    np.testing.assert_allclose(other.predict(data.value[:, order]), one.predict(data.value), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_deterministic_and_leaves_its_input_alone(name: str) -> None:
    data = problem()
    before = data.value.copy()
    predictions = []
    for _ in range(2):
        blender = BLENDERS.get(name)()
        blender.fit(data)
        predictions.append(blender.predict(data.value))
    np.testing.assert_array_equal(predictions[0], predictions[1])
    np.testing.assert_array_equal(data.value, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_blend_lies_between_its_members(name: str) -> None:
    data = problem(targets=2)
    blender = BLENDERS.get(name)()
    blender.fit(data)
    blend = blender.predict(data.value)
    assert blend.shape == data.truth.shape
    assert (blend >= data.value.min(1) * (1 - 1e-12)).all()
    assert (blend <= data.value.max(1) * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_convex_and_say_what_predict_does(name: str) -> None:
    data = problem()
    blender = BLENDERS.get(name)()
    blender.fit(data)
    weights = blender.weights(["a", "b", "c"])
    if weights is None:
        assert name == "median"
        return
    assert list(weights) == ["a", "b", "c"]
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-9)
    assert min(weights.values()) >= 0
    expected = np.einsum("nmk,m->nk", data.value, list(weights.values()))
    np.testing.assert_allclose(blender.predict(data.value), expected, rtol=1e-12)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("metric", METRICS)
def test_a_fitted_blender_is_no_worse_than_mean_and_members_on_its_rows(name: str, metric: str) -> None:
    data = problem(metric, (0.1, 0.15, 0.4))
    blender = BLENDERS.get(name)()
    blender.fit(data)
    found = data.loss(blender.predict(data.value))
    bounds = [data.loss(data.value.mean(1)), *(data.loss(data.value[:, m]) for m in range(3))]
    assert found <= min(bounds) + 1e-4 * abs(min(bounds))


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("metric", METRICS)
def test_a_useless_member_gets_next_to_no_weight(name: str, metric: str) -> None:
    data = problem(metric, (0.1, 0.1, 0.1))
    useless = np.random.default_rng(9).permutation(data.value[:, :1]) * 3
    worse = BlendData(np.concatenate([data.value, useless], axis=1), data.asked, data.judge)
    blender = BLENDERS.get(name)()
    blender.fit(worse)
    weights = blender.weights(["a", "b", "c", "useless"])
    assert weights is not None
    assert weights["useless"] < 0.02
    assert sum(weights[good] for good in "abc") > 0.98
    if name != "best":  # which takes one of them by design
        assert min(weights[good] for good in "abc") > 0.15  # equally good ones share the rest


def test_convex_finds_the_weights_that_least_squares_has_in_closed_form() -> None:
    """Independent errors of variance s^2: the best weights under RMSE are proportional to 1 / s^2."""
    asked = asked_rows(series=400, steps=50)
    generator = np.random.default_rng(4)
    deviation = np.array([1.0, 2.0, 3.0])
    error = generator.normal(size=(len(asked), 3, 1)) * deviation[:, None]
    data = BlendData(asked.truth[:, None] + error, asked, loss_of("rmse", asked))
    blender = BLENDERS.get("convex")()
    blender.fit(data)
    weights = blender.weights(["a", "b", "c"])
    assert weights is not None
    expected = deviation**-2 / (deviation**-2).sum()
    np.testing.assert_allclose(list(weights.values()), expected, atol=0.02)


def test_weights_never_see_the_rows_they_are_scored_on() -> None:
    """Each member is perfect in one fold only: in sample a fitted blend profits, honestly it cannot."""
    asked = asked_rows(folds=3)
    generator = np.random.default_rng(5)
    value = asked.truth[:, None] * np.exp(generator.normal(0, 0.5, (len(asked), 3, 1)))
    first = asked.fold == 0
    value[first, 0] = asked.truth[first]
    altered = asked.truth.copy()
    altered[first] = altered[first][::-1] * 7  # the truth of fold 0 changes; nothing else does
    data = BlendData(value, asked, loss_of("mae", asked))
    other_asked = Asked(**{**{k: getattr(asked, k) for k in asked.__dataclass_fields__}, "truth": altered})
    other = BlendData(value, other_asked, loss_of("mae", other_asked))
    one, two = judge(["convex"], data)["convex"], judge(["convex"], other)["convex"]
    assert one.honest is not None
    assert two.honest is not None
    np.testing.assert_array_equal(one.honest[first], two.honest[first])
    assert not np.array_equal(one.honest[~first], two.honest[~first])


def test_rows_asked_by_two_cut_offs_are_not_fitted_on_when_they_are_judged() -> None:
    asked = asked_rows(folds=2)
    fields = {name: getattr(asked, name) for name in asked.__dataclass_fields__}
    half = Asked(**{**fields, "row_id": np.where(asked.fold == 1, asked.row_id - 12, asked.row_id)})
    data = BlendData(noisy(half, [0.1, 0.2]), half, loss_of("mae", half))
    assert judge(["convex"], data)["convex"].honest is None  # every row of one fold is in the other too


@pytest.mark.parametrize("seed", range(3))
def test_honest_score_is_no_better_than_it_should_be_on_pure_noise(seed: int) -> None:
    """Members that know nothing: fitted weights look better in sample than they are."""
    asked = asked_rows(series=6, steps=4, folds=3, seed=seed)
    generator = np.random.default_rng(seed + 50)
    fields = {name: getattr(asked, name) for name in asked.__dataclass_fields__}
    asked = Asked(**{**fields, "truth": generator.normal(size=asked.truth.shape)})
    data = BlendData(generator.normal(size=(len(asked), 12, 1)), asked, loss_of("rmse", asked))
    judged = judge(["mean", "convex"], data)
    assert judged["convex"].in_sample < judged["convex"].mean
    assert judged["convex"].in_sample < judged["mean"].in_sample
    # 12 independent members of variance 1: no weighting is truly better than sqrt(1 + 1/12).
    assert judged["convex"].mean > 0.85 * np.sqrt(1 + 1 / 12)


def test_groups_of_series_judge_where_there_is_one_fold() -> None:
    data = problem(folds=1)
    group = held_out_groups(data)
    assert len(np.unique(group)) == 5
    for series in np.unique(data.asked.series):
        assert len(np.unique(group[data.asked.series == series])) == 1
    judged = judge(list(NAMES), data)
    assert judged["convex"].honest is not None
    assert list(judged["convex"].loss) == [0]
    assert judged["convex"].loss[0] >= judged["convex"].in_sample


def test_one_series_in_one_fold_leaves_only_blenders_without_weights() -> None:
    data = problem(series=1, folds=1)
    judged = judge(list(NAMES), data)
    assert judged["convex"].honest is None
    assert not type(choose(judged).blender).fitted


def test_the_best_honest_blender_wins_and_ties_go_to_the_simpler() -> None:
    assert choose(judge(list(NAMES), problem("rmse", (0.05, 0.5, 0.5)))).name == "convex"
    same = problem(levels=(0.2,))
    tied = BlendData(np.repeat(same.value, 3, axis=1), same.asked, same.judge)
    assert choose(judge(list(NAMES), tied)).name == "mean"


def test_a_sample_has_whole_forecasts() -> None:
    data = problem(series=50, steps=10)
    part = sample_forecasts(data, 400)
    assert 300 < len(part.asked) <= 400
    _, counts = np.unique(part.asked.origin, return_counts=True)
    assert (counts == 10).all()
    assert sample_forecasts(data, 10**6) is data
