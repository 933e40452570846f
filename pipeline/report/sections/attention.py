"""How far back networks with interpretable attention look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.interpretation import Curve, mean_of
from pipeline.report.markup import Section, figure, grid
from pipeline.report.material import Material, Who
from pipeline.report.sections.importance import interpretations
from pipeline.report.svg import Chart, Line
from pipeline.report.text import escape, plural

MOST_MARKS = 24  # more would hide the curve
MOST_LABELS = 6


def section(material: Material) -> Section | None:
    """The mean over fits, of every member that tells it: against the lag, and against the place."""
    figures, marked = [], 0
    horizon = material.prepared.competition.task == "horizon"
    for name in material.ranking:
        found = interpretations(material, name)
        attention = mean_of(found).attention
        style = material.colour(Who("member", name))
        note = f"mean of {plural(len(found), 'fit')}"
        if "lag" in attention:
            season = season_of(material.prepared.competition.seasonality, attention["lag"])
            marked = max(marked, season)
            drawing = _lags(attention["lag"], season, name, style)
            figures.append(figure(drawing, f"{escape(name)}, by lag", note))
        if "position" in attention:
            words = "rows from the origin" if horizon else "row of the group"
            chart = Chart(
                [_line(attention["position"], style)],
                f"attention of {name} by {words}",
                words,
                mark=-0.5 if horizon else None,
                from_zero=True,
            )
            figures.append(figure(chart.svg(), f"{escape(name)}, by place", note))
    if not figures:
        return None
    lead = (
        "How much of its attention a row that is judged gives to another row, on average over validation"
        " windows: by how many rows earlier that one lies (below 0: later), and by where it stands in the"
        " window. A flat line is no preference at all."
    )
    if marked:
        lead += (
            f" Vertical lines stand at multiples of the season of {plural(marked, 'row')}: a peak there is a"
            " season that the network has found."
        )
    if horizon:
        lead += " By place, the vertical line is the origin: on its right lie the rows that are predicted."
    return Section("attention", "Attention", lead, grid(figures))


def season_of(seasonality: Sequence[int], curve: Curve) -> int:
    """The shortest season that leaves room for the curve between its marks; 0 if none fits."""
    reach = max(curve.at[-1], 0)
    fitting = [season for season in seasonality if 1 < season <= reach and reach // season <= MOST_MARKS]
    return min(fitting, default=0)


def _lags(curve: Curve, season: int, name: str, style: str) -> str:
    marks = list(range(season, curve.at[-1] + 1, season)) if season else []
    every = -(-len(marks) // MOST_LABELS) if marks else 1
    ticks = [(0.0, "0"), *((float(mark), str(mark)) for mark in marks[every - 1 :: every])]
    chart = Chart(
        [_line(curve, style)],
        f"attention of {name} by lag",
        "rows earlier",
        x_ticks=ticks if marks else None,
        marks=marks,
        from_zero=True,
    )
    return chart.svg()


def _line(curve: Curve, style: str) -> Line:
    return Line(np.array(curve.at, dtype=float), np.array(curve.mean), style, "mean attention")
