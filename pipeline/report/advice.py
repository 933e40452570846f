"""What to do next, by what the run shows: each with the words that do it, the most pressing first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.report.fits import Fit
from pipeline.report.local_gap import gap_of
from pipeline.report.material import Material
from pipeline.report.text import decimals_for, escape, listed, metric_name, number, plural, rounded, seconds
from pipeline.tuning.settings import merged
from pipeline.tuning.space import own_parameters

MOST = 6
LAST = 3  # epochs over which a loss is seen to fall
FALLS = 0.01  # share of the loss an epoch, from which on more epochs are worth a try
TURNS_UP = 0.03  # share of the least inner loss that the last one lies above it
WORTH = 0.002  # share of the score
COVERAGE = 0.05  # by which a quantile's share may be off
TRIALS = 30
NAMED = 4  # members of a title


@dataclass(frozen=True)
class Advice:
    """One thing to do."""

    title: str  # text
    why: str  # HTML
    words: tuple[str, ...] = ()  # KEY=VALUE, for the command line
    anchor: str = ""  # of the section that shows more


def advice(material: Material) -> list[Advice]:
    """At most `MOST`."""
    found: list[Advice] = []
    for look in (_left_out, _data, _gap, _kept, _folds, _epochs, _member, _seeds, _coverage, _untuned):
        found += look(material)
    return found[:MOST]


def _left_out(material: Material) -> Iterator[Advice]:
    left = material.submission.get("left_out", {})
    unfit = f"it is not made for {material.prepared.competition.task} tasks"
    names = [name for name, reason in left.items() if reason != unfit]
    if names:
        yield Advice(
            f"Finish {_few(names)}",
            "They had no time or failed. The same command without a budget goes on where it stopped.",
            anchor="leaderboard",
        )


def _few(names: list[str]) -> str:
    """Names, or how many there are."""
    return listed(names) if len(names) <= NAMED else plural(len(names), "member")


def _data(material: Material) -> Iterator[Advice]:
    """Warnings of the checks before training."""
    warnings = [one for one in material.check.get("findings", []) if one["level"] == "warning"]
    if warnings:
        yield Advice(
            "Look at the data first",
            f"The checks before training ended with {plural(len(warnings), 'warning')}:"
            f" {escape(listed([one['what'] for one in warnings]))}.",
            anchor="checks",
        )


def _gap(material: Material) -> Iterator[Advice]:
    gap = gap_of(material)
    if gap is None or gap.within is not False:
        return
    side = "local rows" if gap.side == "local" else "folds"
    yield Advice(
        "Find out why folds and local rows disagree",
        f"The two scores of the blend are {rounded(abs(gap.worse_by))} apart, more than two standard errors."
        f" Look at what makes the {side} hard before a small gain is believed.",
        anchor="agreement",
    )


def _kept(material: Material) -> Iterator[Advice]:
    """Results of studies that no member of the run uses."""
    names = []
    for study in material.studies:
        for member, best in study.members.items():
            fits = material.members.get(member)
            if best["kept"] and best["size"] == material.size and fits and not _uses(fits[0], best["params"]):
                names.append(member)
    if names:
        yield Advice(
            f"Train {listed(names)} with what tuning found",
            "A study has confirmed better settings with fresh seeds, and this run does not use them.",
            ("tune.use=best",),
            "tuning",
        )


def _uses(fit: Fit, params: dict[str, object]) -> bool:
    """Whether a fit was made with these settings."""
    settings: dict[str, object] = {**fit.settings.get("member", {})}  # type: ignore[dict-item]
    for group in ("fit", "windows", "features"):
        settings[group] = fit.settings.get(group)
    return merged(settings, params) == settings


def _folds(material: Material) -> Iterator[Advice]:
    if len(material.folds) != 1:
        return
    there = len(material.prepared.split.folds)
    words = "fit.folds=null" if there > 1 else "competition.folds.count=3"
    yield Advice(
        "Use more than one fold",
        "One fold has no spread: nothing says which differences on this page are chance.",
        (words,),
        "agreement",
    )


def _epochs(material: Material) -> Iterator[Advice]:
    """Members whose loss still falls, and those whose inner loss turns up."""
    falling: dict[str, float] = {}
    turning = []
    for name in material.ranking:
        fits = [fit for fit in material.members[name] if fit.log is not None and len(fit.log) > LAST]
        shares = [_falls(fit) for fit in fits]
        if shares and float(np.mean(shares)) > FALLS:
            falling[name] = float(np.mean(shares))
        elif fits and float(np.mean([_turns_up(fit) for fit in fits])) > TURNS_UP:
            turning.append(name)
    if falling:
        epochs = {name: _epochs_of(material, name) for name in falling}
        words = tuple(f"member.{name}.fit.max_epochs={2 * count}" for name, count in epochs.items())
        most = max(falling, key=lambda name: falling[name])
        yield Advice(
            f"Train {_few(list(falling))} longer",
            f"The loss falls at the end, that of {escape(most)} by {falling[most] * 100:.1f} % an epoch.",
            words,
            "learning",
        )
    if turning:
        yield Advice(
            f"Stop {_few(turning)} earlier",
            "The loss on rows that were not trained on turns up before the end.",
            tuple(f"member.{name}.fit.early_stopping=true" for name in turning),
            "learning",
        )


def _loss(fit: Fit, column: str) -> np.ndarray:
    assert fit.log is not None
    if column not in fit.log:
        return np.empty(0)
    loss = fit.log[column].to_numpy(dtype=float)
    return loss[np.isfinite(loss)]


def _falls(fit: Fit) -> float:
    """Share of its last loss by which it falls in an epoch, at the end."""
    inner = _loss(fit, "inner_loss")
    loss = inner if len(inner) > LAST else _loss(fit, "train_loss")
    if len(loss) <= LAST or loss[-1] <= 0:
        return 0.0
    return float((loss[-1 - LAST] - loss[-1]) / LAST / loss[-1])


def _turns_up(fit: Fit) -> float:
    loss = _loss(fit, "inner_loss")
    return float(loss[-1] / loss.min() - 1) if len(loss) and loss.min() > 0 else 0.0


def _epochs_of(material: Material, name: str) -> int:
    return max(len(fit.log) for fit in material.members[name] if fit.log is not None)


def _member(material: Material) -> Iterator[Advice]:
    compared = material.scores.get("compared") or {}
    drop = compared.get("drop")
    if not drop:
        return
    without = compared["without"]
    places = decimals_for([without["all"], without["scores"][drop]])
    names = [name for name in material.scores["members"] if name != drop]
    yield Advice(
        f"Leave {drop} out",
        f"Without it a {escape(without['by'])} blend has {number(without['scores'][drop], places)} instead of"
        f" {number(without['all'], places)} in nested cross-validation.",
        (f"members=[{','.join(names)}]",),
        "correlation",
    )


def _seeds(material: Material) -> Iterator[Advice]:
    """What one more seed, or one more fold, is likely to bring."""
    compared = material.scores.get("compared") or {}
    if not compared:
        return
    more, sign = compared["more"], -1.0 if material.scorer.metric.greater_is_better else 1.0
    seeds = max(len(entry["seeds"]) for entry in material.scores["members"].values())
    trained = sum(fit.seconds for fits in material.members.values() for fit in fits)
    for kind, words in (
        ("seed", f"fit.seeds={seeds + 1}"),
        ("fold", f"competition.folds.count={len(material.folds) + 1}"),
    ):
        found = more.get(kind)
        if found and -sign * found["gain"] > WORTH * abs(found["all"]):
            steps = [found["one"], found["all"], found["one_more"]]
            one, all_of_them, one_more = (number(score, decimals_for(steps)) for score in steps)
            yield Advice(
                f"Add a {kind}",
                f"Averaging the {plural(found['fits'], kind)} took the blend from {one} to {all_of_them};"
                f" one more would bring it to about {one_more}.",
                (words,),
                "correlation",
            )
    if seeds == 1 and any(fit.log is not None for fits in material.members.values() for fit in fits):
        yield Advice(
            "Fit a second seed",
            "It lowers the part of the error that is luck, and shows how large it is. Training took"
            f" {seconds(trained)}, and takes as long again.",
            ("fit.seeds=2",),
        )


def _coverage(material: Material) -> Iterator[Advice]:
    blend = material.scores.get("quantiles")
    if not blend or any(step.kind == "conformal" for step in material.prepared.competition.post):
        return
    shares = {float(level): share for level, share in blend["blend"]["coverage"].items() if share is not None}
    off = {level: share for level, share in shares.items() if abs(share - level) > COVERAGE}
    if off:
        level = max(off, key=lambda one: abs(off[one] - one))
        yield Advice(
            "Make the quantiles true",
            f"{off[level] * 100:.0f} % of the truth lies below the quantile {level:g}. The post-processing"
            " <code>conformal</code> moves quantiles to where they belong.",
            anchor="quantiles",
        )


def _untuned(material: Material) -> Iterator[Advice]:
    """The best member that has a space and no study."""
    tuned = {member for study in material.studies for member in study.members}
    for name in material.ranking:
        base = name.partition("-trial")[0]
        if base not in tuned and own_parameters(material.members[name][0].kind):
            metric = escape(metric_name(material.metric))
            yield Advice(
                f"Tune {name}",
                f"It is the best member by {metric} that still has the settings it came with.",
                ("stage=tune", f"members=[{name}]", f"tune.trials={TRIALS}"),
            )
            return
