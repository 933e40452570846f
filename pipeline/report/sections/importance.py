"""Which columns the members look at: trees by their gain, networks by variable selection."""

from __future__ import annotations

from collections.abc import Mapping

from models.interpretation import Interpretation, mean_of
from pipeline.report.markup import Section, figure, grid
from pipeline.report.material import Material, Who
from pipeline.report.svg import named_bars
from pipeline.report.text import escape, plural

SHOWN = 12

#: What a group's weights are, by its name.
GROUPS = {
    "gain": ("", "share of the gain"),
    "known": ("known inputs", "mean weight in the rows that are judged"),
    "past": ("past inputs", "mean weight in the rows before the origin"),
    "static": ("static inputs", "mean weight"),
}


def interpretations(material: Material, name: str) -> list[Interpretation]:
    """Of the fits of one member, those that tell what they look at."""
    return [fit.interpretation for fit in material.members[name] if fit.interpretation is not None]


def section(material: Material) -> Section | None:
    """The mean over fits, of every member that tells it; a figure for each group of its variables."""
    figures, groups = [], set()
    for name in material.ranking:
        found = interpretations(material, name)
        variables = mean_of(found).variables
        for group in sorted(variables, key=list(GROUPS).index):
            weights = variables[group]
            if len(weights) > 1 and sum(weights.values()) > 0:  # the only one has all the weight
                figures.append(_figure(material, name, group, weights, len(found)))
                groups.add(group)
    if not figures:
        return None
    lead = []
    if "gain" in groups:
        lead.append(
            "How much of the trees' gain each column brings. Columns that say the same share it between them,"
            " so a small bar does not mean that nothing would be lost without the column."
        )
    if groups - {"gain"}:
        lead.append(
            "Networks with variable selection give each column a weight in every row, by what all of them"
            " say there; the weights of a row sum to 1. The bars are means over validation windows. A column"
            " that is rarely looked at may still decide the rows where it is."
        )
    return Section("importance", "Feature importance", " ".join(lead), grid(figures))


def _figure(material: Material, name: str, group: str, weights: Mapping[str, float], fits: int) -> str:
    title, meaning = GROUPS[group]
    ranked = sorted(weights.items(), key=lambda entry: -entry[1])
    rows = [(variable, share, f"{share * 100:.1f} %") for variable, share in ranked[:SHOWN]]
    note = f"{meaning}, mean of {plural(fits, 'fit')}"
    rest = [share for _, share in ranked[SHOWN:]]
    if rest:
        note += f"; {len(rest)} more share {sum(rest) * 100:.1f} %"
    label = f"{name}, {title}" if title else name
    drawing = named_bars(rows, material.colour(Who("member", name)), f"feature importance of {label}")
    return figure(drawing, escape(label), note)
