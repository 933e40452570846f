"""What a suite compares: its probes, the rows of its table, and which row can be trained on which probe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from data.errors import InputError
from data.probes.base import Probe, make_probe
from models.network import NETWORKS
from models.settings import Fit, with_own
from pipeline.config import Config
from pipeline.probing.cell import forecaster_for

#: A setting of this value is the number of rows of a probe's windows (chrono's longest dependency).
ROWS = "rows"

#: Of a member's own `fit`, what concerns a probe too; head, loss and epochs are the probe's.
OPTIMISING = ("batch_size", "learning_rate", "weight_decay", "optimizer", "clip")


class Row(NamedTuple):
    """A member of the table."""

    name: str
    kind: str
    settings: dict[str, Any]  # complete; values may be ROWS
    fit: dict[str, Any]  # its own

    def at(self, probe: Probe, length: int) -> dict[str, Any]:
        """Its settings for windows of that probe."""
        return {
            name: probe.rows(length) if isinstance(value, str) and value == ROWS else value
            for name, value in self.settings.items()
        }


class Suite(NamedTuple):
    """Probes by label, each with its lengths; and the rows."""

    probes: dict[str, tuple[dict[str, Any], Probe, list[int]]]
    rows: list[Row]

    def obstacle(self, row: Row, label: str) -> str:
        """Why a row cannot be trained on a probe; empty if it can. Raises InputError for wrong settings."""
        _, probe, lengths = self.probes[label]
        if row.kind not in NETWORKS.names():
            return "it is no network"
        if "sequence" not in NETWORKS.get(row.kind).tasks:
            return "it is made for a history and a horizon"
        network = forecaster_for(probe, min(lengths), row.kind, row.at(probe, min(lengths)), None, 0).network
        if probe.causal_only and not network.is_causal():
            return "it sees the rows after, and the answer is there"
        return ""


def suite_of(config: Config) -> Suite:
    """What `config.probe` says. Raises InputError for what does not hold."""
    settings = config.probe
    probes: dict[str, tuple[dict[str, Any], Probe, list[int]]] = {}
    for number, entry in enumerate(settings.names):
        where = f"probe.names.{number}"
        probe = make_probe(entry, where)
        given = {"name": entry} if isinstance(entry, str) else dict(entry)
        label = label_of(given)
        if label in probes:
            raise InputError(f"probe.names: {label!r} stands twice")
        lengths = list(dict.fromkeys(settings.lengths if settings.lengths is not None else probe.lengths))
        for length in lengths:
            probe.check_length(length)
        if not lengths:
            raise InputError("probe.lengths: found [], expected lengths, or null for each probe's own")
        probes[label] = (given, probe, sorted(lengths))
    if not probes:
        raise InputError("probe.names: found [], expected probes (list=probes)")
    names = config.members if settings.members is None else settings.members
    if not names:
        raise InputError("members: found [], expected members to be probed (list=members)")
    return Suite(probes, [row_of(config, name) for name in names])


def label_of(entry: Mapping[str, Any]) -> str:
    """adding, or first_plus_last-function=square: names folders and rows of tables."""
    words = [f"{key}={value}" for key, value in entry.items() if key != "name"]
    return "-".join([str(entry["name"]), *words])


def row_of(config: Config, name: str) -> Row:
    """A row by its name: a variant of the suite, above the settings that its kind has in this run."""
    own = config.probe.member.get(name)
    if own is None:
        given, variant = config.member[name], {}
    else:
        variant = dict(own)
        given = config.member[variant.pop("kind", name)]
    settings = {key: value for key, value in given.items() if key not in ("kind", "fit", "windows")}
    fit = {**(given.get("fit") or {}), **(variant.pop("fit", None) or {})}
    return Row(name, given["kind"], {**settings, **variant}, fit)


def fit_of(config: Config, row: Row) -> dict[str, Any]:
    """How a row's cells are fitted, JSON-ready."""
    fit = with_own(Fit(), config.probe.fit)
    fit = with_own(fit, {name: value for name, value in row.fit.items() if name in OPTIMISING})
    here = config.fit
    settings = asdict(with_own(fit, {"threads": here.threads, "deterministic": here.deterministic}))
    del settings["memory"]  # no member of a competition is fitted
    return settings
