"""What holds for every registered blender, and for how blenders are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from data.metrics import MetricTable, SeriesHistory, make_metric
from data.scoring import Asked
from models.blenders.base import BLENDERS, BlendData, Blender, WeightedBlender
from models.blenders.nested import GROUPS, Judged, choose, fitted, folds_in_time, judge, nested_parts
from models.blenders.sample import sample_forecasts

NAMES = BLENDERS.names()
FITTED = [name for name in NAMES if BLENDERS.get(name).fitted]
BETWEEN = [name for name in NAMES if BLENDERS.get(name).between]
WEIGHTED = [name for name in NAMES if issubclass(BLENDERS.get(name), WeightedBlender)]
TAKES_ALL = ("best", "lightgbm_stacking")  # another truth need not change what they choose
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


def grouped(data: BlendData) -> BlendData:
    """With three groups of series and a column that says something else."""
    size = np.random.default_rng(8).normal(size=len(data.asked))
    return replace(data, group=data.asked.series % 3, features={"size": size})


def absolute_error(asked: Asked, value: np.ndarray) -> float:
    return float(np.abs(value - asked.truth).mean())


def blended(name: str, data: BlendData) -> np.ndarray:
    """(N, K) of a blender fitted on the rows that it predicts."""
    blender = BLENDERS.get(name)()
    blender.fit(data)
    return blender.predict(data.value, data.rows)


def with_fields(asked: Asked, **changed: np.ndarray) -> Asked:
    return Asked(**{**{name: getattr(asked, name) for name in asked.__dataclass_fields__}, **changed})


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.parametrize("targets", [1, 2])
def test_identical_members_give_that_member(name: str, targets: int) -> None:
    data = problem(levels=(0.2,), targets=targets)
    same = BlendData(np.repeat(data.value, 4, axis=1), data.asked, data.judge)
    np.testing.assert_allclose(blended(name, same), data.value[:, 0], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_one_member_is_the_blend(name: str) -> None:
    data = problem(levels=(0.2,))
    np.testing.assert_array_equal(blended(name, data), data.value[:, 0])
    blender = BLENDERS.get(name)()
    blender.fit(data)
    assert blender.weights(["alone"]) == {"alone": 1.0}


def test_of_one_member_the_simplest_blend_is_taken() -> None:
    assert choose(judge(list(NAMES), problem(levels=(0.2,)))).name == "mean"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", ["mae", "rmspe"])
def test_the_order_of_members_means_nothing(name: str, metric: str) -> None:
    data = grouped(problem(metric, (0.3, 0.1, 0.2, 0.15)))
    order = np.array([2, 0, 3, 1])
    other = blended(name, data.with_members(order))
    np.testing.assert_allclose(other, blended(name, data), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_deterministic_and_leaves_its_input_alone(name: str) -> None:
    data = grouped(problem())
    before = data.value.copy()
    np.testing.assert_array_equal(blended(name, data), blended(name, data))
    np.testing.assert_array_equal(data.value, before)


@pytest.mark.parametrize("name", BETWEEN)
def test_a_blend_lies_between_its_members(name: str) -> None:
    data = grouped(problem(targets=2))
    blend = blended(name, data)
    assert blend.shape == data.truth.shape
    assert (blend >= data.value.min(1) * (1 - 1e-12)).all()
    assert (blend <= data.value.max(1) * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", NAMES)
def test_unknown_truth_and_wild_rows_that_are_not_judged_give_finite_blends(name: str) -> None:
    """Rows of weight 0 may have no truth; a group or a column may be missing where it is predicted."""
    data = grouped(problem(targets=2))
    truth = np.where((data.weight == 0)[:, None], np.nan, data.truth)
    features = {"size": np.where(np.arange(len(truth)) % 7 == 0, np.nan, data.features["size"])}
    blender = BLENDERS.get(name)()
    blender.fit(replace(data, asked=with_fields(data.asked, truth=truth), features=features))
    elsewhere = replace(data, group=np.full(len(truth), 99), features={"size": np.full(len(truth), np.nan)})
    assert np.isfinite(blender.predict(data.value, data.rows)).all()
    assert np.isfinite(blender.predict(data.value, elsewhere.rows)).all()


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_are_not_judged_teach_nothing(name: str) -> None:
    data = grouped(problem())
    off = data.weight == 0
    wild = with_fields(data.asked, truth=np.where(off[:, None], 1e9, data.truth))
    other = BLENDERS.get(name)()
    other.fit(replace(data, asked=wild))
    np.testing.assert_array_equal(other.predict(data.value, data.rows), blended(name, data))


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_to_fit_on_give_a_blend_of_some_kind(name: str) -> None:
    data = problem()
    blender = BLENDERS.get(name)()
    blender.fit(data.take(np.zeros(len(data.asked), dtype=bool)))
    blend = blender.predict(data.value, data.rows)
    assert (blend >= data.value.min(1) * (1 - 1e-12)).all()
    assert (blend <= data.value.max(1) * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", NAMES)
def test_weights_sum_to_one_and_say_what_predict_does(name: str) -> None:
    data = problem()
    blender: Blender = BLENDERS.get(name)()
    blender.fit(data)
    weights = blender.weights(["a", "b", "c"])
    assert (weights is not None) or name not in [*WEIGHTED, "mean"]
    if weights is None:
        return
    assert list(weights) == ["a", "b", "c"]
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-9)
    assert min(weights.values()) >= 0 or not blender.between
    expected = np.einsum("nmk,m->nk", data.value, list(weights.values()))
    np.testing.assert_allclose(blender.predict(data.value, data.rows), expected, rtol=1e-12)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("metric", METRICS)
def test_a_fitted_blender_is_no_worse_than_mean_and_members_on_its_rows(name: str, metric: str) -> None:
    data = grouped(problem(metric, (0.1, 0.15, 0.4)))
    found = data.loss(blended(name, data))
    alone = [data.loss(data.value[:, m]) for m in range(3)]
    bounds = alone if name == "best" else [data.loss(data.value.mean(1)), *alone]
    assert found <= min(bounds) + 1e-3 * abs(min(bounds))


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("metric", METRICS)
def test_a_useless_member_gets_next_to_no_weight(name: str, metric: str) -> None:
    data = problem(metric, (0.1, 0.1, 0.1))
    useless = np.random.default_rng(9).permutation(data.value[:, :1]) * 3
    worse = BlendData(np.concatenate([data.value, useless], axis=1), data.asked, data.judge)
    blender = BLENDERS.get(name)()
    blender.fit(worse)
    weights = blender.weights(["a", "b", "c", "useless"])
    assert weights is not None
    assert abs(weights["useless"]) < 0.02
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


@pytest.mark.parametrize("name", FITTED)
def test_weights_never_see_the_rows_they_are_scored_on(name: str) -> None:
    """Folds that hold out series: another truth of a fold changes no honest prediction of its rows."""
    asked = asked_rows(series=60, folds=1)
    data = grouped(problem(series=60, folds=1))
    held = with_fields(asked, fold=asked.series % 3)
    other = held.truth.copy()
    judged = held.fold == 0
    other[judged] = other[judged][::-1] * 7
    value = data.value.copy()
    value[judged, 0] = held.truth[judged]  # a member that is perfect there, and nowhere else
    honest = [
        judge([name], replace(data, value=value, asked=with_fields(held, truth=truth)))[name].honest
        for truth in (held.truth, other)
    ]
    assert honest[0] is not None
    assert honest[1] is not None
    np.testing.assert_array_equal(honest[0][judged], honest[1][judged])
    if name not in TAKES_ALL:
        assert not np.array_equal(honest[0][~judged], honest[1][~judged])


@pytest.mark.parametrize("name", FITTED)
def test_the_later_cut_off_judges_the_earlier_and_never_the_other_way_round(name: str) -> None:
    """The truth of a cut-off changes no honest prediction of this cut-off or of an earlier one."""
    data = grouped(problem(folds=3))
    before = judge([name], data)[name].honest
    assert before is not None
    for changed in (1, 2):  # fold 0 is the earliest here
        judged = data.asked.fold == changed
        truth = data.truth.copy()
        truth[judged] = truth[judged][::-1] * 7
        after = judge([name], replace(data, asked=with_fields(data.asked, truth=truth)))[name].honest
        assert after is not None
        known = data.asked.fold <= changed
        np.testing.assert_array_equal(after[known], before[known])
        if changed == 1 and name not in TAKES_ALL:
            assert not np.array_equal(after[~known], before[~known])


def test_cut_offs_are_ordered_by_their_origins_and_folds_of_series_are_not() -> None:
    asked = asked_rows(folds=3)
    backwards = with_fields(asked, fold=2 - asked.fold)
    assert folds_in_time(backwards) is not None
    np.testing.assert_array_equal(folds_in_time(asked), [0, 1, 2])
    np.testing.assert_array_equal(folds_in_time(backwards), [2, 1, 0])
    assert folds_in_time(with_fields(asked, fold=asked.series % 3)) is None
    assert folds_in_time(asked.take(asked.fold == 1)) is None


@pytest.mark.parametrize("folds", [1, 2, 3])
def test_every_row_is_judged_once_by_others(folds: int) -> None:
    asked = asked_rows(folds=folds)
    parts = nested_parts(asked)
    assert (np.sum([part.judged for part in parts], axis=0) == 1).all()
    for part in parts:
        assert not (part.judged & part.seen).any()
        for series in np.unique(asked.series[part.judged]):
            own = asked.series == series
            seen = asked.row_id[part.seen & own]
            assert (seen < asked.origin[part.judged & own].min()).all()


def test_rows_behind_the_judged_origin_are_not_fitted_on() -> None:
    """Cut-offs six rows apart, horizon 12: half of the earlier forecast lies behind the later origin."""
    asked = asked_rows(folds=2)
    closer = 6 * asked.fold
    asked = with_fields(asked, row_id=asked.row_id - closer, origin=asked.origin - closer)
    last = nested_parts(asked)[-1]
    assert (asked.fold[last.judged] == 1).all()
    assert (asked.step[last.seen] <= 6).all()
    assert last.seen.sum() == last.judged.sum() // 2


def test_one_series_of_several_cut_offs_is_judged_by_the_other_cut_offs() -> None:
    parts = nested_parts(asked_rows(series=1, folds=3))
    assert [part.seen.sum() for part in parts] == [24, 12, 24]


def test_recent_cut_offs_count_more_in_the_fit() -> None:
    """The first member was right at the earliest cut-off, the second one is at the latest."""
    data = problem(levels=(0.3, 0.3), folds=2, series=100)
    value, early = data.value.copy(), data.asked.fold == 0
    value[early, 0], value[~early, 1] = data.truth[early] * 1.01, data.truth[~early] * 1.02
    data = replace(data, value=value)
    weights = []
    for recency in (None, 1.0, 0.2):
        found = fitted(BLENDERS.get("convex"), data, recency).weights(["old", "new"])
        assert found is not None
        weights.append(found["new"])
    assert weights[0] < weights[1] < weights[2]
    mixed = replace(data, asked=with_fields(data.asked, fold=data.asked.series % 2))
    plain, recent = (fitted(BLENDERS.get("ridge"), mixed, recency) for recency in (None, 1.0))
    assert plain.weights(["old", "new"]) == recent.weights(["old", "new"])


def test_weights_by_segment_find_who_is_good_where() -> None:
    """One member knows the series of group 1 and the first steps, the other one the rest."""
    for name in ("by_group", "by_step"):
        data = grouped(problem(levels=(0.3, 0.3), series=200))
        first = data.group == 1 if name == "by_group" else data.asked.step < 4
        value = data.value.copy()
        value[first, 0], value[~first, 1] = data.truth[first], data.truth[~first]
        data = replace(data, value=value)
        common = data.loss(blended("convex", data))
        assert data.loss(blended(name, data)) < 0.5 * common
        assert choose(judge(["mean", "convex", name], data)).name == name


def test_stacking_learns_where_to_correct_from_known_columns() -> None:
    data = grouped(problem(levels=(0.05, 0.05), series=200))
    size = data.features["size"] > 0
    biased = replace(data, value=data.value * np.where(size, 1.3, 0.8)[:, None, None])
    judged = judge(["convex", "lightgbm_stacking"], biased)
    assert judged["lightgbm_stacking"].mean < 0.6 * judged["convex"].mean


def test_ridge_takes_a_common_error_away() -> None:
    """The second member has the first one's error twice: twice the first minus the second is the truth."""
    asked = asked_rows(series=200)
    error = np.random.default_rng(7).normal(0, 5, asked.truth.shape)
    data = BlendData(
        np.stack([asked.truth + error, asked.truth + 2 * error], 1), asked, loss_of("mae", asked)
    )
    weights = fitted(BLENDERS.get("ridge"), data).weights(["a", "b"])
    assert weights is not None
    assert weights["a"] == pytest.approx(2, abs=0.01)
    assert weights["b"] == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize("name", [name for name in NAMES if BLENDERS.get(name).of_quantiles])
