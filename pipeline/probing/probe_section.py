"""One probe of a suite: an example, the table, success and error by length, learning curves."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data.probes.base import Probe
from pipeline.probing.published_figures import published_figures
from pipeline.probing.suite_material import SuiteMaterial
from pipeline.probing.table import ENDS, limits_words
from pipeline.report.curves import t50_words
from pipeline.report.markup import Column, Section, figure, grid, legend, named, swatch, table
from pipeline.report.svg import LEFT, RIGHT, WIDTH, Chart, Line, Scale
from pipeline.report.text import NONE, escape, number, plural, rounded, seconds

LOG_FROM = 20.0  # ratio of the largest value to the smallest one, for a logarithmic axis
LEAST_APART = 26.0  # between labels of lengths, in the drawing's units
MOST_OPEN = 3  # figures of learning curves that are not folded away
RATE = 100.0
PRESENT = "last row alone"


def probe_section(material: SuiteMaterial, label: str) -> Section:
    """All that is known of one probe."""
    probe = material.probes[label]
    entries = [(material.colour(member), member) for member in material.members_of(label)]
    body = (
        example(probe)
        + _table(material, label)
        + _not_applicable(material, label)
        + legend([*entries, *_baselines(material, label)])
        + grid([_success(material, label), _accuracy(material, label), _error(material, label)])
        + _learning(material, label)
        + _ends(material, label)
        + published_figures(material, label)
    )
    lead = escape(" ".join((inspect.getdoc(type(probe)) or "").split("\n\n")[0].split()))
    settings = label.partition("-")[2].replace("-", ", ")
    return Section(f"probe-{label}", probe.title + (f", {settings}" if settings else ""), lead, body)


def example(probe: Probe) -> str:
    """A window of the probe with its settings, short enough to be read (HTML)."""
    short = type(probe)(replace(probe.config, **probe.example_settings))
    shown = short.show(short.test_batch(probe.example, 1, 0))
    words = [
        f"at length {probe.example}",
        *(f"{name}={value}" for name, value in probe.example_settings.items()),
    ]
    title = f"An example, {', '.join(words)}"
    return f"<details><summary>{title}</summary><pre>{escape(shown)}</pre></details>"


def _table(material: SuiteMaterial, label: str) -> str:
    rows, lengths = material.rows(label), material.lengths(label)
    columns = [Column("Member", number=False), Column("Parameters")]
    columns += [
        Column(str(length), hint="error, and the share of the seeds that solve it") for length in lengths
    ]
    columns.append(Column("T50"))
    some = {length: cell for (_, length), cell in rows.items()}
    cells = [["chance", "", *(_chance(some[length]) for length in lengths), ""]]
    if _knows_the_present(material, label):
        present = (rounded(some[length]["chance_present"]) for length in lengths)
        cells.append([PRESENT, "", *present, ""])
    for member in material.members_of(label):
        line = {length: cell for (name, length), cell in rows.items() if name == member}
        length = material.t50(label, member)
        counts = sorted({cell["parameters"] for cell in line.values()})
        cells.append(
            [
                swatch(material.colour(member)) + named(member),
                f"{counts[0]:,}" + (f" \N{EN DASH} {counts[-1]:,}" if len(counts) > 1 else ""),
                *(_cell(line.get(one)) for one in lengths),
                NONE if length is None else t50_words(length, sorted(line)),
            ]
        )
    return table(columns, cells) + _costs(material, label)


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return NONE
    error = "diverged" if cell["error"] is None else rounded(cell["error"])
    words = [f"{cell['success_rate'] * RATE:.0f} %"]
    if cell["accuracy"] is not None:
        words.append(f"right {cell['accuracy'] * RATE:.0f} %")
    if cell.get("perplexity") is not None:
        words.append(f"perplexity {rounded(cell['perplexity'])}")
    if cell["missing"]:
        words.append(f"{plural(cell['missing'], 'seed')} to come")
    return f'{error} <span class="kind">{", ".join(words)}</span>'


def _chance(cell: dict[str, Any]) -> str:
    """The error that chance gives, and the accuracy and perplexity where the probe has them."""
    words = []
    if cell["chance_accuracy"] is not None:
        words.append(f"right {cell['chance_accuracy'] * RATE:.0f} %")
    if "chance_perplexity" in cell:
        words.append(f"perplexity {rounded(cell['chance_perplexity'])}")
    error = rounded(cell["chance"])
    return f'{error} <span class="kind">{", ".join(words)}</span>' if words else error


def _knows_the_present(material: SuiteMaterial, label: str) -> bool:
    """Whether the judged row alone tells something at all lengths."""
    return all(cell["chance_present"] is not None for cell in material.rows(label).values())


def _baselines(material: SuiteMaterial, label: str) -> list[tuple[str, str]]:
    """CSS classes and names of the lines that are no member's."""
    found = [("baseline", "chance")]
    return [*found, ("baseline again", PRESENT)] if _knows_the_present(material, label) else found


