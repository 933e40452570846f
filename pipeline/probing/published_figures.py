"""What others published on a probe, beside what came out here."""

from __future__ import annotations

from data.probes.judged import Published
from pipeline.probing.suite_material import SuiteMaterial
from pipeline.report.curves import t50_words
from pipeline.report.markup import Column, table
from pipeline.report.text import NONE, compact, escape, rounded

#: Metrics of the article on first_plus_last.
REMEMBERED, FORGOTTEN = "longest length remembered", "shortest length forgotten"


def published_figures(material: SuiteMaterial, label: str) -> str:
    """Figures of others beside ours."""
    published = material.probes[label].published_here
    if not published:
        return ""
    columns = [
        Column("Model", number=False),
        Column("Length"),
        Column("What", number=False),
        Column("Published"),
        Column("Here", number=False),
        Column("Parameters"),
        Column("Source", number=False),
    ]
    rows = [
        [
            escape(one.model),
            "all" if one.length is None else str(one.length),
            escape(one.metric),
            compact(one.value),
            ours(material, label, one),
            NONE if one.parameters is None else f"{one.parameters:,}",
            f'<span class="wrapped">{_source(one)}</span>',
        ]
        for one in published
    ]
    note = "Settings differ where the source says them; what was not tried here has no figure."
    if any(one.metric in (REMEMBERED, FORGOTTEN) for one in published):
        note += " Remembered: half the seeds err less than half as much as the last row alone allows."
    return f'<h3>Published</h3><p class="note">{note}</p>{table(columns, rows)}'


def _remembers(material: SuiteMaterial, label: str, member: str, length: int) -> bool:
    """Whether half the seeds err less than half as much as one does who knows the judged row alone.

    To solve a probe is more than that: who remembers vaguely has not forgotten.
    """
    whose = (member, label, length)
    cells = [cell for cell in material.cells if (cell["member"], cell["probe"], cell["length"]) == whose]
    enough = [
        cell["error"] is not None
        and cell["error"] < (cell["chance"]["present"] or cell["chance"]["error"]) / 2
        for cell in cells
    ]
    return 2 * sum(enough) >= len(enough)


def _source(one: Published) -> str:
    setting = f' <span class="kind">{escape(one.setting)}</span>' if one.setting else ""
    return f"{escape(one.source)}{setting}"


def ours(material: SuiteMaterial, label: str, published: Published) -> str:
    """Our figure beside a published one, or why there is none (HTML)."""
    names = [member for member in material.members_of(label) if member == published.model]
    names += [
        member for member in material.members_of(label) if material.kind(member) == published.model != member
    ]
    if not names:
        return "no such row"
    member = names[0]
    tried = material.tried(label, member)
    if published.metric in (REMEMBERED, FORGOTTEN):
        known = [length for length in tried if _remembers(material, label, member, length)]
        if published.metric == REMEMBERED:
            return t50_words(max(known, default=0), tried)
        forgotten = [length for length in tried if length not in known]
        return str(forgotten[0]) if forgotten else f"&gt; {tried[-1]}"
    length = tried[-1] if published.length is None else published.length
    if length not in tried:
        return f"{length} was not tried"
    value = material.rows(label)[member, length].get(published.metric)
    where = f" at {length}" if published.length is None else ""
    whose = "" if member == published.model else f' <span class="kind">{escape(member)}</span>'
    return NONE if value is None else f"{rounded(value)}{where}{whose}"
