"""Names in a configuration that registries know: stages, metrics, features, blenders and members.

They are checked here so that a misspelt one is refused at once, not after an hour. What can be checked
without importing torch is checked first; members come last, since knowing them means importing it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from data.competition import Competition
from data.errors import InputError, unknown
from data.setting_ranges import refuse_out_of_range
from data.settings import Windows
from models.settings import Fit, with_own
from pipeline import pseudo_labels
from pipeline.config import Config
from pipeline.conform import Where, conform
from pipeline.probing.own import refuse_fit
from pipeline.stage import STAGES

KIND = "kind"

#: Settings of a run that a member may have of its own: member.<name>.fit.learning_rate=1e-3.
OVERRIDES: dict[str, type] = {"fit": Fit, "windows": Windows}

#: Groups below member.<name> that are no settings of the member itself; member.<name>.features.<family>=false
#: hides one of the competition's families from it.
FEATURES = "features"
OWN_GROUPS = (*OVERRIDES, FEATURES, pseudo_labels.GROUP)

#: kind: where its registry stands. The module is imported on demand only.
REGISTRIES: dict[str, str] = {
    "members": "models.members.base:MEMBERS",
    "networks": "models.network:NETWORKS",
    "mixers": "models.mixers.base:MIXERS",
    "blenders": "models.blenders.base:BLENDERS",
    "features": "features.base:FEATURES",
    "metrics": "data.metrics:METRICS",
    "heads": "models.heads:HEADS",
    "losses": "models.losses:LOSSES",
    "posts": "submissions.posts.base:POSTS",
    "probes": "data.probes.base:PROBES",
    "splitters": "data.splitters.base:SPLITTERS",
    "readers": "data.raw_tables:READERS",
    "executors": "pipeline.executor:EXECUTORS",
}


def is_there(kind: str) -> bool:
    """Whether this installation has the registry of a kind; imports its package only."""
    try:
        return importlib.util.find_spec(REGISTRIES[kind].partition(":")[0]) is not None
    except ModuleNotFoundError:
        return False


def registry(kind: str) -> Any:
    """The registry of a kind, imported on demand."""
    module, _, name = REGISTRIES[kind].partition(":")
    return getattr(importlib.import_module(module), name)


def stage_names() -> tuple[str, ...]:
    """'all' and every stage in the order of a run, read from the source: nothing heavy is imported."""
    from pipeline.runner import NEEDS

    names = _own_stages() | set(STAGES._entries)  # a plugin's
    return ("all", *(name for name in NEEDS if name in names), *sorted(names - set(NEEDS)))


@cache
def _own_stages() -> frozenset[str]:
    """Stages of this project; its files are parsed once a process."""
    folder = Path(__file__).parent / "stages"
    return frozenset(name for file in sorted(folder.glob("*.py")) for name in registered_in(file, "STAGES"))


def registered_in(file: Path, registry_name: str) -> list[str]:
    """Names that the decorators `@REGISTRY.register("name")` of a Python file give."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if (
                isinstance(decorator, ast.Call)
                and ast.unparse(decorator.func) == f"{registry_name}.register"
                and decorator.args
                and isinstance(decorator.args[0], ast.Constant)
            ):
                names.append(str(decorator.args[0].value))
    return names


def check_stage(stage: str) -> None:
    """InputError with the nearest stages for a stage that does not exist."""
    if stage not in stage_names():
        raise unknown("stage", stage, stage_names(), "stage")


def check_executor(config: Config, where: Where) -> None:
    """InputError for an unknown executor, one whose package is not installed, or what it cannot do."""
    place = f"{_place(where('executor.name'))}executor.name"
    chosen = registry("executors").get(config.executor.name, place)
    chosen.check(config)


