"""The competition's post-processing, step by step in its order."""

from __future__ import annotations

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.scoring import Asked
from submissions.posts.base import Post, PostRows, make_post


def make_posts(competition: Competition) -> list[Post]:
    """The steps that the competition declares. InputError for what they do not know."""
    return [
        make_post(step.kind, step.settings, f"competition.post.{number}")
        for number, step in enumerate(competition.post)
    ]


def apply_post(competition: Competition, panel: Panel, asked: Asked, value: np.ndarray) -> np.ndarray:
    """(N, K) predictions of the asked rows after all steps; `value` is left as it is."""
    rows = PostRows(asked.row_id, panel.masks)
    for post in make_posts(competition):
        value = post.apply(value, rows)
    return value
