"""The page: header, contents, sections, one style sheet; nothing is fetched and nothing needs a script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.report.markup import Section
from pipeline.report.material import Material
from pipeline.report.sections import (
    agreement,
    attention,
    checks,
    correlation,
    costs,
    errors,
    folds,
    forecasts,
    headline,
    importance,
    leaderboard,
    learning,
    memory,
    next_steps,
    notes,
    post,
    quantiles,
    reading,
    settings,
    tuning,
    weights,
)
from pipeline.report.text import escape

SECTIONS = (
    next_steps.section,
    leaderboard.section,
    agreement.section,
    forecasts.section,
    errors.section,
    weights.section,
    post.section,
    quantiles.section,
    correlation.section,
    tuning.section,
    learning.section,
    importance.section,
    attention.section,
    memory.section,
    checks.section,
    folds.section,
    costs.section,
    notes.section,
    settings.section,
    reading.section,
)


def page(material: Material) -> str:
    """The HTML of a run's report."""
    found = [section for section in (make(material) for make in SECTIONS) if section is not None]
    competition = material.prepared.competition
    title = f"{competition.title or competition.name}, {material.size}"
    return document(title, headline.header(material), found)


def document(title: str, header: str, sections: Sequence[Section]) -> str:
    """A page of its own; title: text, header: the <header> element."""
    contents = "".join(f'<a href="#{section.anchor}">{escape(section.title)}</a>' for section in sections)
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{style}</style>\n</head>\n"
        "<body>\n<main>\n"
        + header
        + f'\n<nav aria-label="Contents">{contents}</nav>\n'
        + "\n".join(section.html() for section in sections)
        + "\n</main>\n</body>\n</html>\n"
    )