def check_metrics(metrics: list[Any], quantiles: list[float], where: Where) -> None:
    """InputError for an unknown metric or setting, one given twice, or of quantiles that are not forecast.

    The user's own function is looked at when it is used.
    """
    package = importlib.import_module("data.metrics")
    package.metric_labels([(metric.name, metric.settings) for metric in metrics])
    for index, metric in enumerate(metrics):
        if metric.name.lower().startswith("python:"):
            continue
        key = f"competition.metric.{index}"
        try:
            made = package.make_metric(metric.name, metric.settings)
        except InputError as error:
            raise InputError(f"{_place(where(key))}{error}") from error
        if not package.reads_quantiles(made):
            continue
        place = f"{_place(where(key))}{key}: {metric.name!r} scores quantiles"
        if index == 0:
            raise InputError(
                f"{place}; the first metric decides, and blends and submissions are of points: choose one of"
                " points for it (list=metrics)"
            )
        if not quantiles:
            raise InputError(f"{place}, and competition.quantiles names none, as [0.1, 0.5, 0.9]")
        lacking = [level for level in made.quantiles or () if level not in quantiles]
        if lacking:
            raise InputError(f"{place}, and {lacking[0]:g} is not one of competition.quantiles {quantiles}")


def check_features(features: Mapping[str, Any], where: Where) -> None:
    """InputError for an unknown feature family, or a setting that it does not have or of a wrong type."""
    checked_settings = importlib.import_module("features.build").checked_settings
    for name, settings in features.items():
        key = f"competition.features.{name}"
        place = f"{_place(where(key))}{key}"
        if not isinstance(settings, Mapping):
            raise InputError(f"{place}: found {settings!r}, expected a mapping of settings, {{}} for none")
        own = {setting: value for setting, value in settings.items() if setting != "kind"}
        checked_settings(registry("features").get(str(settings.get("kind", name)), place), own, place)


def check_posts(competition: Competition, where: Where) -> None:
    """InputError for an unknown step of post-processing, or a setting or column that it cannot use."""
    make_step = importlib.import_module("submissions.post").make_step
    for index in range(len(competition.post)):
        key = f"competition.post.{index}"
        make_step(competition, index, f"{_place(where(key))}{key}")


def check_fit(fit: Fit, where: Where) -> None:
    """InputError for an unknown head or loss. Imports torch."""
    for kind, name in (("heads", fit.head), ("losses", fit.loss)):
        key = "fit.head" if kind == "heads" else "fit.loss"
        if name != "auto":
            registry(kind).get(name, f"{_place(where(key))}{key}")


def check_fits_of_members(config: Config, where: Where) -> None:
    """InputError for a member among those that run whose settings do not go together or with the competition,
    or a network whose head, its settings or loss do not fit it, or the target: before any data is read."""
    networks = registry("networks")
    competition = config.competition
    for name, member in made_members(config):
        key = f"member.{name}"
        try:
            member.check(competition, key)
        except InputError as error:
            raise InputError(f"{_place(where(key))}{error}") from error
    for name in config.members:
        settings = config.member[name]
        if settings[KIND] not in networks.names() or settings[KIND] in registry("members").names():
            continue
        network = networks.get(settings[KIND])
        plain = {key: value for key, value in settings.items() if key not in (KIND, *OWN_GROUPS)}
        context = (settings.get("windows") or {}).get("context", config.windows.context)
        key = f"member.{name}"
        try:
            importlib.import_module("models.check_network").check_network(
                network, plain, competition, context, key
            )
        except InputError as error:
            raise InputError(f"{_place(where(key))}{error}") from error
        own = settings.get("fit") or {}
        key = f"member.{name}.fit" if {"head", "head_settings", "loss", "mixup"} & set(own) else "fit"
        try:
            importlib.import_module("models.check_fit").check_fit(
                with_own(config.fit, own),
                network,
                competition.target_transform,
                bool(competition.quantiles),
                key,
            )
        except InputError as error:
            raise InputError(f"{_place(where(key))}{error} (member {name})") from error


def made_members(config: Config) -> list[tuple[str, Any]]:
    """(name, member) of those that run, are no network's and are made for the competition's task."""
    known = registry("members")
    make_member = importlib.import_module("models.members.catalogue").make_member
    made = []
    for name in config.members:
        kind = str(config.member[name][KIND])
        if kind in known.names() and config.competition.task in known.get(kind).tasks:
            own = {key: value for key, value in config.member[name].items() if key not in (KIND, *OWN_GROUPS)}
            made.append((name, make_member(kind, own)))
    return made


def check_splitter(kind: str, where: Where) -> None:
    """InputError for an unknown way to make folds."""
    registry("splitters").get(kind, f"{_place(where('competition.folds.kind'))}competition.folds.kind")


