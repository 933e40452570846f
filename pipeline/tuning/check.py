"""What is wrong with a study before anything is read: its space, objectives and storage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from data.errors import InputError, unknown
from models.members.base import Member
from models.members.catalogue import member_class
from models.settings import Fit
from pipeline.config import Config
from pipeline.conform import Where, field_types
from pipeline.names import FEATURES, KIND, OVERRIDES, member_settings
from pipeline.ranges import CHOICES, RANGES, in_range
from pipeline.tuning.samplers import make_sampler
from pipeline.tuning.settings import flat
from pipeline.tuning.space import LIMITS, Choice, NoRange, check_ranges, own_parameters
from pipeline.tuning.storage import check_url

OBJECTIVES = ("score", "parameters", "predict_seconds")

#: Settings of a fit that choose which fits there are, or where they run: no study can choose them.
NOT_TUNED = ("seeds", "folds", "refit", "memory", "threads", "device", "devices", "strategy")


def check_tuning(config: Config, classes: Mapping[str, type], where: Where) -> None:
    """InputError for the first thing that cannot be done as it is written."""
    tune = config.tune
    if not config.members:
        raise InputError("stage=tune: members is empty; expected members=[NAME,...] to tune")
    _check_objectives(config)
    constraints = None if tune.memory_mib is None else lambda trial: (0.0,)
    make_sampler(tune.sampler, tune.seed, constraints, len(tune.objectives))
    if tune.storage is not None:
        check_url(tune.storage)
    for name, given in tune.space.items():
        if name not in config.member:
            raise unknown("member", name, config.member, f"{_place(where, 'tune.space')}tune.space")
        if not isinstance(given, Mapping):
            key = f"tune.space.{name}"
            raise InputError(f"{_place(where, key)}{key}: found {given!r}, expected a mapping of settings")
        _check_space(config, name, given, classes, where)


def _check_objectives(config: Config) -> None:
    objectives = config.tune.objectives
    for name in objectives:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES, "tune.objectives")
    if not objectives or objectives[0] != "score" or len(set(objectives)) < len(objectives):
        raise InputError(
            f"tune.objectives: found {list(objectives)}, expected score first, as [score] or"
            " [score, parameters]"
        )
    for name in config.members if "parameters" in objectives else ():
        kind = str(config.member[name][KIND])
        if member_class(kind).parameters is Member.parameters:
            raise InputError(f"tune.objectives: parameters of {name} cannot be counted")


def _check_space(
    config: Config, name: str, given: Mapping[str, Any], classes: Mapping[str, type], where: Where
) -> None:
    kind = str(config.member[name][KIND])
    suggested = own_parameters(kind)
    own = set(field_types(classes[kind]))
    known = sorted(suggested | own)
    known += [f"fit.{key}" for key in field_types(Fit) if key not in NOT_TUNED]
    known += [f"windows.{key}" for key in field_types(OVERRIDES["windows"])]
    known += [f"{FEATURES}.{family}" for family in config.competition.features]
    for key, value in flat(given).items():
        full = f"tune.space.{name}.{key}"
        place = f"{_place(where, full)}{full}"
        if key not in known:
            raise unknown("setting", key, known, f"{_place(where, full)}tune.space.{name}")
        choice = _choice(value, place)
        if key not in suggested and not choice.fixed and choice.choices is None:
            missing = [limit for limit in ("low", "high") if getattr(choice, limit) is None]
            if missing:
                raise InputError(f"{place}: {missing[0]} is missing; the member's own search has no {key}")
        named = choice.values()
        if key not in suggested and choice.low is not None and choice.step is not None:
            named.append(choice.low + choice.step)  # of a setting that is whole the step is too
        for one in named:
            _check_value(name, kind, key, one, own, classes, place)
    try:
        check_ranges(kind, given)
    except NoRange as error:
        key = f"tune.space.{name}"
        raise InputError(f"{_place(where, f'{key}.{error.key}')}{key}.{error}") from error


def _choice(value: Any, place: str) -> Choice:
    """What the user wrote, once it makes sense by itself."""
    if isinstance(value, Mapping):
        keys = set(value)
        if "choices" in keys:
            if keys != {"choices"} or not isinstance(value["choices"], list) or not value["choices"]:
                raise InputError(f"{place}: found {dict(value)}, expected {{choices: [...]}} by itself")
        elif keys & set(LIMITS):
            for extra in sorted(keys - set(LIMITS)):
                raise unknown("limit", extra, LIMITS, place)
        else:
            expected = "{low, high, log, step}, {choices: [...]} or a value"
            raise InputError(f"{place}: found {dict(value)}, expected {expected}")
    choice = Choice.of(value)
    for limit in ("low", "high", "step"):
        found = getattr(choice, limit)
        if found is None:
            continue
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise InputError(f"{place}.{limit}: found {found!r}, expected a number")
    if choice.log is not None and not isinstance(choice.log, bool):
        raise InputError(f"{place}.log: found {choice.log!r}, expected true or false")
    if choice.low is not None and choice.high is not None and choice.low > choice.high:
        raise InputError(f"{place}: low {choice.low:g} is above high {choice.high:g}")
    if choice.log and choice.low is not None and choice.low <= 0:
        raise InputError(f"{place}: found low {choice.low:g}, expected above 0 with log")
    if choice.step is not None and (choice.step <= 0 or choice.log):
        wrong = "with log: true there is no step" if choice.log else "expected above 0"
        raise InputError(f"{place}.step: found {choice.step:g}, {wrong}")
    return choice


def _check_value(
    name: str, kind: str, key: str, value: Any, own: set[str], classes: Mapping[str, type], place: str
) -> None:
    """InputError unless the setting may have the value."""
    group, dot, rest = key.partition(".")
    if dot and group == FEATURES:
        if not isinstance(value, bool):
            raise InputError(f"{place}: found {value!r}, expected true or false")
        return
    if not dot and key not in own:
        return  # a parameter that search makes something else of; narrowing it is the user's own affair
    given = {group: {rest: value}} if dot else {key: value}
    try:
        member_settings({name: {KIND: kind, **given}}, classes, lambda key: "")
        if dot:
            in_range(key, value, RANGES[key], lambda key: "") if key in RANGES else None
            if key in CHOICES and value not in CHOICES[key]:
                raise unknown("value", value, CHOICES[key], key)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _place(where: Where, key: str) -> str:
    found = where(key)
    return f"{found}: " if found else ""
