"""Time and memory, by stage and by member."""

from __future__ import annotations

import numpy as np

from pipeline.report.fits import Fit
from pipeline.report.markup import Column, Section, figure, grid, named, swatch, table
from pipeline.report.material import Material, Who
from pipeline.report.summary import stage_seconds, work_seconds
from pipeline.report.svg import bars
from pipeline.report.text import NONE, memory, seconds


def section(material: Material) -> Section | None:
    """Work is the sum over jobs, whenever they ran; the command itself may have found much of it done."""
    work = work_seconds(material)
    figures = [_stages(work, "Work by stage", "seconds of all its jobs, added up")]
    if material.stage_wall_seconds:
        wall = {
            name: value
            for name, value in stage_seconds(material).items()
            if name in material.stage_wall_seconds
        }
        figures.append(
            _stages(wall, "This command by stage", "by the clock; what was found done costs nothing")
        )
    rows = [_row(material, Who("member", name), material.members[name]) for name in material.ranking]
    rows += [_row(material, Who("baseline", name), fits) for name, fits in material.baselines.items() if fits]
    columns = [
        Column("Who", number=False),
        Column("Fits"),
        Column("One fit", hint="mean seconds of fitting"),
        Column("Predicting", hint="mean seconds of predicting"),
        Column("All"),
        Column("Parameters"),
        Column("Peak memory", hint="largest resident memory of a process that fitted it"),
    ]
    lead = (
        f"All work together took {seconds(sum(work.values()))}; no process held more than"
        f" <b>{memory(material.peak_memory_mib)}</b> at its peak."
    )
    return Section("costs", "Time and memory", lead, grid(figures) + table(columns, rows))


def _stages(values: dict[str, float], title: str, note: str) -> str:
    rows = [(name, value, seconds(value)) for name, value in values.items()]
    return figure(bars(rows, "neutral", title, 76), title, note)


def _row(material: Material, who: Who, fits: list[Fit]) -> list[str]:
    parameters = [fit.parameters for fit in fits if fit.parameters is not None]
    return [
        swatch(material.colour(who)) + f'{named(who.name)} <span class="kind">{who.role}</span>',
        str(len(fits)),
        seconds(float(np.mean([fit.fit_seconds for fit in fits]))),
        seconds(float(np.mean([fit.predict_seconds for fit in fits]))),
        seconds(sum(fit.seconds for fit in fits)),
        f"{max(parameters):,}" if parameters else NONE,
        memory(max(fit.peak_memory_mib for fit in fits)),
    ]
