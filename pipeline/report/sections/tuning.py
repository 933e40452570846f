"""What the competition's studies tried, found and kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.report.axis import name_of
from pipeline.report.commands import again, command
from pipeline.report.markup import Column, Section, figure, grid, legend, named, swatch, table
from pipeline.report.material import COLOURS, Material, Who
from pipeline.report.studies import Study, Trial
from pipeline.report.svg import named_bars
from pipeline.report.text import (
    NONE,
    compact,
    decimals_for,
    escape,
    listed,
    metric_name,
    number,
    plural,
    rounded,
    seconds,
)
from pipeline.report.trials import cut_off, history, objectives, parallel, slice_
from pipeline.tuning.settings import flat

MOST_SLICES = 6
MOST_IMPORTANCES = 8
MOST_REASONS = 5
MOST_TOP = 5

#: Of a pruned trial: "1.411 after epoch 3 of 20".
LEADING_SCORE = re.compile(r"^\S*\d\S* (?=after epoch )")
#: Reasons of those that were given back before they began.
NO_TRIAL = ("the same as", "more than the")

#: What an objective beside the score is called.
OBJECTIVES = {"parameters": "parameters", "predict_seconds": "seconds of predicting"}


def section(material: Material) -> Section | None:
    """Study by study; None where there is none."""
    if not material.studies:
        return None
    body = "".join(_study(material, study) for study in material.studies)
    lead = (
        "A dot is a trial: settings fitted on every fold and scored out of fold. The best of many noisy"
        " scores is too good by the noise, so the best trial and the defaults are fitted anew with fresh"
        " seeds, and it is kept only if what it gains there exceeds one standard error."
    )
    return Section("tuning", "Tuning", lead, body)


def _study(material: Material, study: Study) -> str:
    members = list(study.members)
    title = "Joint study: " + listed(members) if study.joint else members[0]
    size = study.any["size"]
    elsewhere = f' <span class="kind">at size {escape(size)}</span>' if size != material.size else ""
    parts = [f"<h3>{escape(title)}{elsewhere}</h3>"]
    parts += [f"<p>{_verdict(study, member)}</p>" for member in members]
    parts.append(f'<p class="note">{_facts(study)}</p>')
    if study.complete:
        parts.append(_legend(material, study))
        parts.append(grid(_overview(material, study)))
        for member in members:
            parts.append(_of_member(material, study, member))
        parts.append(_use(material, study))
    return "".join(parts)


def _verdict(study: Study, member: str) -> str:
    best = study.members[member]
    name = f"<b>{escape(member)}</b>"
    gain, error = best["gain"], best["gain_standard_error"]
    local = ""
    if best["local_default"] is not None and best["local_best"] is not None:
        places = decimals_for([best["local_default"], best["local_best"]])
        local = (
            f" On the local rows: {number(best['local_default'], places)} with the defaults,"
            f" {number(best['local_best'], places)} with trial {best['trial']}."
        )
    words = ""
    if gain is not None and error is not None and best["pairs"]:
        words = (
            f"over {plural(best['pairs'], 'pair')} of fold and fresh seed it gains {rounded(gain)} ±"
            f" {rounded(error)} (standard error) on the defaults"
        )
    if best["kept"]:
        return f"{name}: trial {best['trial']} is kept; {words}.{local}"
    if words:
        return (
            f"{name}: the defaults are kept, for trial {best['trial']} is not clearly better: {words}.{local}"
        )
    return f"{name}: the defaults are kept ({escape(best['reason'] or 'no gain was measured')})."


def _facts(study: Study) -> str:
    """Counts, costs and reasons."""
    found = Counter(trial.state for trial in study.trials)
    words = [plural(found["complete"] + found["pruned"], "trial"), f"{found['complete']} complete"]
    if found["pruned"]:
        words.append(f"{found['pruned']} pruned")
    costs = list(study.members.values())
    fits, saved = (sum(one[key] for one in costs) for key in ("fold_fits", "fold_fits_saved"))
    words.append(f"{fits:.3g} fold fits" + (f" ({saved:.3g} saved by pruning)" if saved else ""))
    words.append(seconds(sum(one["seconds"] for one in costs)))
    reasons = Counter(
        LEADING_SCORE.sub("", trial.reason)
        for trial in study.trials
        if trial.reason and not trial.reason.startswith(NO_TRIAL)
    )
    text = ", ".join(words) + "."
    if reasons:
        shown = [f"{escape(reason)} ({count})" for reason, count in reasons.most_common(MOST_REASONS)]
        text += f" Pruned or failed: {'; '.join(shown)}."
    worse = cut_off(study) if study.complete else 0
    if worse:
        text += f" Arrows: {plural(worse, 'trial')} far worse than the axes show."
    return f"{text} Study <code>{escape(study.name)}</code>."


def _legend(material: Material, study: Study) -> str:
    entries = [("blend best-so-far", "best so far")]
    if study.joint:
        entries += [(_colour(material, study, name), name) for name in study.members]
    if len(study.objectives) > 1:
        entries[0] = ("blend best-so-far", "best so far; or: no trial is better in both objectives")
    return legend(entries) + (
        '<p class="note">Ring: the defaults. Full colour: the best. Ticks on the axis: pruned trials.</p>'
    )


def _colour(material: Material, study: Study, member: str) -> str:
    if member in material.scores.get("members", {}):
        return material.colour(Who("member", member))
    return f"m{list(study.members).index(member) % COLOURS}"


def _overview(material: Material, study: Study) -> list[str]:
    """History, or the objectives; and what matters."""
    best = {member: study.best(member) for member in study.members}
    numbers = {one.number for one in best.values() if one is not None}

    def style(trial: Trial) -> str:
        if study.joint:
            colour = _colour(material, study, trial.member)
            return colour if trial.number in numbers else f"{colour} plain"
        return "blend" if trial.number in numbers else "neutral plain"

    metric = metric_name(study.any["metric"])
    note = f"{metric}, {'higher' if study.greater_is_better else 'lower'} is better"
    figures = []
    if len(study.objectives) > 1:
        name = OBJECTIVES.get(study.objectives[1], study.objectives[1])
        figures.append(figure(objectives(study, style), f"Score and {escape(name)}", escape(note)))
    figures.append(figure(history(study, style), "History", escape(note)))
    if study.importances:
        ranked = sorted(study.importances.items(), key=lambda one: -one[1])[:MOST_IMPORTANCES]
        rows = [(name, share, f"{share * 100:.0f} %") for name, share in ranked]
        drawing = named_bars(rows, "neutral", f"importance of the parameters of {study.name}")
        figures.append(figure(drawing, "What matters", "share of the score's variance (PED-ANOVA)"))
    return figures


def _of_member(material: Material, study: Study, member: str) -> str:
    """Parallel coordinates, slices and the best trials of one member of a study."""
    own = study.of(member)
    if len(own.complete) < 2:
        return ""
    best = own.best(member)
    metric = metric_name(own.any["metric"])
    parts = [f"<h4>{escape(member)}</h4>"] if study.joint else []
    lines = parallel(own, best, metric)
    if lines:
        shown = "the thick line is the best, the coloured ones the best quarter"
        drawn = figure(lines, "Parallel coordinates", f"a line a trial, good scores on top; {shown}")
        parts.append(f'<div class="scroll wide" tabindex="0">{drawn}</div>')

    def style(trial: Trial) -> str:
        return "blend" if best is not None and trial.number == best.number else "neutral plain"

    slices = [
        figure(slice_(own, name, style), escape(name), _share(own, name))
        for name in own.parameters()[:MOST_SLICES]
    ]
    parts.append(grid(slices))
    parts.append(_top(own, member))
    return "".join(parts)


def _share(study: Study, name: str) -> str:
    share = study.importances.get(name)
    return "" if share is None else f"{share * 100:.0f} % of the score's variance"


def _top(study: Study, member: str) -> str:
    """The best distinct trials, with what they have different from the defaults."""
    top = study.members[member]["top"][:MOST_TOP]
    default = next((one.parameters for one in study.trials if one.default), {})
    decimals = decimals_for([entry["score"] for entry in top])
    several = len(study.objectives) > 1
    values = {trial.number: trial.values for trial in study.complete}
    columns = [Column("Trial", number=False), Column(metric_name(study.any["metric"]))]
    columns += [Column(OBJECTIVES.get(name, name)) for name in study.objectives[1:]]
    columns.append(Column("Settings that differ from the defaults", number=False))
    rows, styles = [], []
    for entry in top:
        mark = swatch("blend" if entry is top[0] else "neutral")
        cells = [mark + named(str(entry["number"])), number(entry["score"], decimals)]
        if several:
            others = values.get(entry["number"], ())[1:] or (float("nan"),) * (len(study.objectives) - 1)
            cells += [rounded(value) if value == value else NONE for value in others]
        settings = "the defaults" if entry["default"] else _changes(flat(entry["params"]), default)
        cells.append(f'<span class="wrapped">{escape(settings)}</span>')
        rows.append(cells)
        styles.append("chosen" if study.members[member]["kept"] and entry is top[0] else "")
    return table(columns, rows, styles)


def _changes(params: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    changed = {name: value for name, value in params.items() if default.get(name, ...) != value}
    return ", ".join(f"{name} {_shown(value)}" for name, value in changed.items()) or "none"


def _shown(value: Any) -> str:
    number_ = isinstance(value, int | float) and not isinstance(value, bool)
    return compact(float(value)) if number_ else name_of(value)


def _use(material: Material, study: Study) -> str:
    """How what was found is used."""
    members = f"members=[{','.join(study.members)}]"
    dropped = ("stage", "tune.trials", "tune.timeout")
    if any(best["kept"] for best in study.members.values()):
        words, use = "Trained with what is kept", "tune.use=best"
    else:
        words, use = "Nothing is kept; the best trials as members of their own", "tune.use=top5"
    text = again(material, "stage=all", members, use, without=dropped)
    return f'<p class="command-label">{words}:</p>{command(text)}'
