"""From the words of the command line to a checked `Config`: Hydra's compose API and the layers.

Later layers win: the dataclass defaults, conf/config.yaml, the size, the competition's own `sizes`, and
the command line. Hydra reads the groups and the words and writes nothing; what comes of them is merged
into the dataclasses, so that a YAML from --config-dir is held to the same keys and types as ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache, partial
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from data.check_competition import check_competition
from data.errors import InputError, unknown
from data.registry import load_plugins
from pipeline import names, overrides
from pipeline.config import Config
from pipeline.config_folders import CONF, GROUPS, Chosen, ConfigFolders, shown
from pipeline.conform import Where, check_key, check_keys, conform, to_object
from pipeline.names import known_members
from pipeline.probing.own import give_way
from pipeline.ranges import validate, validate_devices, validate_members
from pipeline.submitting.check import check_submit
from pipeline.word_hints import word_hints

#: Words that start another command than a run; they are told apart before anything is composed.
COMMANDS = ("list", "new")


def compose(arguments: Sequence[str], config_dirs: Sequence[str] = ()) -> Config:
    """The checked configuration of one run.

    `arguments` are KEY=VALUE words. Everything that can be refused without importing torch is refused
    before it is imported. Raises InputError for whatever does not hold, naming the full key, the file and
    line where a file gives it, and the nearest choices.
    """
    folders = ConfigFolders(config_dirs)
    given = overrides.parse(arguments, word_hints(folders))
    overrides.refuse_sweeps(given)
    choices, values = _split(given, folders)
    with _hydra(folders) as searchpath:
        layers, chosen = _layers([*searchpath, *choices], folders)
        where = _Origin(folders, chosen, values)
        heavy = [override for override in values if _key(override).startswith("member.")]
        light = [override for override in values if override not in heavy]
        plain = _applied(layers, light)
        config = _typed(plain, where)
        _check_light(config, folders, where)
        variants = _variants(folders, searchpath)
        if variants or heavy:
            plain = _applied(_merged({"member": variants}, layers), values)
    names.check_fit(config.fit, where)
    classes = known_members()
    config.member = names.member_settings(plain["member"], classes, where)
    validate_members(config.member, where)
    validate_devices(config, where)
    if config.probe.members is None or "members" in where.overridden:
        config.probe.members = list(config.members)
    config.members = names.kinds_of_rows(config, where)
    names.check_members(config.members, config.member, config.competition.baselines, classes, where)
    names.check_families(config, where)
    names.check_fits_of_members(config, where)
    names.check_pseudo_labels(config, where)
    config.probe.own = give_way(config.probe.own, where.overridden)
    names.check_probes(config, classes, where, where.overridden)
    names.check_tuning(config, classes, where)
    return config


def to_yaml(config: Config) -> str:
    """The composed configuration as YAML, in the order of the dataclasses."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _split(given: Sequence[Override], folders: ConfigFolders) -> tuple[list[str], list[Override]]:
    """Group choices (checked) as Hydra words, and the overrides of values (their keys checked)."""
    choices, values = [], []
    for override in map(_long, given):
        key = _key(override)
        if key in ("competition", "size", "probe"):
            name = override.value()
            if override.is_delete() or not isinstance(name, str | int):
                raise InputError(
                    f"{override.input_line!r}: expected {key}=NAME; list={_plural(key)} shows the names"
                )
            if str(name) not in folders.choices(key):
                raise unknown(key, str(name), folders.choices(key), key)
            choices.append(f"{key}={json.dumps(str(name))}")
        elif "_target_" in key.split("."):
            _refuse_target({key: None}, "")
        elif key == "member" or override.package is not None or "@" in key:
            raise InputError(
                f"{override.input_line!r}: expected members=[NAME,...] for the members that run, "
                "member.NAME.SETTING=VALUE for the settings of one"
            )
        else:
            check_key(key, Config, extra=COMMANDS)
            values.append(override)
    return choices, values


@contextmanager
def _hydra(folders: ConfigFolders) -> Iterator[list[str]]:
    """Hydra set up on the folders; yields the words that make it search them. Its errors are translated."""
    searched = [f"file://{folder}" for folder in folders.folders[1:]]
    try:
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="workbench"):
            yield [f"hydra.searchpath={json.dumps(searched)}"] if searched else []
    except yaml.MarkedYAMLError as error:
        raise _broken_yaml(error) from error
    except yaml.YAMLError as error:
        raise InputError(f"a YAML file cannot be read: {str(error).splitlines()[0]}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"a YAML file under {', '.join(map(str, folders.folders))} is not UTF-8 text"
        ) from error
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_first_lines(error)) from error


