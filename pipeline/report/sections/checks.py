"""What was looked at before training: findings first, then the figures behind them."""

from __future__ import annotations

from typing import Any

from pipeline.report.markup import Column, Section, named, pairs, table
from pipeline.report.material import Material
from pipeline.report.text import NONE, escape, number, plural

SHOWN = 10


def section(material: Material) -> Section | None:
    """None where the checks were not run."""
    found = material.check
    if not found:
        return None
    findings = found["findings"]
    warnings = sum(finding["level"] == "warning" for finding in findings)
    words = (
        f"{plural(warnings, 'warning')} and {plural(len(findings) - warnings, 'note')} from the checks before"
        " training."
        if findings
        else "The checks before training found nothing suspicious."
    )
    body = _findings(findings) + pairs(_looked_at(found)) + _drift(found["drift"])
    lead = f"{words} They read the files alone, never a model's scores or the truth of test rows."
    return Section("checks", "Can the data be trusted?", lead, body)


def _findings(findings: list[dict[str, Any]]) -> str:
    items = "".join(
        f"<li><b>{escape(finding['level'])}</b>: {escape(finding['what'])} ({escape(finding['figure'])})."
        f" {_sentence(finding['why'])} What to do: {escape(finding['to_do'])}.</li>"
        for finding in findings
    )
    return f'<ul class="notes">{items}</ul>' if items else ""


def _sentence(words: str) -> str:
    return escape(words[:1].upper() + words[1:]) + "."


def _looked_at(found: dict[str, Any]) -> list[tuple[str, str]]:
    """One line a check, whether it found something or not."""
    rows = [("Adversarial validation", _adversarial(found["adversarial"]))]
    for target, columns in found["leak"]["columns"].items():
        best = next(iter(columns.items()), None)
        if best is not None:
            rows.append(
                (
                    f"Best column alone for {target}",
                    f"{named(best[0])}: R² of ranks {number(best[1], 3)}, out of fold",
                )
            )
    rows.append(("Row order", _order(found["order"])))
    rows.append(("Duplicates", _duplicates(found["duplicates"])))
    rows += [(f"Drift of {target}", _target(one)) for target, one in found["target"].items()]
    return rows


def _adversarial(found: dict[str, Any]) -> str:
    apart = found["time_columns"]
    left_out = f" Left out, as the time alone tells them: {escape(', '.join(apart))}." if apart else ""
    if "skipped" in found:
        return f"not done: {escape(found['skipped'])}.{left_out}"
    words = (
        f"AUC {number(found['auc'], 3)} ± {number(found['error'], 3)} (test rows against"
        f" {escape(found['against'])}; 0.5: they cannot be told apart)"
    )
    if found["usual"]:
        usual = max(found["usual"], key=lambda one: one["auc"])
        words += f", {number(usual['auc'], 3)} ± {number(usual['error'], 3)} between earlier cut-offs"
    if found["carried_by"] and found["auc"] > 0.55:
        gains = [f"{named(name)} {100 * gain:.0f} %" for name, gain in list(found["carried_by"].items())[:4]]
        words += f"; carried by {', '.join(gains)}"
    return f"{words}.{left_out}"


def _order(found: dict[str, Any]) -> str:
    if "skipped" in found:
        return f"not done: {escape(found['skipped'])}"
    if not found.get("orders"):
        return "rows of one time are sorted by series: their order tells nothing"
    return "; ".join(
        f"{escape(one['what'])} explains {100 * one['share']:.1f} % of what {escape(one['beyond'])} leave"
        for one in found["orders"]
    )


def _duplicates(found: dict[str, Any]) -> str:
    if "skipped" in found:
        return f"not done: {escape(found['skipped'])}"
    if "groups" in found:
        return (
            f"{found['test_groups_in_train']:,} of {found['test_groups']:,} test groups stand in the training"
            f" file; {found['groups_in_two_folds']:,} of {found['groups']:,} groups stand in two folds"
        )
    return (
        f"{found['equal_histories']:,} of {found['series']:,} series have another one's history;"
        f" {len(found['futures_elsewhere']):,} ends stand in the midst of another series"
    )


def _target(found: dict[str, Any]) -> str:
    last, before = found["between"]
    return (
        f"PSI {number(found['psi'], 2)} between {escape(last)} and {escape(before)}; the mean moved by"
        f" {number(found['moved'], 2)} standard deviations"
    )


def _drift(found: dict[str, Any]) -> str:
    """The columns that drift most; those that tell the time last."""
    columns = found["columns"]
    shown = [(name, one) for name, one in columns.items() if not one["time_column"]][:SHOWN]
    if not shown:
        return ""
    heads = [
        Column("Column", number=False),
        Column("PSI", hint="population stability index: below 0.1 no drift, above 0.25 much"),
        Column("By chance", hint="what so few series give without any drift, once in ten thousand"),
        Column("Usual", hint="the most between neighbouring cut-offs of the history"),
        Column("KS", hint="largest distance of the distribution functions"),
    ]
    rows = [
        [
            named(name) + (" <b>drifts</b>" if one["drifts"] else ""),
            number(one["psi"], 2),
            number(one["chance"], 2),
            NONE if one["usual"] is None else number(one["usual"], 2),
            NONE if one["ks"] is None else number(one["ks"], 2),
        ]
        for name, one in shown
    ]
    title = f"<h3>Columns that drift most, test rows against {escape(found['against'])}</h3>"
    return title + table(heads, rows)