def check_blenders(config: Config, where: Where) -> None:
    """InputError for no blender, an unknown one, or a group that is no static categorical column."""
    place = f"{_place(where('blend.names'))}blend.names"
    if not config.blend.names:
        raise InputError(f"{place}: found [], expected at least one blender (list=blenders)")
    for name in config.blend.names:
        registry("blenders").get(name, place)
    columns = config.competition.columns.static_categorical
    if config.blend.group is not None and config.blend.group not in columns:
        place = f"{_place(where('blend.group'))}blend.group"
        if not columns:
            raise InputError(f"{place}: found {config.blend.group!r}; there is no static categorical column")
        raise unknown("static categorical column", config.blend.group, columns, place)


def kinds_of_rows(config: Config, where: Where) -> list[str]:
    """`config.members`, whose names may be those of the suite's rows where probes run: then the rows' kinds.

    Raises InputError for a name that is neither. What is wrong with a row itself `check_probes` says.
    """
    from pipeline.runner import PROBES

    if config.stage not in PROBES:
        return config.members
    kinds = []
    for name in config.members:
        if name not in config.member and name not in config.probe.member:
            known = {*config.member, *config.probe.member}
            raise unknown("member", name, known, f"{_place(where('members'))}members")
        row = config.probe.member.get(name)
        kind = name if name in config.member or not isinstance(row, Mapping) else str(row.get(KIND, name))
        kinds.append(kind)
    return [kind for kind in dict.fromkeys(kinds) if kind in config.member]


def check_probes(
    config: Config, classes: Mapping[str, type], where: Where, overridden: Sequence[str]
) -> None:
    """InputError for a suite of probes that cannot be run as it is written. Looks only where probes run.

    overridden: the keys of the command line, dotted.
    """
    from pipeline.runner import PROBES

    if config.stage in PROBES:
        refuse_fit(overridden)
        importlib.import_module("pipeline.probing.check").check_probes(config, classes, where)


def known_members() -> dict[str, type]:
    """Every member's settings dataclass by the member's name; networks are members under their own name.

    Imports torch.
    """
    known: dict[str, type] = {}
    for kind in ("networks", "members"):  # a member of the same name stands above the network
        known.update({name: entry.Config for name, entry in registry(kind).items()})
    return dict(sorted(known.items()))


def member_settings(
    member: Mapping[str, Any], classes: Mapping[str, type], where: Where
) -> dict[str, dict[str, Any]]:
    """`member` checked and completed: for every name, kind and all settings as JSON-ready values, and what
    it has of its own of `fit` and `windows`.

    `member` holds what the configuration gives, by name; a name that is not a kind itself needs `kind`.
    Raises InputError by full key for an unknown member, kind or setting, a wrong type, and a number that is
    out of its range.
    """
    complete: dict[str, dict[str, Any]] = {}
    for name in sorted({*classes, *member}):
        key = f"member.{name}"
        given = member.get(name)
        given = {} if given is None else given
        if not isinstance(given, Mapping):
            raise InputError(f"{_place(where(key))}{key}: found {given!r}, expected a mapping of settings")
        kind = given.get("kind", name)
        if kind not in classes:
            if "kind" not in given:
                raise unknown("member", name, classes, _place(where(key))[:-2])
            raise unknown("member", str(kind), classes, f"{_place(where(key))}{key}.kind")
        own = {setting: value for setting, value in given.items() if setting not in (KIND, *OWN_GROUPS)}
        settings: Any = (
            OmegaConf.to_container(conform(own, classes[kind], f"{key}.", where))
            if own
            else deepcopy(_defaults(classes[kind]))
        )
        refuse_out_of_range(classes[kind], settings, partial(_full, key, where))
        complete[name] = {KIND: kind, **settings}
        for group, schema in OVERRIDES.items():
            if given.get(group) is not None:
                if not isinstance(given[group], Mapping):
                    place = f"{_place(where(f'{key}.{group}'))}{key}.{group}"
                    raise InputError(f"{place}: found {given[group]!r}, expected a mapping of settings")
                checked = OmegaConf.to_container(conform(given[group], schema, f"{key}.{group}.", where))
                complete[name][group] = {setting: checked[setting] for setting in given[group]}  # type: ignore[index, call-overload]
        if given.get(FEATURES) is not None:
            complete[name][FEATURES] = given[FEATURES]
        labels = given.get(pseudo_labels.GROUP)
        if labels is not None:
            place = f"{key}.{pseudo_labels.GROUP}"
            if not isinstance(labels, Mapping):
                raise InputError(f"{_place(where(place))}{place}: found {labels!r}, expected of and weight")
            checked = conform(labels, pseudo_labels.PseudoLabels, f"{place}.", where)
            complete[name][pseudo_labels.GROUP] = OmegaConf.to_container(checked)
    return complete


