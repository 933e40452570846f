"""Post-processing fitted on out-of-fold rows, and scored on rows that it was not fitted on.

Where a step learns, rows of each nested part are corrected by what it learnt from that part's seen rows; and
the predictions that it learnt from are honest ones among those rows in turn, so that the truth of the judged
rows entered neither the weights nor the correction. What is applied to local and test rows is then learnt
from all out-of-fold rows, as the blend's weights are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data.scoring import Asked
from models.blenders.base import BlendData
from models.blenders.nested import Judged, NestedPart, fitted, honest_prediction, nested_parts
from pipeline.blending.quantiles import QuantileBlend
from pipeline.blending.run import BlendRun
from submissions.post import after_each_post, fit_posts, make_posts
from submissions.posts.base import Forecast, LearningPost, Parameters


@dataclass(frozen=True)
class PostRun:
    """The competition's steps on the chosen blend."""

    run: BlendRun
    before: Forecast  # the honest out-of-fold blend
    learnt: list[Parameters | None]  # by each step, from all out-of-fold rows
    oof: list[Forecast]  # after each step; every row by what did not see it
    honest: bool  # False: there was nothing to hold out, so `oof` is by what saw it

    def steps(self) -> list[dict[str, Any]]:
        """As post.json keeps them."""
        declared = self.run.prepared.competition.post
        return [
            {"kind": step.kind, "settings": dict(step.settings), "learnt": learnt}
            for step, learnt in zip(declared, self.learnt, strict=True)
        ]

    def after_each(self, asked: Asked, forecast: Forecast) -> list[Forecast]:
        """The forecast of further rows after each step."""
        prepared = self.run.prepared
        return list(after_each_post(prepared.competition, prepared.panel, asked, forecast, self.learnt))


def post_run(
    run: BlendRun, chosen: Judged, data: BlendData, forecast: Forecast, quantiles: QuantileBlend | None
) -> PostRun:
    """forecast: the honest out-of-fold blend of the rows of `data`."""
    competition, panel = run.prepared.competition, run.prepared.panel
    learnt = fit_posts(competition, panel, run.asked, forecast, run.loss)
    if not any(isinstance(step, LearningPost) for step in make_posts(competition)):
        after = list(after_each_post(competition, panel, run.asked, forecast, learnt))
        return PostRun(run, forecast, learnt, after, True)
    parts = nested_parts(run.asked)
    if not parts:
        after = list(after_each_post(competition, panel, run.asked, forecast, learnt))
        return PostRun(run, forecast, learnt, after, False)
    pieces = []
    for part in parts:
        seen = _inner_forecast(run, chosen, data, quantiles, part)
        own = fit_posts(competition, panel, run.asked.take(part.seen), seen, run.loss)
        judged = run.asked.take(part.judged)
        pieces.append(list(after_each_post(competition, panel, judged, forecast.take(part.judged), own)))
    joined = [_joined(parts, [piece[step] for piece in pieces], forecast) for step in range(len(learnt))]
    return PostRun(run, forecast, learnt, joined, True)


def _inner_forecast(
    run: BlendRun, chosen: Judged, data: BlendData, quantiles: QuantileBlend | None, part: NestedPart
) -> Forecast:
    """Of a part's seen rows, by weights that know nothing of its judged ones."""
    point = _inner(run, chosen, data.take(part.seen))
    if quantiles is None:
        return Forecast(point)
    levels = tuple(run.prepared.competition.quantiles)
    value = _inner(run, quantiles.chosen, quantiles.data.take(part.seen))
    return Forecast(point, quantiles.unfold(value), levels)


def _inner(run: BlendRun, chosen: Judged, data: BlendData) -> np.ndarray:
    kind, recency = type(chosen.blender), run.settings["recency"]
    if kind.fitted and data.members > 1:
        honest = honest_prediction(kind, data, nested_parts(data.asked), recency)
        if honest is not None:
            return honest
    return fitted(kind, data, recency).predict(data.value, data.rows)


def _joined(parts: list[NestedPart], pieces: list[Forecast], shape: Forecast) -> Forecast:
    """One forecast of all rows from those of the parts' judged rows."""
    point = np.empty_like(shape.point)
    quantiles = None if shape.quantiles is None else np.empty_like(shape.quantiles)
    for part, piece in zip(parts, pieces, strict=True):
        point[part.judged] = piece.point
        if quantiles is not None:
            quantiles[part.judged] = piece.quantiles
    return Forecast(point, quantiles, shape.levels)
