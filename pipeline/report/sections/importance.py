"""What the trees look at: importance of features."""

from __future__ import annotations

import pandas as pd

from pipeline.report.markup import Section, figure, grid
from pipeline.report.material import Material, Who
from pipeline.report.svg import named_bars
from pipeline.report.text import escape, plural

SHOWN = 12


def section(material: Material) -> Section | None:
    """The mean over fits, of every member that tells it."""
    figures = []
    for name in material.ranking:
        tables = [fit.importance for fit in material.members[name] if fit.importance is not None]
        if not tables:
            continue
        gain = pd.concat(tables).groupby("feature")["gain"].sum().sort_values(ascending=False, kind="stable")
        total = float(gain.sum())
        if total <= 0:
            continue
        share = gain / total
        rows = [
            (str(feature), float(value), f"{value * 100:.1f} %")
            for feature, value in share.iloc[:SHOWN].items()
        ]
        rest = share.iloc[SHOWN:]
        note = f"share of the gain, mean of {plural(len(tables), 'fit')}"
        if len(rest):
            note += f"; {len(rest)} more share {rest.sum() * 100:.1f} %"
        drawing = named_bars(rows, material.colour(Who("member", name)), f"feature importance of {name}")
        figures.append(figure(drawing, escape(name), note))
    if not figures:
        return None
    lead = (
        "How much of the trees' gain each column brings. Columns that say the same share it between them,"
        " so a small bar does not mean that nothing would be lost without the column."
    )
    return Section("importance", "Feature importance", lead, grid(figures))