def _layers(words: list[str], folders: ConfigFolders) -> tuple[DictConfig, Chosen]:
    """Everything below the command line, merged; and the choices."""
    composed = hydra_compose("config", words, return_hydra_config=True)
    choices = composed.hydra.runtime.choices
    chosen = Chosen(*(str(choices[group]) for group in Chosen._fields))
    competition, size = chosen.competition, chosen.size
    content: dict[str, Any] = {str(key): composed._get_node(key) for key in composed if key != "hydra"}
    _check_groups(content, folders, chosen)
    content.pop("size", None)
    layers = _merged(_defaults(), content)
    sizes = layers.competition.get("sizes") or {}
    for name in sizes:
        if name not in folders.choices("size"):
            raise unknown("size", str(name), folders.choices("size"), f"competition.sizes of {competition}")
    if size in sizes:
        layers = _merged(layers, sizes[size])
    named = (
        layers.competition.get("name")
        if not OmegaConf.is_missing(layers.competition, "name")
        else competition
    )
    layers.competition.name = named
    layers.size = size
    if "suite" not in content["probe"]:
        layers.probe.suite = chosen.probe
    return layers, chosen


@cache
def _defaults() -> dict[str, Any]:
    """What the dataclasses give. To be merged over, not changed."""
    return OmegaConf.to_container(OmegaConf.structured(Config))  # type: ignore[return-value]


def _merged(below: Any, above: Any) -> DictConfig:
    merged = OmegaConf.merge(below, above)
    assert isinstance(merged, DictConfig)
    return merged


def _check_groups(content: Mapping[str, Any], folders: ConfigFolders, chosen: Chosen) -> None:
    """The YAML of a competition or a suite must be a mapping; a size's must be global."""
    for group in ("competition", "probe"):
        if not isinstance(content.get(group), DictConfig):
            file = folders.choices(group)[getattr(chosen, group)]
            raise InputError(f"{shown(file)}: expected a mapping of the {group}'s keys; the file holds none")
    if isinstance(content.get("size"), DictConfig):
        file = folders.choices("size")[chosen.size]
        raise InputError(f"{shown(file)}:1: a size must begin with the line '# @package _global_'")


def _applied(layers: DictConfig, given: Sequence[Override]) -> dict[str, Any]:
    """The layers with the command line's values over them, resolved, as plain values.

    Every KEY=VALUE may add a key that no YAML gives: keys are checked against the dataclasses.
    """
    config = deepcopy(layers)
    for override in given:
        key = override.key_or_group
        try:
            if override.is_delete():
                _delete(config, key, override)
            else:
                OmegaConf.update(config, key, override.value(), merge=True, force_add=True)
        except OmegaConfBaseException as error:
            raise InputError(f"{override.input_line!r}: {str(error).splitlines()[0]}") from error
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except InterpolationResolutionError as error:
        raise InputError(f"{error.full_key}: {str(error.msg or error).splitlines()[0]}") from error
    assert isinstance(plain, dict)
    _refuse_target(plain, "")
    return {str(key): value for key, value in plain.items()}


def _delete(config: DictConfig, key: str, override: Override) -> None:
    """~KEY takes a key away, ~KEY=VALUE only where it has this value."""
    above, _, last = key.rpartition(".")
    holder = OmegaConf.select(config, above) if above else config
    if not isinstance(holder, DictConfig) or last not in holder:
        raise InputError(f"{override.input_line!r}: there is no {key!r} to take away")
    expected = override.value()
    if expected is not None and holder[last] != expected:
        raise InputError(
            f"{override.input_line!r}: found {holder[last]!r}, expected {expected!r} to take away"
        )
    del holder[last]


def _typed(plain: dict[str, Any], where: Where) -> Config:
    competition = plain.get("competition")
    if isinstance(competition, dict):
        for key in ("features", "baselines"):
            if isinstance(competition.get(key), Mapping):
                competition[key] = _switched(competition[key])
    config = to_object(conform(plain, Config, where=where), where=where)
    assert isinstance(config, Config)
    return config


