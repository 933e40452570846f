"""The competition's post-processing, step by step in its order.

Steps that learn do so once, on out-of-fold rows as the steps before them have left these (`fit_posts`); what
they learnt is plain data, which the blend keeps and the submission takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from data.panel import Panel
from data.scoring import Asked
from submissions.posts.base import (
    Forecast,
    LearningPost,
    Parameters,
    Post,
    PostData,
    PostRows,
    Step,
    make_post,
)

#: What each step learnt; None for those that do not learn, and where nobody has learnt.
Learnt = Sequence[Parameters | None]

#: Groups that every row has besides its columns.
OWN = ("series", "step")


def make_posts(competition: Competition) -> list[Step]:
    """The steps that the competition declares. InputError for what they do not know."""
    return [
        make_step(competition, number, f"competition.post.{number}")
        for number in range(len(competition.post))
    ]


def make_step(competition: Competition, number: int, where: str) -> Step:
    """One of them. where: what an InputError begins with."""
    declared = competition.post[number]
    step = make_post(declared.kind, declared.settings, where)
    known = [*known_columns(competition), *OWN]
    for name in step.reads():
        if name not in known:
            raise _not_known(competition, name, known, f"{where}: {declared.kind}")
    return step


def known_columns(competition: Competition) -> list[str]:
    """Input columns that post-processing may read: static ones and those known ahead."""
    columns = competition.columns
    return [
        *columns.static_categorical, *columns.static_real, *columns.known_categorical, *columns.known_real
    ]  # fmt: skip


def post_rows(competition: Competition, panel: Panel, asked: Asked) -> PostRows:
    """The asked rows, without their truth."""
    own = {"series": panel.series_when_fitted()[asked.series], "step": asked.step}
    return PostRows(asked.row_id, panel.masks, _Inputs(competition, panel), panel.offsets, own)


def fit_posts(
    competition: Competition,
    panel: Panel,
    asked: Asked,
    forecast: Forecast,
    loss: Callable[[Asked, np.ndarray], float],
) -> list[Parameters | None]:
    """What each step learns from the asked rows and their truth; loss: of rows and points, to be lowered."""
    rows, steps = post_rows(competition, panel, asked), make_posts(competition)
    learnt: list[Parameters | None] = []
    for number, step in enumerate(steps):
        if not isinstance(step, LearningPost):
            learnt.append(None)
        else:
            data = PostData(
                forecast, rows, asked.truth, asked.weight, lambda part, value: loss(asked.take(part), value)
            )
            learnt.append(step.fit(data))
        if any(isinstance(later, LearningPost) for later in steps[number + 1 :]):
            forecast = _apply(step, learnt[-1], forecast, rows)
    return learnt


def after_each_post(
    competition: Competition, panel: Panel, asked: Asked, forecast: Forecast, learnt: Learnt = ()
) -> Iterator[Forecast]:
    """The forecast of the asked rows after the first step, after the second, ...; the given one stays.

    learnt: one entry a step; where nobody has learnt (a baseline), steps that would have to are left out.
    """
    rows = post_rows(competition, panel, asked)
    for number, step in enumerate(make_posts(competition)):
        forecast = _apply(step, learnt[number] if number < len(learnt) else None, forecast, rows)
        yield forecast


def apply_posts(
    competition: Competition, panel: Panel, asked: Asked, forecast: Forecast, learnt: Learnt = ()
) -> Forecast:
    """The forecast of the asked rows after all steps."""
    for after in after_each_post(competition, panel, asked, forecast, learnt):
        forecast = after
    return forecast


def apply_post(
    competition: Competition, panel: Panel, asked: Asked, value: np.ndarray, learnt: Learnt = ()
) -> np.ndarray:
    """(N, K) points of the asked rows after all steps; `value` is left as it is."""
    return apply_posts(competition, panel, asked, Forecast(value), learnt).point


def _apply(step: Step, learnt: Parameters | None, forecast: Forecast, rows: PostRows) -> Forecast:
    if isinstance(step, LearningPost):
        if learnt is None:
            return forecast
        step = step.learnt(learnt)
    assert isinstance(step, Post), type(step)
    quantiles = forecast.quantiles
    if quantiles is not None:
        quantiles = step.apply_quantiles(quantiles, forecast.levels, rows)
    return Forecast(step.apply(forecast.point, rows), quantiles, forecast.levels)


def _not_known(competition: Competition, name: str, known: Sequence[str], where: str) -> InputError:
    columns = competition.columns
    if name in (*columns.past_categorical, *columns.past_real, *competition.target):
        return InputError(f"{where}: {name!r} is not known for test rows; expected one of {', '.join(known)}")
    return unknown("column", name, known, where)


class _Inputs(Mapping[str, np.ndarray]):
    """Columns known ahead, spread over all panel rows when they are asked for."""

    def __init__(self, competition: Competition, panel: Panel) -> None:
        self._panel = panel
        self._names = [
            name for name in known_columns(competition) if name in panel.frame or name in panel.static
        ]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        if name in self._panel.frame:
            return np.asarray(self._panel.frame[name])
        return np.asarray(self._panel.static[name])[self._panel.series_of_row()]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
