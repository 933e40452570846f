"""Whether members make the same mistakes, and what each of them is worth to the blend."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.report.markup import Column, Section, named, swatch, table
from pipeline.report.material import Material, Who
from pipeline.report.text import NONE, decimals_for, escape, metric_name, number, plural

MOST_MEMBERS = 12  # of the matrix: the best ones


def section(material: Material) -> Section | None:
    """A matrix over members, then a row for each of them."""
    names = material.ranking
    compared = material.scores.get("compared") or {}
    if len(names) < 2 or compared.get("correlation") is None:
        return None
    matrix, overlap = (_in_order(compared, key, names) for key in ("correlation", "overlap"))
    body = _matrix(material, matrix, names[:MOST_MEMBERS])
    if len(names) > MOST_MEMBERS:
        body += f'<p class="note">The {MOST_MEMBERS} best of {len(names)} members.</p>'
    body += f"<h3>What each member is worth</h3>{_worth(material, compared, matrix, overlap, names)}"
    body += "".join(f"<p>{words}</p>" for words in _words(material, compared))
    return Section("correlation", "Do members err alike?", _lead(matrix, names), body)


def _in_order(compared: dict[str, Any], key: str, names: list[str]) -> np.ndarray:
    """(M, M) in the order of `names`; NaN where there is no number."""
    place = [compared["names"].index(name) for name in names]
    return np.array(compared[key], dtype=float)[np.ix_(place, place)]


def _matrix(material: Material, matrix: np.ndarray, names: list[str]) -> str:
    columns = [Column("Errors of", number=False), *[Column(name) for name in names]]
    rows = []
    for index, member in enumerate(names):
        cells = [swatch(material.colour(Who("member", member))) + named(member)]
        for other in range(len(names)):
            value = matrix[index, other]
            if index == other:
                cells.append('<span class="faint">1</span>')
            else:
                strength = 0.0 if not np.isfinite(value) else min(1.0, max(0.0, value))
                cells.append(f'<span class="heat" style="--share:{strength:.2f}">{number(value, 2)}</span>')
        rows.append(cells)
    return table(columns, rows)


def _worth(
    material: Material, compared: dict[str, Any], matrix: np.ndarray, overlap: np.ndarray, names: list[str]
) -> str:
    """Its nearest one, the failures that they share, and the blend without it."""
    without = compared.get("without")
    scores = without["scores"] if without else {}
    places = decimals_for([*scores.values(), without["all"]]) if without else 0
    columns = [
        Column("Member", number=False),
        Column("Most like", number=False, hint="the member whose errors are most alike"),
        Column("Correlation", hint="of their errors"),
        Column("Failures shared", hint="of its worst tenth of the rows, the share that is the other's too"),
    ]
    if without:
        columns.append(Column("Blend without it", hint=f"a {without['by']} blend in nested cross-validation"))
        columns.append(Column("Change", hint="positive: the blend is better without it"))
    apart = np.where(np.isfinite(matrix), matrix, -np.inf)
    np.fill_diagonal(apart, -np.inf)
    sign = 1.0 if material.scorer.metric.greater_is_better else -1.0
    rows, styles = [], []
    for index, member in enumerate(names):
        near = int(apart[index].argmax())
        known = np.isfinite(apart[index, near])
        cells = [
            swatch(material.colour(Who("member", member))) + named(member),
            named(names[near]) if known else NONE,
            number(matrix[index, near], 2) if known else NONE,
            f"{overlap[index, near] * 100:.0f} %" if known else NONE,
        ]
        if without:
            score = scores.get(member)
            change = None if score is None else sign * (score - without["all"])
            cells += [number(score, places), number(change, places)]
        rows.append(cells)
        styles.append("warned" if member == compared.get("drop") else "")
    return table(columns, rows, styles)


def _words(material: Material, compared: dict[str, Any]) -> list[str]:
    """Who could go, and what more seeds or folds would bring."""
    metric = escape(metric_name(material.metric))
    found = []
    if compared.get("without"):
        drop, by = compared.get("drop"), escape(compared["without"]["by"])
        if drop:
            found.append(f"Leaving <b>{escape(drop)}</b> out makes the {by} blend better: it may go.")
        else:
            found.append(f"No {by} blend is better for leaving a member out.")
    for kind, where in (("seed", "out of fold"), ("fold", "on the local rows")):
        more = compared["more"].get(kind)
        if more:
            places = decimals_for([more[key] for key in ("one", "all", "one_more", "limit")])
            one, all_, one_more, limit = (
                number(more[key], places) for key in ("one", "all", "one_more", "limit")
            )
            found.append(
                f"One {kind} alone has {metric} {one} {where}, the mean of all"
                f" {plural(more['fits'], kind)} {all_}; one more would bring about {one_more}, and without"
                f" end {limit}."
            )
    return found


def _lead(matrix: np.ndarray, names: list[str]) -> str:
    words = (
        "Correlation of errors on the judged out-of-fold rows, in units of the size of their series. Members"
        " that err alike (near 1) add little to each other; a blend gains most from good members whose"
        " errors differ."
    )
    pairs = [(matrix[i, j], i, j) for i in range(len(names)) for j in range(i) if np.isfinite(matrix[i, j])]
    if len(names) > 2 and pairs:
        most, least = (
            f"{escape(names[j])} and {escape(names[i])} ({number(value, 2)})"
            for value, i, j in (max(pairs), min(pairs))
        )
        words += f" Most alike are {most}, least {least}."
    return words