def _switched(entries: Mapping[str, Any]) -> dict[str, Any]:
    """`name: true` means the default settings; `name: null` or `false` switches an entry off."""
    return {
        str(name): {} if settings is True else settings
        for name, settings in entries.items()
        if settings is not None and settings is not False
    }


def _check_light(config: Config, folders: ConfigFolders, where: _Origin) -> None:
    """All checks that do not import torch."""
    names.check_stage(config.stage)
    validate(config, where)
    for name, content in config.competition.sizes.items():
        if not isinstance(content, Mapping):
            raise InputError(f"competition.sizes.{name}: found {content!r}, expected a mapping of overrides")
        if "size" in content or "stage" in content:
            raise InputError(f"competition.sizes.{name}: size and stage cannot be set by a size")
        check_keys(content, Config, where=partial(folders.locate, chosen=where.chosen._replace(size=name)))
    load_plugins(config.plugins)
    try:
        check_competition(config.competition)
    except InputError as error:
        given = any(key.startswith("competition.") for key in where.overridden)
        place = "" if given else f"{shown(folders.choices('competition')[where.chosen.competition])}: "
        raise InputError(f"{place}{error}") from error

    names.check_executor(config, where)
    names.check_metrics(config.competition.metric, config.competition.quantiles, where)
    names.check_splitter(config.competition.folds.kind, where)
    names.check_features(config.competition.features, where)
    names.check_posts(config.competition, where)
    names.check_blenders(config, where)
    check_submit(config)


def _variants(folders: ConfigFolders, searchpath: list[str]) -> dict[str, Any]:
    """Settings of every YAML in the member group, by name."""
    found: dict[str, Any] = {}
    ConfigStore.instance().store(name="_variants", node={})
    for name, file in folders.choices("member").items():
        words = [*searchpath, f"+member={json.dumps(name)}"]
        content = hydra_compose("_variants", words).get("member")
        if content is not None and not isinstance(content, DictConfig):
            raise InputError(f"{shown(file)}: expected a mapping of settings")
        found[name] = content if content is not None else {}
    return found


class _Origin:
    """Where a key's value came from, for errors: 'FILE:LINE', or '' for the command line."""

    def __init__(self, folders: ConfigFolders, chosen: Chosen, given: Sequence[Override]) -> None:
        self.folders, self.chosen = folders, chosen
        self.overridden = [_key(override) for override in given]

    def __call__(self, key: str) -> str:
        while key:  # a key that nobody gives is missed in what stands above it
            if any(f"{key}.".startswith(f"{own}.") or own.startswith(f"{key}.") for own in self.overridden):
                return ""
            place = self.folders.locate(key, self.chosen)
            if place:
                return place
            key = key.rpartition(".")[0]
        return ""


def _refuse_target(content: Any, key: str) -> None:
    """Hydra's `_target_` would call anything by name; classes are found through registries only."""
    items = (
        content.items()
        if isinstance(content, Mapping)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for name, value in items:
        full = f"{key}.{name}" if key else str(name)
        if str(name).rpartition(".")[2] == "_target_":
            raise InputError(
                f"{full}: _target_ is refused; things are named through registries (list=members)"
            )
        _refuse_target(value, full)


def _broken_yaml(error: yaml.MarkedYAMLError) -> InputError:
    mark = error.problem_mark or error.context_mark
    place = f"{shown(mark.name)}:{mark.line + 1}" if mark is not None else "a YAML file"
    problem = (error.problem or str(error)).splitlines()[0]
    return InputError(f"{place}: not valid YAML: {problem}")


def _first_lines(error: Exception) -> str:
    """Hydra's message without its hints over several lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:2]) or type(error).__name__


def _key(override: Override) -> str:
    return override.key_or_group.replace("/", ".")


def _long(override: Override) -> Override:
    """executor=ray, as people write it, as executor.name=ray: any executor that is registered has a name."""
    if _key(override) != "executor" or override.is_delete() or not isinstance(override.value(), str):
        return override
    return overrides.parse([f"executor.name={json.dumps(override.value())}"], {})[0]


def _plural(group: str) -> str:
    return {"competition": "competitions", "size": "sizes", "probe": "suites"}[group]


assert {*Chosen._fields, "member"} == set(GROUPS)
