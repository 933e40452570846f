"""What the reader may do next."""

from __future__ import annotations

from pipeline.report.advice import Advice, advice
from pipeline.report.markup import Section, code
from pipeline.report.material import Material
from pipeline.report.text import escape


def section(material: Material) -> Section | None:
    """The most pressing first; None where nothing is suggested."""
    found = advice(material)
    if not found:
        return None
    items = "".join(f"<li>{_item(one)}</li>" for one in found)
    lead = (
        "By what this run shows, the most pressing first. Words in boxes go behind the command above and take"
        " the place of those with the same key; what is done already is not done again."
    )
    return Section("next", "What to do next", lead, f'<ol class="steps">{items}</ol>')


def _item(one: Advice) -> str:
    more = f' <a href="#{one.anchor}">More</a>' if one.anchor else ""
    words = "".join(f" {code(word)}" for word in one.words)
    boxes = f'<span class="words">{words}</span>' if words else ""
    return f"<b>{escape(one.title)}.</b> {one.why}{more}{boxes}"
