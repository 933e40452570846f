"""Whether members make the same mistakes: correlation of their out-of-fold errors."""

from __future__ import annotations

import numpy as np

from pipeline.report.markup import Column, Section, named, swatch, table
from pipeline.report.material import Forecasts, Material, Who
from pipeline.report.text import escape, number

MOST_ROWS = 500_000


def section(material: Material) -> Section | None:
    """A matrix over members, and the pair that is most alike."""
    names = material.ranking
    if material.oof is None or len(names) < 2:
        return None
    matrix = error_correlation(material.oof, [Who("member", name) for name in names])
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
    return Section("correlation", "Do members err alike?", _lead(matrix, names), table(columns, rows))


def error_correlation(forecasts: Forecasts, who: list[Who]) -> np.ndarray:
    """(M, M) Pearson correlation of errors over judged rows, each target in its own standard deviation."""
    rows = np.flatnonzero(forecasts.judged)
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST_ROWS])
    truth = forecasts.asked.truth[rows]
    spread = truth.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    errors = np.stack([((forecasts.value[one][rows] - truth) / spread).reshape(-1) for one in who])
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix: np.ndarray = np.corrcoef(errors)
    return matrix


def _lead(matrix: np.ndarray, names: list[str]) -> str:
    words = (
        "Correlation of errors on the out-of-fold rows that are judged. Members that err alike (near 1) add"
        " little to each other; a blend gains most from good members whose errors differ."
    )
    pairs = [(matrix[i, j], i, j) for i in range(len(names)) for j in range(i) if np.isfinite(matrix[i, j])]
    if len(names) > 2 and pairs:
        most, least = (
            f"{escape(names[j])} and {escape(names[i])} ({number(value, 2)})"
            for value, i, j in (max(pairs), min(pairs))
        )
        words += f" Most alike are {most}, least {least}."
    return words
