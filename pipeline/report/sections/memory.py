"""How far back networks use the competition's data, and whether those that remember more score better."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.interpretation import Curve
from models.network import NETWORKS
from pipeline.probing.summaries import suite_of_members
from pipeline.report.curves import (
    CAPACITY,
    capacity_words,
    gradient_figure,
    law_words,
    retention_figure,
    t50_words,
)
from pipeline.report.markup import Column, Section, figure, grid, legend, named, swatch, table
from pipeline.report.material import Material, Who
from pipeline.report.memory import (
    MemberMemory,
    conclusion,
    corrected,
    correlations,
    memories,
    not_applicable,
    pairs_words,
    words_for,
)
from pipeline.report.rank_correlation import RankCorrelation
from pipeline.report.scatter import Point, scatter
from pipeline.report.sections.attention import season_of
from pipeline.report.svg import Chart, Line
from pipeline.report.text import NONE, decimals_for, escape, listed, metric_name, number, seconds

#: What a count of rows does not say.
OLDER_ROWS = "rows of the window; a column such as a lag may itself hold older rows"


def section(material: Material) -> Section | None:
    """Of the first seed's fit of the first fold of every network."""
    found = memories(material)
    if not found:
        return None
    measured = [one for one in found if not one.error]
    body = ""
    if measured:
        related = correlations(material, found)
        body = (
            _table(material, measured)
            + _suites(material, measured)
            + legend([(_style(material, one), one.name) for one in measured])
            + grid(_curves(material, measured))
            + _gates(measured)
            + "<h3>Does it pay to remember?</h3>"
            + f"<p>{escape(conclusion(found, related))}</p>"
            + grid(_scatters(material, measured, related))
            + _correlations(related)
        )
    for one in found:
        if one.error:
            body += f'<p class="warn">The memory of <b>{escape(one.name)}</b> could not be measured: '
            body += f"{escape(one.error)}.</p>"
    reasons: dict[str, list[str]] = {}
    for name, reason in not_applicable(material).items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        body += f'<p class="note">Not applicable: {escape(listed(names))} ({escape(reason)}).</p>'
    asked = (
        "the first row of the horizon"
        if material.prepared.competition.task == "horizon"
        else "the last row that is judged"
    )
    lead = (
        f"How strongly the forecast of {asked} hangs on the inputs so many rows earlier: the gradient by lag,"
        " a mean over validation windows of the first fold. Rows are those of the window: a column such as a"
        " lag or a rolling mean may itself hold older rows. Beside it stands how long the same kind of"
        " network remembered on synthetic probes (<code>stage=probe</code>), where a suite has run."
    )
    return Section("memory", "Memory", lead, body)


def _style(material: Material, one: MemberMemory) -> str:
    return material.colour(Who("member", one.name))


def _table(material: Material, found: list[MemberMemory]) -> str:
    metric = metric_name(material.metric)
    decimals = decimals_for([score for one in found for score in (one.cv, one.local)])
    suites = _suite_of_probe(found)
    measured_capacity = any(one.capacity for one in found)
    columns = [
        Column("Member", number=False),
        Column(f"{metric}, CV", hint="mean over folds"),
        Column(f"{metric}, local", hint="on the local hold-out, or the test rows where their truth is known"),
        *(
            Column(f"T50 {probe}", hint=f"longest length that half the seeds solve, in the suite {suite}")
            for probe, suite in suites.items()
        ),
        Column(
            "95 % within",
            hint=f"rows back that hold 95 % of the gradient, of those that a window has ({OLDER_ROWS});"
            " small: the share that lies on later rows",
        ),
        Column(
            "Falls as",
            number=False,
            hint="the better of two laws by AIC: rows until 1/e is left, or the exponent of the power law;"
            " small: its Akaike weight, 0.50 is a draw",
        ),
        Column("Receptive field", hint=f"rows that can reach the output at all ({OLDER_ROWS})"),
        *([Column("Capacity", hint=CAPACITY)] if measured_capacity else []),
        Column("Parameters"),
        Column("Work", hint="seconds of all its fits together"),
    ]
    rows = []
    for one in found:
        field = one.content["receptive_field"]
        rows.append(
            [
                swatch(_style(material, one)) + named(one.name),
                number(one.cv, decimals),
                number(one.local, decimals),
                *(_t50(one.t50.get(probe)) for probe in suites),
                _reach(one),
                law_words(one.law),
                "the window" if field is None else str(field["rows"]),
                *([capacity_words(one.capacity)] if measured_capacity else []),
                NONE if one.parameters is None else f"{one.parameters:,}",
                seconds(one.seconds),
            ]
        )
    return table(columns, rows)


def _reach(one: MemberMemory) -> str:
    if one.reach95 is None:
        return NONE
    ahead = one.content["gradient"]["future"]
    words = f' <span class="kind">+{ahead * 100:.0f} % ahead</span>' if ahead >= 0.005 else ""
    return f"{one.reach95} of {len(one.gradient) - 1}{words}"


def _t50(entry: dict[str, Any] | None) -> str:
    return NONE if entry is None else t50_words(entry["length"], entry["tried"])


def _suite_of_probe(found: list[MemberMemory]) -> dict[str, str]:
    """Of each probe, by name: one for all members."""
    return dict(sorted((probe, entry["suite"]) for one in found for probe, entry in one.t50.items()))


