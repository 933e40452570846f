"""Whether a suite of probes can be run as it is written: names, types and ranges, before any training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from omegaconf import OmegaConf

from data.errors import InputError, unknown
from data.setting_ranges import refuse_out_of_range
from models.settings import Fit
from pipeline.config import Config, OneProbe
from pipeline.conform import Where, conform
from pipeline.probing.rows import KIND, READ, ROWS, WANT_EPOCHS, Tried, labelled, obstacles, suite_of
from pipeline.probing.sizing import sized
from pipeline.ranges import RANGES, in_range, validate_group


def check_probes(config: Config, classes: Mapping[str, type], where: Where) -> None:
    """InputError for the first thing that does not hold; classes: settings of every kind of member."""
    settings = config.probe
    _check_fit(settings.fit, "probe.fit", where)
    _check_rows(settings.member, {}, "probe.member", config, classes, where)
    _check_members(settings.members, "members", config, where)
    labels = labelled(config)
    for label, own in settings.own.items():
        key = f"probe.own.{label}"
        if label not in labels:
            if _was_narrowed(key, where):
                continue
            raise unknown("probe of this suite", label, labels, f"{_place(key, where)}")
        if not isinstance(own, Mapping):
            raise InputError(f"{_place(key, where)}: found {own!r}, expected a mapping of settings")
        conform(own, OneProbe, f"{key}.", where)
        for name, value in own.items():
            if f"probe.{name}" in RANGES:
                in_range(f"{key}.{name}", value, RANGES[f"probe.{name}"], where)
        _check_fit(own.get("fit"), f"{key}.fit", where)
        _check_rows(own.get("member") or {}, settings.member, f"{key}.member", config, classes, where)
        _check_members(own.get("members"), f"{key}.members", config, where)
    suite = suite_of(config)
    found = obstacles(suite)
    _check_sizes(suite, found)
    if all(
        row.name in found and label in found[row.name] for label, one in suite.items() for row in one.rows
    ):
        reasons = sorted({f"{row}: {reason}" for row, by in found.items() for reason in by.values()})
        raise InputError(f"members: none can be trained on these probes ({'; '.join(reasons)})")


def _check_sizes(suite: Mapping[str, Tried], found: Mapping[str, Mapping[str, str]]) -> None:
    """Networks of the size that is asked for are there, before the first of them is trained.

    Looked for at the ends of the lengths: between them no network is smaller than the one or larger than
    the other.
    """
    for label, one in suite.items():
        wanted = one.config.probe.parameters
        if wanted is None:
            continue
        for row in one.rows:
            if label not in found.get(row.name, {}):
                for length in {one.lengths[0], one.lengths[-1]}:
                    sized(one.probe, length, row.kind, row.at(one.probe, length), wanted)


def _check_fit(given: Any, place: str, where: Where) -> None:
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise InputError(f"{_place(place, where)}: found {given!r}, expected a mapping of settings")
    conform(given, Fit, f"{place}.", where)
    for name, value in given.items():
        key = f"{place}.{name}"
        if name not in READ:
            raise InputError(f"{_place(key, where)}: no probe reads it; expected one of {', '.join(READ)}")
        if value == WANT_EPOCHS.get(name):
            raise InputError(
                f"{_place(key, where)}: found {value}, which needs epochs; a probe's windows have no end"
            )
    validate_group(given, "fit", place, where)


def _check_rows(
    rows: Mapping[str, Any],
    below: Mapping[str, Any],
    prefix: str,
    config: Config,
    classes: Mapping[str, type],
    where: Where,
) -> None:
    """Variants by name; `below` are those of the suite that these stand above."""
    for name, variant in rows.items():
        key = f"{prefix}.{name}"
        if not isinstance(variant, Mapping):
            raise InputError(f"{_place(key, where)}: found {variant!r}, expected a mapping of settings")
        kind = variant.get(KIND, below.get(name, {}).get(KIND, name))
        if kind not in config.member:
            raise unknown("member", str(kind), config.member, f"{_place(key, where)}.{KIND}")
        _check_fit(variant.get("fit"), f"{key}.fit", where)
        own = {
            setting: 1 if isinstance(value, str) and value == ROWS else value
            for setting, value in variant.items()
            if setting not in (KIND, "fit")
        }
        schema = classes[config.member[kind][KIND]]
        values: Any = OmegaConf.to_container(conform(own, schema, f"{key}.", where))
        refuse_out_of_range(schema, values, partial(_place_of, key, where))


def _check_members(names: list[str] | None, key: str, config: Config, where: Where) -> None:
    found_in = where(key if key.startswith("probe.") else f"probe.{key}")
    place = f"{found_in}: {key}" if found_in else key
    for number, name in enumerate(names or []):
        if name in (names or [])[:number]:
            raise InputError(f"{place}: {name!r} stands twice in {names}")
        if name not in config.member and name not in config.probe.member:
            raise unknown("member", name, {*config.member, *config.probe.member}, place)


def _was_narrowed(key: str, where: Where) -> bool:
    """Whether the command line names other probes than the file where `key` stands: it does not run here."""
    return not where("probe.names") and bool(where(key))


def _place_of(group: str, where: Where, setting: str) -> str:
    return _place(f"{group}.{setting}", where)


def _place(key: str, where: Where) -> str:
    place = where(key)
    return f"{place}: {key}" if place else key
