"""Whether a competition's settings make sense together, before any file is read."""

from __future__ import annotations

from collections.abc import Iterable

from data.calendar_grid import offset_of
from data.competition import TASKS, Competition
from data.errors import InputError, unknown
from data.expression import check_expression
from data.metrics.base import METRICS
from data.needed_columns import post_expressions, role_columns

TRANSFORMS = ("none", "log1p", "log", "sqrt")
LOCAL_KINDS = ("none", "solution", "horizon", "groups")


def check_competition(competition: Competition) -> None:
    """Raise InputError for the first setting that is missing, unknown or at odds with another."""
    where = f"competition {competition.name}"
    _choice("task", competition.task, TASKS, where)
    _choice("target_transform", competition.target_transform, TRANSFORMS, where)
    _choice("missing_target", competition.missing_target, ("refuse", "unjudged"), where)
    _choice("local.kind", competition.local.kind, LOCAL_KINDS, where)
    if not competition.target:
        raise InputError(f"{where}: target names no column")
    if len(set(competition.target)) < len(competition.target):
        raise InputError(f"{where}: target names a column twice: {', '.join(competition.target)}")
    if not competition.metric:
        raise InputError(f"{where}: metric names none; choices: {', '.join(METRICS.names())}")
    for metric in competition.metric:  # python:FILE:FUNCTION is the user's own function
        METRICS.get(metric.name.partition(":")[0].strip().lower(), f"{where}, metric")
    if competition.task == "sequence" and not competition.series:
        raise InputError(f"{where}: a sequence task needs `series`, the columns that name a group")
    if competition.task == "sequence" and competition.files.test is None:
        raise InputError(f"{where}: a sequence task needs files.test")
    if competition.frequency is not None:
        if competition.time is None:
            raise InputError(f"{where}: frequency {competition.frequency} is given without a time column")
        offset_of(competition.frequency, f"{where}, frequency")
    for name, value in {"horizon": competition.horizon, "context": competition.context}.items():
        if value is not None and value < 1:
            raise InputError(f"{where}: {name} is {value}; expected at least 1")
    for season in competition.seasonality:
        if season < 1:
            raise InputError(f"{where}: seasonality has {season}; expected rows, at least 1")
    levels = competition.quantiles
    if levels != sorted(set(levels)) or not all(0.0 < level < 1.0 for level in levels):
        raise InputError(
            f"{where}: quantiles is {levels}; expected numbers between 0 and 1, each once, in rising order"
        )
    if competition.local.kind == "solution" and competition.files.solution is None:
        raise InputError(f"{where}: local.kind is solution, but files.solution names no file")
    if competition.local.kind == "groups" and not 0 < competition.local.share < 1:
        raise InputError(f"{where}: local.share is {competition.local.share}; expected between 0 and 1")
    targets = competition.submission.target
    if targets and len(targets) != len(competition.target):
        raise InputError(
            f"{where}: submission.target has {len(targets)} names for {len(competition.target)} targets"
        )
    roles = role_columns(competition)
    statics = [name for name, role in roles.items() if role.startswith("static")]
    for name in competition.folds.stratify + competition.folds.group:
        if name not in statics:
            raise unknown("static column", name, statics, f"{where}, folds")
    expressions = {f"derive.{name}": text for name, text in competition.derive.items()}
    expressions |= {f"post where {text}": text for text in post_expressions(competition)}
    if competition.judged is not None:
        expressions["judged"] = competition.judged
    for key, text in expressions.items():
        check_expression(text, None, f"{where}, {key}")


def _choice(key: str, found: str, choices: Iterable[str], where: str) -> None:
    if found not in choices:
        raise unknown(key, found, choices, where)
