"""Post-processing: what each step does, in the order given, and how bad settings are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.competition import Post
from data.errors import InputError
from data.folds import Origins
from data.scoring import asked_of
from submissions.post import apply_post, make_posts
from submissions.posts.base import POSTS, PostRows, make_post
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
    np.testing.assert_allclose(make_post(kind, settings).apply(VALUE, ROWS), expected)
    np.testing.assert_array_equal(VALUE, before)


@pytest.mark.parametrize("kind", POSTS.names())
def test_a_second_time_changes_nothing(kind: str) -> None:
    needed = {"grid": {"start": -1.9, "step": 0.07, "count": 950}, "zero_where": {"where": "Open == 0"}}
    post = make_post(kind, needed.get(kind, {}))
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
    ],
)
def test_bad_settings_are_refused_by_name(kind: str, settings: dict[str, object], said: str) -> None:
    competition, _ = make_panel("horizon")
    competition.post = [Post("integer"), Post(kind, settings)]
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
    competition.post = [Post("zero_where", {"where": "Open == 0"}), Post("clip", {"low": 3})]
    found = apply_post(competition, panel, asked, value)
    assert (found[mask[asked.row_id]] == 3).all()
    competition.post = competition.post[::-1]
    found = apply_post(competition, panel, asked, value)
    assert (found[mask[asked.row_id]] == 0).all()
    np.testing.assert_array_equal(found[~mask[asked.row_id]], np.maximum(value, 3)[~mask[asked.row_id]])
    competition.post = []
    np.testing.assert_array_equal(apply_post(competition, panel, asked, value), value)
