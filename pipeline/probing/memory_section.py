"""How far back the trained networks of a suite look: gradient by lag, and what their cells keep."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.probing.suite_material import SuiteMaterial
from pipeline.report.curves import (
    CAPACITY,
    better_law,
    capacity_words,
    gradient_figure,
    law_words,
    layer_names,
    median_timescale,
)
from pipeline.report.markup import Column, Section, figure, grid, legend, named, swatch, table
from pipeline.report.svg import Chart, Line
from pipeline.report.text import NONE, escape, listed, number

#: CSS classes of the curves of one cell.
MEASURED, EXPONENTIAL, POWER_LAW = "truth", "inner neutral", "inner blend"


def memory_section(material: SuiteMaterial, labels: list[str]) -> Section | None:
    """None where nothing was measured."""
    body, failed = "", []
    for label in labels:
        own = {
            member: material.memory[label, member]
            for member in material.members
            if (label, member) in material.memory
        }
        failed += [f"{member} on {label}: {one['error']}" for member, one in own.items() if "error" in one]
        measured = {member: one for member, one in own.items() if "error" not in one}
        if measured:
            body += _probe(material, label, measured)
    body += "".join(f'<p class="warn">Could not be measured: {escape(words)}.</p>' for words in failed)
    if not body:
        return None
    lead = (
        "Measured on the trained networks, at the longest length of each probe: of a member's seeds, the one"
        " with the lowest error. The gradient of the last judged row by how many rows earlier an input lies"
        " shows what a network looks at; a cell's forget gates show what it could keep: their product from"
        " the first row on, the mean over units. Beside it stand the exponential with every unit's mean gate,"
        " and for pLSTM the power law that its cells would follow if they never reset. A mean over units of"
        " many timescales may look like a power law without any of them being one."
    )
    return Section("memory", "What the trained networks keep", lead, body)


def _probe(material: SuiteMaterial, label: str, measured: dict[str, dict[str, Any]]) -> str:
    curves = [
        (member, material.colour(member), np.array(one["gradient"]["total"], dtype=float))
        for member, one in measured.items()
    ]
    lengths = sorted({one["length"] for one in measured.values()})
    figures = [gradient_figure(curves, f"length {listed([str(length) for length in lengths])}")]
    recurrent = {member: one for member, one in measured.items() if one["from_start"]}
    figures += [_kept(member, one) for member, one in recurrent.items()]
    entries = [(material.colour(member), member) for member in measured]
    if recurrent:
        entries += [(MEASURED, "measured gates"), (EXPONENTIAL, "exponential of the mean gate")]
        if any(layer["power_law"] for one in recurrent.values() for layer in one["from_start"]):
            entries.append((POWER_LAW, "power law without resets"))
    drawn = grid([one for one in figures if one])
    return f"<h3>{escape(label)}</h3>{_table(material, measured)}{legend(entries)}{drawn}"


def _table(material: SuiteMaterial, measured: dict[str, dict[str, Any]]) -> str:
    columns = [
        Column("Member", number=False),
        Column("Length"),
        Column("95 % within", hint="rows back that hold 95 % of the gradient: the effective receptive field"),
        Column("Receptive field", hint="rows that can reach the output at all"),
        Column("Outside of it", hint="largest change of the output by inputs outside of the receptive field"),
        Column(
            "Falls as",
            number=False,
            hint="the better of two laws of the gradient by AIC: rows until 1/e is left, or the exponent of"
            " the power law; small: its Akaike weight",
        ),
        Column("Time scale", hint="of a recurrent layer's middle unit, rows until 1/e is left; by layer"),
        Column("Capacity", hint=CAPACITY),
    ]
    rows = []
    for member, one in measured.items():
        field, capacity = one["receptive_field"], one.get("capacity")
        scales = [median_timescale(layer) for layer in one["retention"]]
        rows.append(
            [
                swatch(material.colour(member)) + named(member),
                str(one["length"]),
                NONE
                if one["reach95"] is None
                else f"{one['reach95']} of {len(one['gradient']['total']) - 1}",
                "the window" if field is None else str(field["rows"]),
                number(one["beyond"], 2),
                law_words(better_law(one["fit"])),
                ", ".join("no end" if scale is None else number(scale, 1) for scale in scales) or NONE,
                capacity_words(None if capacity is None else (capacity["capacity"], capacity["units"])),
            ]
        )
    return table(columns, rows)


def _kept(member: str, one: dict[str, Any]) -> str:
    """Of all layers; the last layer's lines are drawn last."""
    lines, words = [], []
    layers = one["from_start"]
    for name, layer in zip(layer_names(layers), layers, strict=True):
        row = np.array(layer["row"], dtype=float)
        for what, style, title in (
            ("exponential", EXPONENTIAL, "exponential of the mean gate"),
            ("power_law", POWER_LAW, "power law without resets"),
            ("kept", MEASURED, "measured"),
        ):
            if layer[what] is not None:
                lines.append(Line(row, np.array(layer[what], dtype=float), style, f"{name}, {title}"))
        if layer["better"]:
            law = {"exponential": "an exponential", "power": "a power law"}[layer["better"]]
            of = f" in {name}" if len(layers) > 1 else ""
            words.append(f"{law}{of} ({layer['weight']:.2f})")
    chart = Chart(lines, f"what the cells of {member} keep by row", "rows from the start", from_zero=True)
    solved = "solved" if one["solved"] else "not solved"
    note = f"seed {one['seed']}, {solved}"
    if words:
        note += f"; by AIC it falls as {escape(listed(words))}"
    return figure(chart.svg(), escape(member), note)
