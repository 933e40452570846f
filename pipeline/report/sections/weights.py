"""What the blend takes from each member."""

from __future__ import annotations

from typing import Any

from pipeline.report.markup import Column, Section, named, swatch, table
from pipeline.report.material import Material, Who
from pipeline.report.text import decimals_for, escape, metric_name, number

MOST_COLUMNS = 5  # members side by side; more stand one below the other
BY_ROW = '<span class="kind">row by row</span>'


def section(material: Material) -> Section | None:
    """Weights by blender, as bars in a table, and how honest and in-sample scores differ."""
    blenders = material.scores.get("blenders", {})
    names = material.ranking
    if not blenders or len(names) < 2:
        return None
    metric = escape(metric_name(material.metric))
    lead = (
        "The share of each member. The honest score decides which blender is used; where the in-sample score"
        f" is much better than the honest one, weights have learnt the noise of the folds. Both are {metric}."
    )
    turned = len(names) > MOST_COLUMNS
    body = _members_down(material, blenders, names) if turned else _members_across(material, blenders, names)
    return Section("weights", "Blend weights", lead, body)


def _members_across(material: Material, blenders: dict[str, Any], names: list[str]) -> str:
    columns = [Column("Blender", number=False)]
    columns += [Column(name, number=False) for name in names]
    columns += [
        Column("Honest", hint="by weights that did not see the rows"),
        Column("In sample", hint="by weights fitted on the very rows"),
    ]
    decimals = _decimals(blenders)
    rows, styles = [], []
    for blender, entry in blenders.items():
        cells = [named(blender), *(_share(material, entry, member) for member in names)]
        rows.append([*cells, number(entry["cv"], decimals), number(entry["in_sample"], decimals)])
        styles.append("chosen" if blender == material.scores["chosen"] else "")
    return table(columns, rows, styles)


def _members_down(material: Material, blenders: dict[str, Any], names: list[str]) -> str:
    """The same turned round: a row a member, the heaviest first; the chosen blender stands first."""
    chosen = material.scores["chosen"]
    order = sorted(blenders, key=lambda blender: (blender != chosen, blenders[blender]["cv"] is None))
    columns = [Column("Member", number=False), *(Column(blender, number=False) for blender in order)]
    decimals = _decimals(blenders)
    rows = [
        [title, *(f"<b>{number(blenders[blender][key], decimals)}</b>" for blender in order)]
        for title, key in (("Honest score", "cv"), ("In-sample score", "in_sample"))
    ]
    heaviest = blenders[chosen]["weights"] or {}
    for member in sorted(names, key=lambda name: (-heaviest.get(name, 0.0), names.index(name))):
        mark = swatch(material.colour(Who("member", member)))
        cells = [mark + named(member)]
        rows.append([*cells, *(_share(material, blenders[blender], member) for blender in order)])
    return table(columns, rows)


def _decimals(blenders: dict[str, Any]) -> int:
    return decimals_for([entry[key] for entry in blenders.values() for key in ("cv", "in_sample")])


def _share(material: Material, entry: dict[str, Any], member: str) -> str:
    if entry["weights"] is None:
        return BY_ROW
    return _bar(entry["weights"].get(member, 0.0), material.colour(Who("member", member)))


def _bar(weight: float, style: str) -> str:
    width = max(0.0, min(1.0, weight)) * 100
    return (
        f'<span class="weight">{swatch(style)}<span class="track"><span class="fill {style}"'
        f' style="width:{width:.1f}%"></span></span>{weight * 100:.1f} %</span>'
    )
