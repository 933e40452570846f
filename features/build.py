"""From settings to feature families, and from families to one table of columns."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature

Features = Sequence[tuple[str, Feature]]


def build_features(
    competition: Competition, panel: Panel, settings: Mapping[str, Any]
) -> list[tuple[str, Feature]]:
    """(name, family) pairs in the order of `settings`, which is {name: settings of the family}.

    A name is that of a registered family, or free with `kind: family` among its settings; a value of null
    leaves the feature out. Raises InputError for unknown families, settings, types, columns, and for
    columns of one name.
    """
    built: list[tuple[str, Feature]] = []
    for name, given in settings.items():
        where = f"features.{name}"
        if given is None:
            continue
        if not isinstance(given, Mapping):
            raise InputError(
                f"{where}: found {given!r}, expected settings of the family ({{}} for its defaults)"
            )
        own = {str(key): value for key, value in given.items()}
        family = FEATURES.get(str(own.pop("kind", name)), where)
        built.append((str(name), family(**checked_settings(family, own, where))))
    all_columns(competition, panel, built)
    return built


def all_columns(competition: Competition, panel: Panel, features: Features) -> dict[str, tuple[Column, ...]]:
    """Each feature's columns; InputError where two columns, of features or raw, have one name."""
    roles = competition.columns
    raw = [*roles.known_real, *roles.known_categorical, *roles.past_real, *roles.past_categorical]
    owner = dict.fromkeys(raw, "the competition's columns")
    found: dict[str, tuple[Column, ...]] = {}
    for name, feature in features:
        found[name] = feature.columns(competition, panel)
        for column in found[name]:
            if column.name in owner:
                raise InputError(
                    f"features.{name}: column {column.name!r} is there already, from {owner[column.name]}"
                )
            owner[column.name] = f"features.{name}"
    return found


def transform_all(
    competition: Competition,
    panel: Panel,
    features: Features,
    parameters: Mapping[str, dict[str, np.ndarray]] | None = None,
    stored: Mapping[str, np.ndarray] | None = None,
    computed: Callable[[str, np.ndarray], None] | None = None,
) -> tuple[tuple[Column, ...], np.ndarray]:
    """All columns side by side, (R, columns) float32 in Fortran order, filled in place family by family.

    parameters: of each fitted feature, by name. stored: a feature's columns that need not be computed
    again (a memory map will do). computed: called with name and (R, own columns) view of each feature that
    was computed, so that it can be stored.
    """
    columns = all_columns(competition, panel, features)
    total = sum(len(own) for own in columns.values())
    table = np.empty((total, panel.rows), dtype=np.float32).T
    first = 0
    for name, feature in features:
        own = table[:, first : first + len(columns[name])]
        first += len(columns[name])
        if stored is not None and name in stored:
            assert stored[name].shape == own.shape
            own[:] = stored[name]
            continue
        feature.transform(competition, panel, (parameters or {}).get(name), out=own)
        if computed is not None:
            computed(name, own)
    return tuple(column for own_columns in columns.values() for column in own_columns), table


def checked_settings(family: type[Feature], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`given` with lists as tuples; InputError for an unknown, missing or wrongly typed setting."""
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, family))}
    annotations = typing.get_type_hints(family)
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            raise unknown("setting", key, fields, where)
        checked[key] = _checked(value, annotations[key], f"{where}.{key}")
    for key, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and key not in given:
            raise InputError(f"{where}: setting {key!r} is missing, expected {_words(annotations[key])}")
    return checked


def _checked(value: Any, annotation: Any, where: str) -> Any:
    fitting, result = _fit(value, annotation)
    if not fitting:
        raise InputError(f"{where}: found {value!r}, expected {_words(annotation)}")
    return result


def _fit(value: Any, annotation: Any) -> tuple[bool, Any]:
    """Whether `value` is of the annotated type, and the value as that type."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        for choice in inner:
            fitting, result = _fit(value, choice)
            if fitting:
                return True, result
        return False, value
    if origin is tuple:
        if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
            return False, value
        items = [_fit(item, inner[0]) for item in value]
        return all(fitting for fitting, _ in items), tuple(result for _, result in items)
    if origin is not None:  # Mapping[str, str]
        if not isinstance(value, Mapping):
            return False, value
        pairs = [(_fit(key, inner[0]), _fit(item, inner[1])) for key, item in value.items()]
        return all(key[0] and item[0] for key, item in pairs), {key[1]: item[1] for key, item in pairs}
    if annotation is types.NoneType or value is None:
        return value is None and annotation in (None, types.NoneType), value
    if annotation is float:
        fitting = isinstance(value, int | float) and not isinstance(value, bool)
        return fitting, float(value) if fitting else value
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    return isinstance(value, annotation), value


def _words(annotation: Any) -> str:
    """The type in words."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_words(choice) for choice in inner)
    if origin is tuple:
        return f"a list of {_words(inner[0])}"
    if origin is not None:
        return "a mapping"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", types.NoneType: "null"}
    return names.get(annotation, str(annotation))