def test_rising_quantiles_stay_rising(name: str) -> None:
    """Quantiles are blended as further columns: 3 levels of one target."""
    data = problem(levels=(0.2, 0.3, 0.25))
    value = np.sort(data.value * np.array([0.8, 1.0, 1.25]), axis=2)
    asked = with_fields(data.asked, truth=np.repeat(data.truth, 3, axis=1))
    found = blended(
        name, BlendData(value, asked, lambda part, blend: float(np.abs(blend - part.truth).mean()))
    )
    assert (np.diff(found, axis=1) >= -1e-9).all()


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
    parts = nested_parts(data.asked)
    assert len(parts) == GROUPS
    for part in parts:
        assert not set(data.asked.series[part.judged]) & set(data.asked.series[part.seen])
    judged = judge(["convex"], data)
    assert judged["convex"].honest is not None
    assert list(judged["convex"].loss) == [0]
    assert judged["convex"].loss[0] >= judged["convex"].in_sample
    assert judged["convex"].paired.shape == (GROUPS,)


def test_one_series_in_one_fold_leaves_only_blenders_without_weights() -> None:
    data = problem(series=1, folds=1)
    judged = judge(list(NAMES), data)
    assert judged["convex"].honest is None
    assert not type(choose(judged).blender).fitted


def test_the_best_honest_blender_wins_and_ties_go_to_the_simpler() -> None:
    clear = ["mean", "median", "best", "convex"]
    assert choose(judge(clear, problem("rmse", (0.05, 0.5, 0.5)))).name == "best"
    assert choose(judge(clear, problem("rmse", (0.1, 0.15, 0.5)))).name == "convex"
    same = problem(levels=(0.2,))
    tied = BlendData(np.repeat(same.value, 3, axis=1), same.asked, same.judge)
    assert choose(judge(list(NAMES), tied)).name == "mean"


