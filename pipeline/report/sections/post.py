"""What each step of post-processing changes."""

from __future__ import annotations

from pipeline.report.gain import gain, gain_cell
from pipeline.report.markup import Column, Section, named, table
from pipeline.report.material import Material
from pipeline.report.text import decimals_for, escape, metric_name, number


def section(material: Material) -> Section | None:
    """The blend before, and after each step; None where there is none."""
    post = material.scores.get("post")
    if not post or not material.submission.get("post"):
        return None
    metric = material.metric
    states = [("the blend", {**material.scores["blend"], "local": material.scores["local"].get(metric)})]
    states += [(f"after {step['step']}", step) for step in post["after"]]
    decimals = decimals_for([state[key] for _, state in states for key in ("cv", "local")])
    greater = material.scorer.metric.greater_is_better
    columns = [
        Column("Step", number=False),
        Column("CV mean", hint="mean over folds"),
        Column("±", hint="standard deviation over folds"),
        Column("Change", hint="against the step before"),
        Column("Local", hint="on the local hold-out, or the test rows where their truth is known"),
        Column("Change", hint="against the step before"),
    ]
    several = len(post["folds"]) > 1
    rows = []
    for number_, (name, state) in enumerate(states):
        before = states[number_ - 1][1] if number_ else {"cv": None, "local": None}
        cells = [named(name)]
        cells.append(number(state["cv"], decimals))
        cells.append(number(state["cv_std"] if several else None, decimals))
        cells.append(_change(state["cv"], before["cv"], greater))
        cells.append(number(state["local"], decimals))
        cells.append(_change(state["local"], before["local"], greater))
        rows.append(cells)
    lead = (
        f"{escape(metric_name(metric))} after each step, in the order in which they are applied. Steps that"
        " learn did so on rows other than those they are scored on."
        if post["honest"]
        else f"{escape(metric_name(metric))} after each step. There were no rows to hold out: steps that"
        " learn are scored on what they learnt from, so their scores are too good."
    )
    return Section(
        "post", "Post-processing", lead, table(columns, rows, [""] * len(post["after"]) + ["chosen"])
    )


def _change(score: float | None, before: float | None, greater: bool) -> str:
    if score is None or before is None:
        return ""
    return "none" if score == before else gain_cell(gain(score, before, greater), greater)
