"""Pieces of the page: sections, tables, legends, grids of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.text import escape


@dataclass(frozen=True)
class Section:
    """One part of the page; `lead` and `body` are HTML."""

    anchor: str
    title: str
    lead: str  # a paragraph: what there is to see
    body: str

    def html(self) -> str:
        """The element."""
        lead = f'<p class="lead">{self.lead}</p>' if self.lead else ""
        return f'<section id="{self.anchor}"><h2>{escape(self.title)}</h2>{lead}{self.body}</section>'


@dataclass(frozen=True)
class Column:
    """Of a table; numbers stand right."""

    title: str
    number: bool = True
    hint: str = ""  # shown when pointed at


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> str:
    """Cells are HTML; the first column is the row's heading. Scrolls in its own box where it is too wide."""
    head = "".join(
        f'<th scope="col"{_side(column)}{_hint(column)}>{escape(column.title)}</th>' for column in columns
    )
    body = []
    for index, row in enumerate(rows):
        style = f' class="{styles[index]}"' if index < len(styles) and styles[index] else ""
        cells = [f'<th scope="row"{_side(columns[0])}>{row[0]}</th>']
        cells += [
            f"<td{_side(column)}>{cell}</td>" for column, cell in zip(columns[1:], row[1:], strict=True)
        ]
        body.append(f"<tr{style}>{''.join(cells)}</tr>")
    return (
        '<div class="scroll" tabindex="0"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values (HTML) in two columns."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>"


def figure(drawing: str, title: str, note: str = "") -> str:
    """A drawing under its title (HTML)."""
    below = f'<span class="note">{note}</span>' if note else ""
    return f"<figure><figcaption>{title}{below}</figcaption>{drawing}</figure>"


def grid(figures: Sequence[str]) -> str:
    """Side by side where there is room, one below the other on a phone."""
    return f'<div class="grid-of-figures">{"".join(figures)}</div>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """(CSS classes of the line, words)."""
    items = "".join(
        f'<li><svg viewBox="0 0 22 8" aria-hidden="true"><path class="line {style}" d="M1,4L21,4"/></svg>'
        f"{escape(words)}</li>"
        for style, words in entries
    )
    return f'<ul class="legend">{items}</ul>'


def swatch(style: str) -> str:
    """A dot in the colour of a member."""
    circle = f'<circle class="dot {style}" cx="5" cy="5" r="4.2"/>'
    return f'<svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">{circle}</svg>'


def named(text: str) -> str:
    """Of a member or the like; may break after an underscore."""
    return f'<span class="name">{escape(text).replace("_", "_<wbr>")}</span>'


def code(text: str) -> str:
    """In the line."""
    return f"<code>{escape(text)}</code>"


def _side(column: Column) -> str:
    return ' class="number"' if column.number else ""


def _hint(column: Column) -> str:
    return f' title="{escape(column.hint)}"' if column.hint else ""