def _costs(material: SuiteMaterial, label: str) -> str:
    columns = [
        Column("Member", number=False),
        Column("Length"),
        Column("Steps", hint="mean over the seeds"),
        Column("Seconds", hint="mean over the seeds"),
        Column(
            "Steps to solve", hint="to the look whose weights were kept; median over the seeds that solve it"
        ),
        Column("Seconds to solve"),
        Column("Ended", number=False, hint="by seed"),
    ]
    cells = []
    for (member, length), cell in sorted(
        material.rows(label).items(), key=lambda entry: (material.members.index(entry[0][0]), entry[0][1])
    ):
        solved = cell["steps_to_solve"] is not None
        cells.append(
            [
                swatch(material.colour(member)) + named(member),
                str(length),
                number(cell["steps"], 0),
                seconds(cell["seconds"]),
                number(cell["steps_to_solve"], 0),
                seconds(cell["seconds_to_solve"]) if solved else NONE,
                escape(", ".join(cell["ended"])),
            ]
        )
    words = limits_words(material.summary, label)
    limits = f'<p class="note">A cell: {words}.</p>' if words else ""
    return f"{limits}<details><summary>Steps and seconds</summary>{table(columns, cells)}</details>"


def _not_applicable(material: SuiteMaterial, label: str) -> str:
    return "".join(
        f'<p class="note">{escape(member)}: not applicable, {escape(reasons[label])}.</p>'
        for member, reasons in material.summary["not_applicable"].items()
        if label in reasons
    )


def length_ticks(lengths: Sequence[int]) -> list[tuple[float, str]]:
    """Labels of an axis from the first length to the last; where they would touch, the longer stays."""
    across = Scale(min(lengths), max(lengths), LEFT, WIDTH - RIGHT, wants_log(lengths))
    kept: list[int] = []
    for length in sorted(lengths, reverse=True):
        if not kept or across(kept[-1]) - across(length) >= LEAST_APART:
            kept.append(length)
    return [(float(length), str(length)) for length in reversed(kept)]