@pytest.mark.parametrize(
    ("simple", "fine", "taken"),
    [
        ([0.120, 0.118], [0.114, 0.112], "convex"),  # Rossmann's gap of 0.006, on both folds
        ([0.1140, 0.1130], [0.1141, 0.1125], "mean"),  # better on one fold only, and by little
        ([0.120, 0.113], [0.114, 0.114], "convex"),  # better on one only, but by more than a hundredth
        ([0.5] * 3, [0.5] * 3, "mean"),
        ([0.5001, 0.4002, 0.3001], [0.5, 0.4, 0.3], "convex"),  # little, and every time
        ([0.501, 0.399, 0.301], [0.5, 0.4, 0.3], "mean"),
    ],
)
def test_what_a_tie_is(simple: list[float], fine: list[float], taken: str) -> None:
    def judged(name: str, losses: list[float]) -> Judged:
        loss = dict(enumerate(losses))
        return Judged(name, BLENDERS.get(name)(), None, 0.0, loss, np.array(losses))

    assert choose({"mean": judged("mean", simple), "convex": judged("convex", fine)}).name == taken


def test_a_sample_has_whole_forecasts() -> None:
    data = problem(series=50, steps=10)
    part = sample_forecasts(data, 400)
    assert 300 < len(part.asked) <= 400
    _, counts = np.unique(part.asked.origin, return_counts=True)
    assert (counts == 10).all()
    assert sample_forecasts(data, 10**6) is data