@cache
def _defaults(schema: type) -> Any:
    """Settings of a member of which nothing is given; most of them are, in every command."""
    return OmegaConf.to_container(conform({}, schema))


def check_families(config: Config, where: Where) -> None:
    """InputError for a member that shows or hides a feature family which the competition does not have."""
    for name in config.members:
        given = config.member[name].get(FEATURES, {})
        key = f"member.{name}.{FEATURES}"
        if not isinstance(given, Mapping):
            raise InputError(
                f"{_place(where(key))}{key}: found {given!r}, expected families with true or false"
            )
        for family, shown in given.items():
            if family not in config.competition.features:
                raise unknown("feature", family, config.competition.features, f"{_place(where(key))}{key}")
            if not isinstance(shown, bool):
                place = f"{_place(where(f'{key}.{family}'))}{key}.{family}"
                raise InputError(f"{place}: found {shown!r}, expected true or false")


def check_pseudo_labels(config: Config, where: Where) -> None:
    """InputError for pseudo-labels by members that cannot give any, or where they would not be honest."""
    for name in config.members:
        given = config.member[name].get(pseudo_labels.GROUP)
        if given is None:
            continue
        key = f"member.{name}.{pseudo_labels.GROUP}"
        place = f"{_place(where(key))}{key}"
        if config.competition.task != "sequence":
            raise InputError(f"{place}: found a {config.competition.task} task, expected a sequence task")
        if with_own(config.fit, config.member[name].get("fit")).refit == "all":
            raise InputError(f"{place}: found fit.refit=all, expected none: labels are those of each fold")
        if config.stage == "tune":
            raise InputError(f"{place}: tune the members that it learns from instead")
        if not given["of"]:
            raise InputError(f"{place}.of: found no member, expected some of {', '.join(config.members)}")
        if not given["weight"] > 0:
            raise InputError(f"{place}.weight: found {given['weight']}, expected a number above 0")
        others = [one for one in config.members if pseudo_labels.GROUP not in config.member[one]]
        for other in given["of"]:
            if other not in others:
                raise unknown("member without pseudo-labels", other, others, f"{place}.of")
            if with_own(config.fit, config.member[other].get("fit")).refit == "all":
                raise InputError(f"{place}.of: {other} has fit.refit=all, expected none")


def check_tuning(config: Config, classes: Mapping[str, type], where: Where) -> None:
    """InputError for studies that cannot be run as they are written. Looks only where some are."""
    if config.stage == "tune":
        importlib.import_module("pipeline.tuning.check").check_tuning(config, classes, where)


def check_members(
    names: list[str],
    member: Mapping[str, Mapping[str, Any]],
    baselines: Mapping[str, Any],
    classes: Mapping[str, type],
    where: Where,
) -> None:
    """InputError for members or baselines that are not known or lack their optional package, and for
    settings that must be given."""
    base = importlib.import_module("models.members.base")
    for name in names:
        if name not in member:
            raise unknown("member", name, member, f"{_place(where('members'))}members")
        if member[name][KIND] in base.MEMBERS.names():
            base.check_installed(base.MEMBERS.get(member[name][KIND]), name)
        for setting, value in member[name].items():
            if value == "???":
                raise InputError(f"member.{name}.{setting} must be given; it has no default")
    for name, settings in baselines.items():
        key = f"competition.baselines.{name}"
        if not isinstance(settings, Mapping):
            raise InputError(f"{_place(where(key))}{key}: found {settings!r}, expected a mapping of settings")
        kind = str(settings.get("kind", member.get(name, {}).get("kind", name)))
        if kind not in classes:
            raise unknown("member", kind, classes, f"{_place(where(key))}{key}")
        conform({k: v for k, v in settings.items() if k != KIND}, classes[kind], f"{key}.", where)


def _full(prefix: str, where: Where, setting: str) -> str:
    key = f"{prefix}.{setting}"
    return f"{_place(where(key))}{key}"


def _place(where: str) -> str:
    return f"{where}: " if where else ""
