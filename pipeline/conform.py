"""Checks of plain settings against a dataclass: unknown keys and wrong types, each by its full key.

`conform` is the one place where YAML and command-line values become typed; OmegaConf converts, and what
it refuses is worded here as one line with the nearest choices.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException, ValidationError

from data.errors import InputError, nearest, unknown

Where = Callable[[str], str]  # full key: "FILE:LINE", or "" for the command line


def nowhere(key: str) -> str:
    """The `Where` of settings that came from the command line."""
    return ""


@functools.cache  # get_type_hints is slow, and a command asks for the same few classes hundreds of times
def field_types(schema: type) -> Mapping[str, Any]:
    """Field names of a dataclass with their types, in order; class variables are no settings."""
    hints = typing.get_type_hints(schema)
    return types.MappingProxyType({field.name: hints[field.name] for field in dataclasses.fields(schema)})


def leaf_keys(schema: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every full key below a dataclass with its type; nested dataclasses are walked, lists are leaves."""
    for name, kind in field_types(schema).items():
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from leaf_keys(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", kind


def check_key(key: str, schema: type, prefix: str = "", where: str = "", extra: tuple[str, ...] = ()) -> None:
    """InputError unless `key` (dotted, below `prefix`) exists in `schema`; free dicts take any key.

    `extra` are further names to suggest at the top level.
    """
    here = schema
    done = prefix
    parts = key.split(".")
    for index, part in enumerate(parts):
        fields = field_types(here)
        if part not in fields:
            raise _unknown_key(
                f"{prefix}{key}", done, fields, schema, prefix, where, extra if not done else ()
            )
        done = f"{done}{part}."
        kind = fields[part]
        if not (dataclasses.is_dataclass(kind) and isinstance(kind, type)):
            rest = parts[index + 1 :]
            if rest and not _is_free(kind):
                raise InputError(
                    f"{_place(where)}{prefix}{key}: {done[:-1]} has no keys below it, {expected(kind)}"
                )
            return
        here = kind


def check_keys(content: Mapping[str, Any], schema: type, prefix: str = "", where: Where = nowhere) -> None:
    """InputError for the first key of nested `content` that `schema` lacks, in lists of dataclasses too."""
    fields = field_types(schema)
    for name, value in content.items():
        full = f"{prefix}{name}"
        if name not in fields:
            raise _unknown_key(full, prefix, fields, schema, prefix, where(full), ())
        kind = fields[name]
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            if not isinstance(value, Mapping):
                raise InputError(f"{_place(where(full))}{full}: found {_shown(value)}, {expected(kind)}")
            check_keys(value, kind, f"{full}.", where)
        item = get_args(kind)[0] if get_origin(kind) is list else None
        if isinstance(value, list) and dataclasses.is_dataclass(item) and isinstance(item, type):
            for index, element in enumerate(value):
                if isinstance(element, Mapping):
                    check_keys(element, item, f"{full}.{index}.", where)


def conform(content: Mapping[str, Any], schema: type, prefix: str = "", where: Where = nowhere) -> DictConfig:
    """`content` merged over the defaults of `schema` and converted to its types.

    Raises InputError by full key for an unknown key or a value of the wrong type.
    """
    check_keys(content, schema, prefix, where)
    merged = OmegaConf.structured(schema)
    OmegaConf.set_readonly(merged, False)  # a frozen dataclass is read-only here too
    try:
        merged = OmegaConf.merge(merged, dict(content))
    except OmegaConfBaseException as error:
        raise _translated(error, content, schema, prefix, where, _refused(merged, content)) from error
    assert isinstance(merged, DictConfig)
    return merged


def to_object(settings: DictConfig, prefix: str = "", where: Where = nowhere) -> Any:
    """The instance of what `conform` returned. InputError for a value that must be given and is not."""
    try:
        return OmegaConf.to_object(settings)
    except MissingMandatoryValue as error:
        key = prefix + _dotted(error)
        raise InputError(f"{_place(where(key))}{key} must be given; it has no default") from error


def expected(kind: Any) -> str:
    """What a value of this type looks like, as 'expected a whole number or null'."""
    return f"expected {_kind_words(kind)}"


def _kind_words(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if kind in words:
        return words[kind]
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(kind) if part is not type(None)]
        text = " or ".join(_kind_words(part) for part in parts)
        return f"{text} or null" if type(None) in get_args(kind) else text
    if origin in (list, tuple):
        item = get_args(kind)[0]
        if isinstance(item, type) and dataclasses.is_dataclass(item):
            return f"a list of mappings with the keys {', '.join(field_types(item))}"
        example = {int: "[1,2]", float: "[0.1,0.5]", str: "[a,b]", list[int]: "[[1,2],[3]]"}.get(item)
        return "a list" if example is None else f"a list, as {example}"
    if origin is dict or kind is dict:
        return "a mapping of names to settings"
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return f"a mapping with the keys {', '.join(field_types(kind))}"
    return getattr(kind, "__name__", str(kind))


def _is_free(kind: Any) -> bool:
    """Whether keys below a value of this type are free: a dict, or anything."""
    return kind is Any or kind is dict or get_origin(kind) is dict


def _place(where: str) -> str:
    return f"{where}: " if where else ""


def _unknown_key(
    full: str,
    level: str,
    fields: Mapping[str, Any],
    schema: type,
    prefix: str,
    where: str,
    extra: tuple[str, ...],
) -> InputError:
    """An unknown key, with the nearest of its own level, else those of the same ending anywhere else."""
    name = full[len(level) :].split(".")[0]
    rest = full[len(level) + len(name) :]
    near = [choice if choice in extra else f"{level}{choice}" for choice in nearest(name, [*fields, *extra])]
    everywhere = [key for key, _ in leaf_keys(schema, prefix)]
    near = [f"{choice}{rest}" if f"{choice}{rest}" in everywhere else choice for choice in near]
    if not near:
        last = full.rpartition(".")[2]
        ends = {key.rpartition(".")[2]: key for key in everywhere}
        near = [ends[end] for end in nearest(last, ends)]
    if near:
        hint = f"did you mean {' or '.join(repr(key) for key in near)}?"
        return InputError(f"{_place(where)}unknown key {full!r}; {hint}")
    return unknown("key", full, [f"{level}{choice}" for choice in fields], where)


def _refused(frame: Any, content: Mapping[str, Any]) -> str:
    """The first key at the top level that cannot be merged: some of OmegaConf's errors do not say which."""
    for name, value in content.items():
        try:
            OmegaConf.merge(frame, {name: value})
        except OmegaConfBaseException:
            return str(name)
    return ""


def _translated(
    error: OmegaConfBaseException,
    content: Mapping[str, Any],
    schema: type,
    prefix: str,
    where: Where,
    name: str,
) -> InputError:
    """name: the key at the top level that was refused."""
    path = _dotted(error)
    if name and path.partition(".")[0] != name:
        path = name
    key = f"{prefix}{path}"
    place = _place(where(key))
    kind, found = _type_at(schema, path.split(".")), _value_at(content, path.split("."))
    if isinstance(error, ValidationError) or path == name:
        return InputError(f"{place}{key}: found {_shown(found)}, {expected(kind)}")
    return InputError(f"{place}{key}: {str(error.msg).splitlines()[0]}")


def _dotted(error: OmegaConfBaseException) -> str:
    """The key of an error, list positions as any other part: joins.0.file."""
    return str(error.full_key or error.key or "").replace("[", ".").replace("]", "")


def _type_at(schema: type, path: list[str]) -> Any:
    kind: Any = schema
    for part in path:
        if get_origin(kind) in (Union, types.UnionType):
            kind = next(option for option in get_args(kind) if option is not type(None))
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            kind = field_types(kind).get(part, Any)
        elif get_origin(kind) in (list, tuple):
            kind = get_args(kind)[0]
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
    return kind


def _value_at(content: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(content, Mapping):
            content = content.get(part)
        elif isinstance(content, list | tuple) and part.isdigit() and int(part) < len(content):
            content = content[int(part)]
    return content


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
