"""Learning curves of the members that learn in epochs."""

from __future__ import annotations

import numpy as np

from pipeline.report.fits import Fit
from pipeline.report.markup import Section, figure, grid, legend
from pipeline.report.material import Material, Who
from pipeline.report.svg import Chart, Line
from pipeline.report.text import escape, plural

LOG_FROM = 20.0  # ratio of the largest loss to the smallest one


def section(material: Material) -> Section | None:
    """One figure a member, one line a fit."""
    figures, watched = [], False
    for name in material.ranking:
        fits = [fit for fit in material.members[name] if fit.log is not None]
        if not fits:
            continue
        style = material.colour(Who("member", name))
        lines = [line for fit in fits for line in _lines(fit, style)]
        watched |= any("inner" in line.style for line in lines)
        y = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
        log = bool(len(y) and y.min() > 0 and y.max() / y.min() > LOG_FROM)
        chart = Chart(lines, f"training loss of {name} by epoch", "epoch", log=log)
        epochs = max(int(fit.log["epoch"].max()) + 1 for fit in fits if fit.log is not None)
        note = f"{plural(len(fits), 'fit')}, {plural(epochs, 'epoch')}{', logarithmic' if log else ''}"
        figures.append(figure(chart.svg(), escape(name), note))
    if not figures:
        return None
    lead = (
        "The training loss after each epoch, one line a fit (fold and seed). Lines that still fall at the end"
        " would gain from more epochs (<code>fit.max_epochs</code>); a dashed line that turns up is"
        " overfitting."
    )
    entries = [("truth", "loss on the training rows")]
    if watched:
        entries.append(("truth inner", "loss on an inner slice that was not trained on"))
    return Section("learning", "Learning curves", lead, legend(entries) + grid(figures))


def _lines(fit: Fit, style: str) -> list[Line]:
    assert fit.log is not None
    epoch = fit.log["epoch"].to_numpy(dtype=float) + 1
    lines = []
    for column, classes, words in (
        ("train_loss", style, "training"),
        ("inner_loss", f"{style} inner", "inner slice"),
    ):
        if column in fit.log:
            loss = fit.log[column].to_numpy(dtype=float)
            if np.isfinite(loss).any():
                lines.append(Line(epoch, loss, f"thin {classes}", f"{fit.part}, seed {fit.seed}, {words}"))
    return lines
