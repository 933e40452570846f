"""The page of a suite: what was solved how far back, by whom, and how far back the trained networks look."""

from __future__ import annotations

from pipeline.probing.memory_section import memory_section
from pipeline.probing.probe_section import probe_section
from pipeline.probing.suite_material import SuiteMaterial
from pipeline.report.curves import t50_words
from pipeline.report.markup import Column, Section, named, swatch, table
from pipeline.report.page import document
from pipeline.report.text import NONE, escape, listed, plural

TITLE = "How far back does each model remember?"


def suite_page(material: SuiteMaterial) -> str:
    """Self-contained HTML."""
    labels = [label for label in material.probes if material.rows(label)]
    sections = [_t50(material, labels)]
    sections += [probe_section(material, label) for label in labels]
    sections += [section for section in (memory_section(material, labels), _reading()) if section is not None]
    return document(f"{TITLE} Suite {material.suite}", _header(material, labels), sections)


def _header(material: SuiteMaterial, labels: list[str]) -> str:
    cells = len(material.cells)
    what = (
        f"{plural(len(labels), 'probe')}, {plural(len(material.members), 'member')}, {plural(cells, 'cell')}"
    )
    count = material.summary["missing"]
    missing = (
        f'<p class="warn">{plural(count, "cell")} of the suite not there yet: in successes and T50 they count'
        " as unsolved. The same command goes on with them.</p>"
        if count
        else ""
    )
    return (
        "<header>"
        f'<p class="eyebrow">long-dependency probes · suite {escape(material.suite)}</p>'
        f"<h1>{TITLE}</h1>"
        f'<p class="verdict">{_verdict(material, labels)}</p>'
        f'<p class="note">{what}</p>{missing}'
        f'<p class="command-label">Made by</p><pre class="command">{escape(material.command)}</pre>'
        "</header>"
    )


def _verdict(material: SuiteMaterial, labels: list[str]) -> str:
    """Who remembers longest, probe by probe."""
    if not labels:
        return "No cell is finished."
    sentences = []
    for label in labels:
        known = {member: material.t50(label, member) or 0 for member in material.members}
        longest, title = max(known.values()), escape(label)
        if not longest:
            sentences.append(f"<b>{title}</b> is solved by nobody.")
            continue
        best = escape(listed([member for member, length in known.items() if length == longest]))
        most = ", the longest that was tried" if longest == max(material.lengths(label)) else ""
        sentences.append(f"<b>{title}</b> is solved up to {longest}{most}, by {best}.")
    return " ".join(sentences)


def _t50(material: SuiteMaterial, labels: list[str]) -> Section:
    columns = [Column("Member", number=False), Column("Kind", number=False)]
    columns += [Column(label) for label in labels]
    rows = []
    for member in material.members:
        cells = [swatch(material.colour(member)) + named(member), escape(material.kind(member))]
        for label in labels:
            length = material.t50(label, member)
            cells.append(NONE if length is None else t50_words(length, material.tried(label, member)))
        rows.append(cells)
    lead = (
        "T50, the longest length that half the seeds solve, or more of them. \N{GREATER-THAN OR EQUAL TO}: it"
        " was the longest that was tried; &lt;: not even the shortest one was solved."
    )
    return Section("t50", "T50", lead, table(columns, rows))


def _reading() -> Section:
    terms = [
        ("Length", "the distance that has to be bridged, or close to it; a window may have more rows."),
        ("Chance", "the analytic error of a model that knows nothing of the window."),
        ("Last row alone", "of one that sees the judged row and remembers nothing, where that helps."),
        ("Solved", "a seed that reaches the probe's goal on fresh test windows, with the weights of its best"
         " look at validation windows. A cell ends when the goal is reached there beyond doubt, when it is"
         " stuck, or when its steps are used up; what is unsolved then may be solved by more steps."),
        ("Success", "the share of the seeds that solve it."),
        ("Error", "mean squared error, or cross-entropy in nats, on test windows; the mean over the seeds."),
    ]  # fmt: skip
    body = "<dl>" + "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in terms) + "</dl>"
    return Section("reading", "How to read this page", "", body)