def _suites(material: Material, found: list[MemberMemory]) -> str:
    """Where each T50 comes from, and how to have those of these very members."""
    own = suite_of_members(material.prepared.competition.name)
    probes: dict[str, list[str]] = {}
    members: dict[str, list[str]] = {}
    for probe, suite in _suite_of_probe(found).items():
        probes.setdefault(suite, []).append(probe)
    for one in found:
        for suite, row in sorted({(entry["suite"], entry["row"]) for entry in one.t50.values()}):
            members.setdefault(suite, []).append(one.name if row == one.name else f"{one.name} as {row}")
    whose = "; ".join(
        f"{listed(names)} in suite {suite} ({listed(members[suite])})" for suite, names in probes.items()
    )
    words = f"T50 is of the suite's network of that name, with the suite's settings: {whose}."
    if not probes:
        words = "No suite of probes that has run under the same root has a row of these members."
    note = escape(words)
    if not any(_can_be_probed(one.fit.kind) for one in found):
        note += " They are made for a history and a horizon: no probe asks them."
    elif set(probes) != {own}:
        name = escape(material.prepared.competition.name)
        command = f"stage=probe probe=members competition={name} size={escape(material.size)}"
        note += f" <code>{command}</code> probes these very members."
    return f'<p class="note">{note}</p>'


def _can_be_probed(kind: str) -> bool:
    """Whether it is trained on single sequences, too; a plugin's that is not there may be."""
    return kind not in NETWORKS.names() or "sequence" in NETWORKS.get(kind).tasks


def _curves(material: Material, found: list[MemberMemory]) -> list[str]:
    longest = max(len(one.gradient) for one in found)
    season = season_of(
        material.prepared.competition.seasonality, Curve(list(range(longest)), [0.0] * longest)
    )
    marks = range(season, longest, season) if season else []
    return [
        gradient_figure(
            [(one.name, _style(material, one), one.gradient) for one in found],
            f"vertical lines: multiples of the season of {season} rows" if season else "",
            marks,
        ),
        _perturbation(material, found),
    ]


def _gates(found: list[MemberMemory]) -> str:
    figures = [
        retention_figure(one.content["retention"], one.name) for one in found if one.content["retention"]
    ]
    if not figures:
        return ""
    return (
        "<h3>What the forget gates keep</h3>"
        '<p class="note">Of the content of recurrent cells, the share that is left after so many rows, by the'
        " product of their forget gates on the same windows: the mean over units, and dashed what a tenth of"
        " them exceeds. In words, until 1/e is left in the middle unit, were its gate constant.</p>"
        f"{grid(figures)}"
    )


def _perturbation(material: Material, found: list[MemberMemory]) -> str:
    lines = []
    for one in found:
        change = one.content["perturbation"]
        lag, value = np.array(change["lag"], dtype=float), np.array(change["change"], dtype=float)
        lines.append(Line(lag, value, _style(material, one), one.name))
    chart = Chart(lines, "change of the forecast by lag of an altered row", "rows earlier", from_zero=True)
    # Older files do not say.
    classes = {bool(one.content["perturbation"].get("classes")) for one in found}
    unit = {
        False: "mean change, in standard deviations of the forecast",
        True: "share of windows whose class changes",
    }
    note = f"{' or '.join(unit[kind] for kind in sorted(classes))}, when one row is that of another window"
    return figure(chart.svg(), "A row exchanged", note)


def _scatters(
    material: Material, found: list[MemberMemory], related: dict[str, RankCorrelation | None]
) -> list[str]:
    better = "up" if material.scorer.metric.greater_is_better else "down"
    suites = _suite_of_probe(found)
    figures = []
    for measure in related:
        points = []
        for one in found:
            entry = one.t50.get(measure.removeprefix("T50 "))
            memory = one.reach95 if measure == "reach95" else entry["length"] if entry else None
            if memory is not None and one.score is not None:
                points.append(Point(memory, one.score, _style(material, one), one.name))
        if len({point.x for point in points}) > 1 or (measure == "reach95" and points):
            words = "rows that hold 95 % of the gradient" if measure == "reach95" else measure
            drawing = scatter(points, f"score by {words}", words)
            note = f"{escape(metric_name(material.metric))}, better is {better}"
            suite = suites.get(measure.removeprefix("T50 "))
            note += f"; suite {escape(suite)}" if suite else ""
            figures.append(figure(drawing, f"Score by {escape(words_for(measure))}", note))
    return figures


def _correlations(related: dict[str, RankCorrelation | None]) -> str:
    known = {name: one for name, one in related.items() if one is not None}
    if not known:
        return ""
    columns = [
        Column("Memory by", number=False),
        Column(
            "Over", number=False, hint="members that share a suite's network are one, with their mean score"
        ),
        Column("Rank correlation", hint="Spearman's; positive: those that remember more score better"),
        Column("By chance up to", hint="95 % of all orders of the members stay within"),
        Column("As much by chance", hint="share of the orders that give at least as much, in either way"),
        Column("Corrected", hint="the same for as many comparisons as there are, after Holm"),
        Column("95 % interval", hint="by resampling them, where there are 8 of them or more"),
    ]
    shares = corrected(related)
    rows = []
    for name, one in known.items():
        interval = NONE
        if one.interval is not None:
            interval = f"{number(one.interval[0], 2)} … {number(one.interval[1], 2)}"
        rows.append(
            [
                escape(words_for(name)),
                pairs_words(name, one),
                number(one.rho, 2),
                f"± {number(one.by_chance, 2)}",
                f"{one.chance * 100:.1f} %",
                f"{shares[name] * 100:.1f} %",
                interval,
            ]
        )
    return table(columns, rows)
