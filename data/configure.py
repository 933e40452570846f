"""From plain settings (YAML, JSON) to a component's frozen Config, refused by name where they do not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from data.errors import InputError, unknown
from data.setting_ranges import refuse_out_of_range

Settings = TypeVar("Settings")


def make_settings(kind: type[Settings], content: Mapping[str, Any] | None, where: str) -> Settings:
    """An instance of the dataclass `kind` with its defaults overridden by `content`.

    where: what the settings belong to, for the message (member.lstm). Raises InputError for an unknown key
    (with the nearest ones) or a value of the wrong type or out of its range (data/setting_ranges.py).
    """
    given = dict(content or {})
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in given:
        if key not in names:
            raise unknown("setting", str(key), names, where)
    frame = OmegaConf.structured(kind)
    OmegaConf.set_readonly(frame, False)  # a frozen dataclass is read-only here too
    try:
        made = OmegaConf.to_object(OmegaConf.merge(frame, given))
    except OmegaConfBaseException as error:
        key = f"{where}.{error.full_key}" if error.full_key else where
        raise InputError(f"{key}: {str(error.msg or error).splitlines()[0]}") from error
    refuse_out_of_range(kind, vars(made), lambda name: f"{where}.{name}")
    return made  # type: ignore[return-value]


def one_of(value: str, choices: tuple[str, ...], kind: str, where: str) -> str:
    """`value`; InputError with the nearest choices if it is not among them."""
    if value not in choices:
        raise unknown(kind, value, choices, where)
    return value
