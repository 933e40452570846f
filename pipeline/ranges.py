"""Which values a key may have: ranges, choices and formats of the whole configuration.

Types are checked before (conform.py), names that registries know are checked in names.py. Every refusal
names the key, what was found and what was expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from data.errors import InputError, unknown
from data.setting_ranges import inside, range_words
from pipeline.config import Config
from pipeline.conform import Where, nowhere

#: key: (smallest, largest, whether the smallest itself is allowed). Nulls pass. Those of members'
#: settings stand by the settings' names in data/setting_ranges.py.
RANGES: dict[str, tuple[float, float, bool]] = {
    "seed": (0, 2**32 - 1, True),
    "fit.max_epochs": (1, math.inf, True),
    "fit.batch_size": (1, math.inf, True),
    "fit.learning_rate": (0, math.inf, False),
    "fit.weight_decay": (0, math.inf, True),
    "fit.warmup": (0, 1, True),
    "fit.clip": (0, math.inf, True),
    "fit.averaging_decay": (0, 1, True),
    "fit.patience": (1, math.inf, True),
    "fit.inner_share": (0, 0.9, False),
    "fit.auxiliary_differences": (0, 4, True),
    "fit.auxiliary_weight": (0, math.inf, True),
    "fit.unjudged_weight": (0, math.inf, True),
    "fit.mixup": (0, math.inf, True),
    "fit.mixup_share": (0, 1, True),
    "fit.mask_covariates": (0, 0.9, True),
    "fit.seeds": (1, math.inf, True),
    "fit.threads": (1, math.inf, True),
    "fit.devices": (1, math.inf, True),
    "windows.context": (1, math.inf, True),
    "windows.min_context": (0, math.inf, True),
    "windows.stride": (1, math.inf, True),
    "windows.per_epoch": (1, math.inf, True),
    "windows.recency": (0, math.inf, True),
    "blend.recency": (0, math.inf, False),
    "executor.workers": (1, math.inf, True),
    "tune.trials": (1, math.inf, True),
    "tune.workers": (1, math.inf, True),
    "tune.seed": (0, 2**32 - 1, True),
    "tune.memory_mib": (0, math.inf, False),
    "tune.confirm_seeds": (1, math.inf, True),
    "executor.gpus": (0, math.inf, True),
    "probe.seeds": (1, math.inf, True),
    "probe.steps": (1, math.inf, True),
    "probe.parameters": (1, math.inf, True),
    "probe.look_every": (1, math.inf, True),
    "probe.patience": (1, math.inf, True),
    "probe.validation": (2, math.inf, True),
    "probe.test": (2, math.inf, True),
    "competition.horizon": (1, math.inf, True),
    "competition.context": (0, math.inf, True),
    "check.rows": (100, math.inf, True),
    "competition.folds.count": (1, math.inf, True),
    "competition.folds.gap": (0, math.inf, True),
    "competition.folds.step": (1, math.inf, True),
    "competition.folds.rows": (1, math.inf, True),
    "competition.folds.seed": (0, 2**32 - 1, True),
    "competition.local.share": (0, 0.9, False),
    "competition.local.stride": (1, math.inf, True),
    "competition.local.rows": (1, math.inf, True),
    "competition.submission.decimals": (0, 15, True),
}

#: Folds of which it is known beforehand how many there will be; of a file's it is not, nor of a plugin's.
COUNTED = ("rolling", "block", "grouped", "stratified_grouped")

CHOICES: dict[str, tuple[str, ...]] = {
    "fit.optimizer": ("adamw", "adam", "sgd", "rmsprop"),
    "fit.schedule": ("one_cycle", "cosine", "plateau", "constant"),
    "fit.averaging": ("none", "ema", "swa"),
    "fit.refit": ("auto", "none", "all"),
    "fit.refit_epochs": ("folds", "own"),
    "blend.fits": ("mean", "median"),
    "fit.precision": ("auto", "bf16", "32"),
    "fit.learning_rate_scaling": ("auto", "linear", "sqrt", "none"),
    "fit.strategy": ("auto", "ddp", "none"),
    "windows.origins": ("random", "all"),
    "windows.scaling": ("auto", "none", "mean", "standard", "robust", "constant"),
    "windows.input_scaling": ("standard", "robust", "quantile", "none"),
    "competition.local.series": ("all", "test"),
    "tune.sampler": ("tpe", "random", "gp", "cmaes", "qmc", "nsgaii"),
    "tune.prune": ("epochs", "folds", "none"),
}

#: key: (pattern, what is expected)
FORMATS: dict[str, tuple[str, str]] = {
    "fit.device": (r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, cuda or cuda:1"),
    "competition.name": (
        r"(?!probe$)[A-Za-z0-9][A-Za-z0-9_.-]*",
        "letters, digits, - and _, and not 'probe' (it names folders)",
    ),
    "probe.suite": (
        r"(?!(?:cells|memory)$)[A-Za-z0-9][A-Za-z0-9_.-]*",
        "letters, digits, - and _, and not 'cells' or 'memory'",
    ),
    "tune.use": (r"none|best|top[1-9]\d*", "none, best, or top5 for the five best trials"),
    "submit.name": (r"[A-Za-z0-9][A-Za-z0-9_.-]*", "letters, digits, -, . and _ (it names a file)"),
    "competition.local.cutoffs": (r"all|[1-9]\d*", "a whole number from 1 on, or all"),
}

_BUDGET = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")


def budget_seconds(budget: str, key: str = "budget") -> float:
    """Seconds of a budget as 90s, 30m, 2h or 1h30m. Raises InputError for anything else, and for zero."""
    match = _BUDGET.fullmatch(budget.strip().lower())
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise InputError(f"{key}: found {budget!r}, expected a time with its unit, as 90s, 30m, 2h or 1h30m")
    return total


def validate(config: Config, where: Where = nowhere) -> None:
    """InputError for the first value that is out of its range, no valid choice or badly written."""
    for key, limits in RANGES.items():
        in_range(key, _get(config, key), limits, where)
    for key, choices in CHOICES.items():
        value = _get(config, key)
        if value is not None and value not in choices:
            raise unknown("value", value, choices, _place(key, where))
    for key, (pattern, words) in FORMATS.items():
        value = _get(config, key)
        if value is not None and not re.fullmatch(pattern, value):
            raise _refused(key, value, words, where)
    if config.budget is not None:
        budget_seconds(config.budget)
    if config.tune.timeout is not None:
        budget_seconds(config.tune.timeout, "tune.timeout")
    _validate_lists(config, where)
    _validate_together(config, where)


def in_range(key: str, value: Any, limits: tuple[float, float, bool], where: Where) -> None:
    """InputError for a value outside of its limits; nulls pass, and `auto` for the batch size."""
    if isinstance(value, str):  # no other key that has a range takes a text
        if value != "auto":
            raise _refused(key, value, "a whole number from 1 on, or auto", where)
    elif value is not None and not inside(value, *limits):
        raise _refused(key, value, range_words(value, *limits), where)


def validate_members(member: Mapping[str, Mapping[str, Any]], where: Where = nowhere) -> None:
    """The same for what every member has of its own of `fit` and `windows`."""
    for name, settings in member.items():
        for group in ("fit", "windows"):
            validate_group(settings.get(group) or {}, group, f"member.{name}.{group}", where)


def validate_group(given: Mapping[str, Any], group: str, place: str, where: Where = nowhere) -> None:
    """The same for settings of `group`, as `fit`, that stand at the dotted key `place`."""
    for key, value in given.items():
        own = f"{place}.{key}"
        if f"{group}.{key}" in RANGES:
            in_range(own, value, RANGES[f"{group}.{key}"], where)
        choices = CHOICES.get(f"{group}.{key}")
        if choices is not None and value not in choices:
            raise unknown("value", value, choices, _place(own, where))


def _validate_lists(config: Config, where: Where) -> None:
    for key in ("members", "blend.names"):
        names = _get(config, key)
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InputError(f"{_place(key, where)}: {doubled[0]!r} stands twice in {names}")
    folds = config.competition.folds
    last = (len(folds.dates) if folds.kind == "rolling" and folds.dates else folds.count) - 1
    for fold in config.fit.folds or []:
        if not 0 <= fold <= last and folds.kind in COUNTED:
            raise _refused("fit.folds", config.fit.folds, f"fold numbers from 0 to {last}", where)


def _validate_together(config: Config, where: Where) -> None:
    """Values that only make sense beside others."""
    competition = config.competition
    gpus = config.executor.gpus
    if gpus is not None and gpus > 1 and gpus % 1:
        raise _refused("executor.gpus", gpus, "a share of a GPU below 1 (as 0.5), or whole GPUs", where)
    if competition.folds.kind == "file" and not competition.folds.file:
        raise InputError(
            f"{_place('competition.folds.kind', where)} is file, so competition.folds.file must be given"
        )
    if competition.task == "sequence" and competition.folds.kind in ("rolling", "block"):
        raise InputError(
            f"{_place('competition.folds.kind', where)}: {competition.folds.kind} cut-offs need a"
            " horizon task; a sequence task takes grouped or stratified_grouped"
        )


def validate_devices(config: Config, where: Where = nowhere) -> None:
    """InputError for several devices without a strategy; how many there are is seen when a fit begins."""
    places: dict[str, Mapping[str, Any]] = {"fit": {}}
    known = [name for name in config.members if name in config.member]
    places |= {f"member.{name}.fit": config.member[name].get("fit") or {} for name in known}
    for place, own in places.items():
        devices = own.get("devices", config.fit.devices)
        strategy = own.get("strategy", config.fit.strategy)
        if strategy == "none" and devices != 1:
            raise _refused(
                f"{place}.strategy", strategy, f"ddp or auto beside {place}.devices={devices}", where
            )


def _get(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value


def _refused(key: str, value: Any, words: str, where: Where) -> InputError:
    return InputError(f"{_place(key, where)}: found {value!r}, expected {words}")


def _place(key: str, where: Where) -> str:
    place = where(key)
    return f"{place}: {key}" if place else key