def wants_log(values: Sequence[float] | np.ndarray, ratio: float = LOG_FROM) -> bool:
    """Whether they span so much that a logarithmic axis shows them better."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return bool(len(known) and known.min() > 0 and known.max() / known.min() > ratio)


def _by_length(material: SuiteMaterial, label: str, what: str) -> list[Line]:
    rows, lengths = material.rows(label), material.lengths(label)
    lines = []
    for member in material.members_of(label):
        values = [(rows.get((member, length)) or {}).get(what) for length in lengths]
        lines.append(_line(lengths, values, material.colour(member), member, points=True))
    return lines


def _line(x: Sequence[float], y: Sequence[Any], style: str, name: str, points: bool = False) -> Line:
    return Line(np.array(x, dtype=float), np.array(y, dtype=float), style, name, points)


def _success(material: SuiteMaterial, label: str) -> str:
    """Chance solves none: that a blind forecast misses the goal is what every probe has to keep to."""
    lines, lengths = _by_length(material, label, "success_rate"), material.lengths(label)
    lines.append(_line(lengths, [0.0] * len(lengths), "baseline", "chance"))
    return _share_by_length(material, label, lines, "Success", "share of the seeds that solve it")


def _accuracy(material: SuiteMaterial, label: str) -> str:
    """Nothing where the probe has no classes."""
    lengths = material.lengths(label)
    chance = {length: cell["chance_accuracy"] for (_, length), cell in material.rows(label).items()}
    if None in chance.values():
        return ""
    lines = _by_length(material, label, "accuracy")
    lines.append(_line(lengths, [chance[length] for length in lengths], "baseline", "chance"))
    return _share_by_length(material, label, lines, "Accuracy", "share that is right, mean over the seeds")


def _share_by_length(material: SuiteMaterial, label: str, lines: Sequence[Line], what: str, note: str) -> str:
    lengths = material.lengths(label)
    chart = Chart(
        lines,
        f"{what.lower()} by length on {label}",
        "length",
        x_ticks=length_ticks(lengths),
        from_zero=True,
        log_x=wants_log(lengths),
    )
    return figure(chart.svg(), f"{what} by length", note)


def _error(material: SuiteMaterial, label: str) -> str:
    rows, lengths = material.rows(label), material.lengths(label)
    some = {length: cell for (_, length), cell in rows.items()}
    lines = _by_length(material, label, "error")
    whose = ("chance", "chance_present")
    for (style, name), what in zip(_baselines(material, label), whose, strict=False):
        lines.append(_line(lengths, [some[length][what] for length in lengths], style, name))
    log = wants_log(np.concatenate([line.y for line in lines]))
    chart = Chart(
        lines,
        f"error by length on {label}",
        "length",
        x_ticks=length_ticks(lengths),
        from_zero=True,
        log=log,
        log_x=wants_log(lengths),
    )
    note = "mean over the seeds, on test windows" + (", logarithmic" if log else "")
    return figure(chart.svg(), "Error by length", note)


def _learning(material: SuiteMaterial, label: str) -> str:
    """One figure a length, one line a seed."""
    figures = []
    for length in reversed(material.lengths(label)):
        cells = [cell for cell in material.cells if (cell["probe"], cell["length"]) == (label, length)]
        lines = []
        for cell in sorted(cells, key=lambda cell: (material.members.index(cell["member"]), cell["seed"])):
            steps, errors = [look[0] for look in cell["looks"]], [look[1] for look in cell["looks"]]
            style = f"thin {material.colour(cell['member'])}"
            lines.append(
                _line(steps, errors, style, f"{cell['member']}, seed {cell['seed']}", len(steps) == 1)
            )
        last = max((line.x[-1] for line in lines if len(line.x)), default=0.0)
        if not last:
            continue
        chance = cells[0]["chance"]["error"]
        lines.append(_line([0.0, last], [chance, chance], "baseline", "chance"))
        log = wants_log(np.concatenate([line.y for line in lines]))
        chart = Chart(lines, f"error by step on {label} at length {length}", "step", log=log)
        note = f"{plural(len(cells), 'cell')}{', logarithmic' if log else ''}"
        figures.append(figure(chart.svg(), f"Length {length}", note))
    if not figures:
        return ""
    more = ""
    if len(figures) > MOST_OPEN:
        more = f"<details><summary>Shorter lengths</summary>{grid(figures[MOST_OPEN:])}</details>"
    words = "The error on validation windows while a network learns, one line a seed."
    return f'<h3>Learning curves</h3><p class="note">{words}</p>{grid(figures[:MOST_OPEN])}{more}'


def _ends(material: SuiteMaterial, label: str) -> str:
    """What a trained network makes of either end, where the probe is about them."""
    found = {key: cell for key, cell in material.rows(label).items() if ENDS[0] in cell}
    if not found:
        return ""
    columns = [
        Column("Member", number=False),
        Column("Length"),
        Column("First enlarged", hint="change of the prediction when x[0] is taken 1.5 times, in median"),
        Column("Last enlarged", hint="the same with x[-1]; who uses both alike has the same in both"),
        Column("First alone", hint="mean squared error for x[0] in steps of 0.1, when x[-1] is 0"),
        Column("Last alone", hint="mean squared error for x[-1] in steps of 0.1, when x[0] is 0"),
    ]
    cells = []
    for (member, length), cell in sorted(
        found.items(), key=lambda entry: (material.members.index(entry[0][0]), entry[0][1])
    ):
        change = [NONE if cell[name] is None else f"{cell[name] * RATE:.1f} %" for name in ENDS[:2]]
        blinding = [NONE if cell[name] is None else rounded(cell[name]) for name in ENDS[2:]]
        cells.append([swatch(material.colour(member)) + named(member), str(length), *change, *blinding])
    return f"<details><summary>What either end does</summary>{table(columns, cells)}</details>"
