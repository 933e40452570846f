"""Post-processing: what each step does, in the order given, and how bad settings are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.competition import Post as Declared
from data.errors import InputError
from data.folds import Origins
from data.scoring import asked_of
from submissions.post import apply_post, make_posts
from submissions.posts.base import POSTS, Post, PostRows, make_post
from tests.panels import HORIZON, make_panel

ROWS = PostRows(np.arange(4), {"Open == 0": np.array([True, False, False, True])})
VALUE = np.array([[-1.0, 2.4], [0.5, 7.6], [3.2, 100.0], [4.0, -0.2]])


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("clip", {"low": 0}, [[0, 2.4], [0.5, 7.6], [3.2, 100], [4, 0]]),
        ("clip", {"high": 5.5}, [[-1, 2.4], [0.5, 5.5], [3.2, 5.5], [4, -0.2]]),
        ("clip", {"low": 0, "high": 5}, [[0, 2.4], [0.5, 5], [3.2, 5], [4, 0]]),
        ("integer", {}, [[-1, 2], [0, 8], [3, 100], [4, 0]]),
        ("grid", {"start": 0.5, "step": 2, "count": 4}, [[0.5, 2.5], [0.5, 6.5], [2.5, 6.5], [4.5, 0.5]]),
        ("zero_where", {"where": "Open == 0"}, [[0, 0], [0.5, 7.6], [3.2, 100], [0, 0]]),
    ],
)
def test_each_step(kind: str, settings: dict[str, object], expected: list[list[float]]) -> None:
    before = VALUE.copy()
    post = make_post(kind, settings)
    assert isinstance(post, Post)
    np.testing.assert_allclose(post.apply(VALUE, ROWS), expected)
    quantiles = post.apply_quantiles(np.stack([VALUE, VALUE], axis=2), (0.5, 0.5), ROWS)
    np.testing.assert_allclose(quantiles[:, :, 1], expected)
    np.testing.assert_array_equal(VALUE, before)


@pytest.mark.parametrize(
    "kind",
    [
        name
        for name in POSTS.names()
        if issubclass(POSTS.get(name), Post) and name != "controller_inversion"  # has a file of its own
    ],
)
def test_a_second_time_changes_nothing(kind: str) -> None:
    needed: dict[str, dict[str, object]] = {
        "grid": {"start": -1.9, "step": 0.07, "count": 950},
        "zero_where": {"where": "Open == 0"},
    }
    post = make_post(kind, needed.get(kind, {}))
    assert isinstance(post, Post)
    once = post.apply(VALUE, ROWS)
    np.testing.assert_array_equal(post.apply(once, ROWS), once)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("clop", {}, "did you mean 'clip'"),
        ("clip", {"lo": 0}, "did you mean 'low'"),
        ("clip", {"low": "zero"}, "low is 'zero', expected a number"),
        ("clip", {"low": 2, "high": 1}, "low is 2, above high"),
        ("grid", {"start": 0, "step": 1}, "needs the setting 'count'"),
        ("grid", {"start": 0, "step": 0, "count": 3}, "step is 0"),
        ("grid", {"start": 0, "step": 1, "count": 2.5}, "count is 2.5"),
        ("zero_where", {}, "needs the setting 'where'"),
        ("zero_where", {"where": ""}, "expected an expression"),
        ("correction", {"how": "power"}, "how is 'power'"),
        ("correction", {"by": "region"}, "expected a list of column names"),
        ("correction", {"by": ["regoin"]}, "did you mean 'region'"),
        ("correction", {"by": ["visitors"]}, "'visitors' is not known for test rows"),
        ("correction", {"by": ["sales"]}, "'sales' is not known for test rows"),
        ("correction", {"prior": -1}, "prior is -1"),
        ("isotonic", {"share": 0}, "share is 0"),
        ("isotonic", {"relative": "yes"}, "relative is 'yes'"),
        ("conformal", {"unit": "range"}, "unit is 'range'"),
        ("controller_inversion", {}, "'u_in'"),
        ("controller_inversion", {"u_in": 3}, "u_in is 3"),
    ],
)
def test_bad_settings_are_refused_by_name(kind: str, settings: dict[str, object], said: str) -> None:
    competition, _ = make_panel("horizon")
    competition.post = [Declared("integer"), Declared(kind, settings)]
    with pytest.raises(InputError) as raised:
        make_posts(competition)
    assert said in str(raised.value)
    assert "competition.post.1" in str(raised.value)


def test_steps_run_in_order_on_the_asked_rows() -> None:
    competition, panel = make_panel("horizon")
    mask = np.zeros(panel.rows, dtype=bool)
    mask[np.flatnonzero(panel.test)[::3]] = True
    panel = replace(panel, masks={"Open == 0": mask})
    ends = panel.offsets[1:] - HORIZON
    asked = asked_of(panel, [(-2, Origins(np.arange(panel.series), ends))], HORIZON)
    value = np.random.default_rng(0).normal(0, 10, asked.truth.shape)
    competition.post = [
        Declared("zero_where", {"where": "Open == 0"}),
        Declared("clip", {"low": 3}),
    ]
    found = apply_post(competition, panel, asked, value)
    assert (found[mask[asked.row_id]] == 3).all()
    competition.post = competition.post[::-1]
    found = apply_post(competition, panel, asked, value)
    assert (found[mask[asked.row_id]] == 0).all()
    np.testing.assert_array_equal(found[~mask[asked.row_id]], np.maximum(value, 3)[~mask[asked.row_id]])
    competition.post = []
    np.testing.assert_array_equal(apply_post(competition, panel, asked, value), value)
