"""The top of the page: what came out, against what, where the submission is, and the command that made it."""

from __future__ import annotations

from typing import Any

from pipeline.report.gain import gain, gain_cell, gain_words
from pipeline.report.material import Material
from pipeline.report.text import decimals_for, escape, metric_name, number, plural

LEAST_GAIN = 0.0005  # what rounds to 0.0 %


def header(material: Material) -> str:
    """The <header> element."""
    competition = material.prepared.competition
    title = competition.title or competition.name
    return (
        "<header>"
        f'<p class="eyebrow">{escape(competition.name)} · size {escape(material.size)}</p>'
        f"<h1>{escape(title)}</h1>"
        f'<p class="verdict">{_verdict(material)}</p>'
        f'<div class="cards">{"".join(_cards(material))}</div>'
        f'<p class="command-label">Made by</p><pre class="command">{escape(material.command)}</pre>'
        "</header>"
    )


def _verdict(material: Material) -> str:
    metric = escape(metric_name(material.metric))
    greater = material.scorer.metric.greater_is_better
    direction = "higher is better" if greater else "lower is better"
    local = material.local_score.get(material.metric)
    baseline = material.best_baseline
    submitted = material.submission.get("baseline")
    if submitted:
        who = f"No member was complete, so the baseline <b>{escape(submitted)}</b> was submitted. It"
    else:
        count = len(material.scores["members"])
        made = "the only member" if count == 1 else f"blend {material.scores['chosen']} of {count} members"
        who = f"The submission ({escape(made)})"
    if local is not None:
        words = f"{who} scores <b>{metric} {_shown(material, local)}</b> on rows whose truth it never saw"
        better = gain(_alike(material, local), material.baseline_scores.get(baseline or ""), greater)
        if better is not None and not submitted:
            than = f"{gain_words(better, greater)}</b> than"
            words += (
                f": <b>{than if abs(better) >= LEAST_GAIN else 'as good as</b>'} the best simple baseline"
            )
            words += ", both before post-processing" if material.submission.get("post") else ""
        return f"{words}. For {metric}, {direction}."
    cv = _written(material).get("cv")
    if cv is None:
        return f"{who} has no score: there are neither folds nor a hold-out with a known truth."
    return (
        f"{who} scores <b>{metric} {_shown(material, cv)}</b> in cross-validation. For {metric}, {direction}."
    )


def _cards(material: Material) -> list[str]:
    metric = metric_name(material.metric)
    greater = material.scorer.metric.greater_is_better
    cards = []
    local_scores = material.local_score
    local = local_scores.get(material.metric)
    if local is not None:
        rest = [
            f"{escape(metric_name(name))} {number(score, decimals_for([score]))}"
            for name, score in local_scores.items()
            if name != material.metric
        ]
        note = escape(_local_words(material)) + ("<br>" + ", ".join(rest) if rest else "")
        cards.append(_card(f"{metric}, local", _shown(material, local), note, "main"))
    written = _written(material)
    if written.get("cv") is not None:
        folds = len(written["folds"])
        deviation = f"± {_shown(material, written['cv_std'])}"
        spread = f' <span class="spread">{deviation}</span>' if folds > 1 else ""
        note = (
            f"mean{' ± deviation' if folds > 1 else ''} over {plural(folds, 'fold')},"
            " before the local rows were looked at"
        )
        cards.append(_card(f"{metric}, cross-validated", _shown(material, written["cv"]) + spread, note))
    submission = material.submission
    if local is not None and material.baseline_scores and not submission.get("baseline"):
        alike = _alike(material, local)
        lines = [
            f"{gain_cell(gain(alike, score, greater), greater)} against {escape(name)}"
            f" ({_shown(material, score)})"
            for name, score in sorted(
                material.baseline_scores.items(), key=lambda one: one[1], reverse=greater
            )
        ]
        best = material.baseline_scores.get(material.best_baseline or "")
        title = "Against simple baselines" + (", before post-processing" if submission.get("post") else "")
        cards.append(_card(title, gain_cell(gain(alike, best, greater), greater), "<br>".join(lines)))
    post = submission.get("post")
    note = f'<code class="path">{escape(submission["file"])}</code><br>every id once, in the order asked'
    if post:
        note += f"; after {escape(', '.join(post))}"
    cards.append(_card("Submission", f"{submission['rows']:,} rows", note))
    return cards


def _alike(material: Material, local: float) -> float | None:
    """The local score that baselines are held against: as they are, so before post-processing."""
    if not material.submission.get("post") or not material.scores:
        return local
    before: float | None = material.scores["local"].get(material.metric)
    return before


def _card(title: str, value: str, note: str, style: str = "") -> str:
    return (
        f'<div class="card {style}"><p class="card-title">{escape(title)}</p>'
        f'<p class="card-value">{value}</p><p class="card-note">{note}</p></div>'
    )


def _written(material: Material) -> dict[str, Any]:
    """Cross-validated scores of what was submitted."""
    written: dict[str, Any] = material.scores.get("post" if material.submission.get("post") else "blend", {})
    return written


def _local_words(material: Material) -> str:
    assert material.local is not None
    asked = material.local.asked
    judged = int(material.local.judged.sum())
    series = len(set(asked.series[material.local.judged].tolist()))
    where = "test rows, whose truth is known" if material.local.part == "test" else "held-out rows"
    of = "groups" if material.prepared.competition.task == "sequence" else "series"
    return f"{judged:,} judged {where}, {series:,} {of}"


def _shown(material: Material, value: float) -> str:
    scores: list[float | None] = [*material.local_score.values()]
    scores = scores[:1] or [_written(material).get("cv")]
    return number(value, decimals_for(scores))
