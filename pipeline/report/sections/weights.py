"""What the blend takes from each member."""

from __future__ import annotations

from pipeline.report.markup import Column, Section, named, swatch, table
from pipeline.report.material import Material, Who
from pipeline.report.text import decimals_for, escape, metric_name, number


def section(material: Material) -> Section | None:
    """Weights by blender, as bars in a table, and how honest and in-sample scores differ."""
    blenders = material.scores.get("blenders", {})
    names = material.ranking
    if not blenders or len(names) < 2:
        return None
    columns = [Column("Blender", number=False)]
    columns += [Column(name, number=False) for name in names]
    columns += [
        Column("Honest", hint="by weights that did not see the rows"),
        Column("In sample", hint="by weights fitted on the very rows"),
    ]
    decimals = decimals_for([entry[key] for entry in blenders.values() for key in ("cv", "in_sample")])
    rows, styles = [], []
    for blender, entry in blenders.items():
        weights = entry["weights"]
        cells = [named(blender)]
        for member in names:
            if weights is None:
                cells.append('<span class="kind">row by row</span>')
            else:
                cells.append(_bar(weights.get(member, 0.0), material.colour(Who("member", member))))
        cells += [number(entry["cv"], decimals), number(entry["in_sample"], decimals)]
        rows.append(cells)
        styles.append("chosen" if blender == material.scores["chosen"] else "")
    metric = escape(metric_name(material.metric))
    lead = (
        "The share of each member. The honest score decides which blender is used; where the in-sample score"
        f" is much better than the honest one, weights have learnt the noise of the folds. Both are {metric}."
    )
    return Section("weights", "Blend weights", lead, table(columns, rows, styles))


def _bar(weight: float, style: str) -> str:
    width = max(0.0, min(1.0, weight)) * 100
    return (
        f'<span class="weight">{swatch(style)}<span class="track"><span class="fill {style}"'
        f' style="width:{width:.1f}%"></span></span>{weight * 100:.1f} %</span>'
    )
