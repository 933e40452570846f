"""What a suite compares: its probes, the rows of its table, and which row can be trained on which probe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from data.errors import InputError
from data.probes.base import Probe, make_probe
from models.network import NETWORKS
from models.settings import Fit, with_own
from pipeline.config import Config, Probing
from pipeline.names import OWN_GROUPS
from pipeline.probing.cell import Limits, forecaster_for
from pipeline.probing.own import config_for

#: A setting of this value is the number of rows of a probe's windows (chrono's longest dependency).
ROWS = "rows"

#: Beside its settings: whose settings a row stands on.
KIND = "kind"

#: Of a member's own `fit`, what concerns a probe too; head, loss and epochs are the probe's.
OPTIMISING = (
    *("batch_size", "learning_rate", "weight_decay", "optimizer", "clip"),
    *("averaging", "averaging_decay"),
)

#: What a suite may say of its fits.
READ = (*OPTIMISING, "schedule", "warmup", "compile")

#: A member's own settings that need known targets before an origin; the windows of a probe have none.
WANT_HISTORY = {"add_last": "none"}

#: Values that ask for epochs, or for a measurement before them. A member's own of them is left out.
WANT_EPOCHS = {"batch_size": "auto", "averaging": "swa", "schedule": "plateau"}


class Row(NamedTuple):
    """A member of the table."""

    name: str
    kind: str
    settings: dict[str, Any]  # complete; values may be ROWS
    fit: dict[str, Any]  # its own, above the suite's

    def at(self, probe: Probe, length: int) -> dict[str, Any]:
        """Its settings for windows of that probe."""
        return {
            name: probe.rows(length) if isinstance(value, str) and value == ROWS else value
            for name, value in self.settings.items()
        }


class Tried(NamedTuple):
    """A probe of a suite: how long, by whom and how it is tried."""

    given: dict[str, Any]  # its name and settings
    probe: Probe
    lengths: list[int]
    rows: list[Row]
    config: Config  # of the run, with what this probe has of its own merged into `config.probe`

    def obstacle(self, row: Row) -> str:
        """Why a row cannot be trained on it; empty if it can. Raises InputError for wrong settings."""
        probe, lengths = self.probe, self.lengths
        if row.kind not in NETWORKS.names():
            return "it is no network"
        if "sequence" not in NETWORKS.get(row.kind).tasks:
            return "it is made for a history and a horizon"
        settings = row.at(probe, min(lengths))
        try:
            network = forecaster_for(probe, min(lengths), row.kind, settings, None, 0).network
        except InputError as error:
            raise InputError(f"{row.name} on {label_of(self.given)}: {error}") from error
        if probe.causal_only and not network.is_causal():
            return "it sees the rows after, and the answer is there"
        return ""


def labelled(config: Config) -> dict[str, tuple[dict[str, Any], Probe]]:
    """{label: (name and settings, probe)} of `config.probe.names`. Raises InputError for what is no probe."""
    found: dict[str, tuple[dict[str, Any], Probe]] = {}
    for number, entry in enumerate(config.probe.names):
        probe = make_probe(entry, f"probe.names.{number}")
        given = {"name": entry} if isinstance(entry, str) else dict(entry)
        label = label_of(given)
        if label in found:
            raise InputError(f"probe.names: {label!r} stands twice")
        found[label] = (given, probe)
    if not found:
        raise InputError("probe.names: found [], expected probes (list=probes)")
    return found


def suite_of(config: Config) -> dict[str, Tried]:
    """The probes of `config.probe` by label. Raises InputError for what does not hold."""
    suite: dict[str, Tried] = {}
    for label, (given, probe) in labelled(config).items():
        own = config_for(config, label)
        key = "probe.lengths" if own.probe.lengths == config.probe.lengths else f"probe.own.{label}.lengths"
        lengths = probe.lengths if own.probe.lengths is None else own.probe.lengths
        for length in lengths:
            probe.check_length(length, key)
        if not lengths:
            raise InputError(f"{key}: found [], expected lengths, or null for each probe's own")
        names = config.members if own.probe.members is None else own.probe.members
        if not names:
            raise InputError("members: found [], expected members to be probed (list=members)")
        rows = [row_of(own, name) for name in names]
        suite[label] = Tried(given, probe, sorted(set(lengths)), rows, own)
    return suite


def obstacles(suite: Mapping[str, Tried]) -> dict[str, dict[str, str]]:
    """{row: {probe: why it cannot be trained on it}}."""
    found: dict[str, dict[str, str]] = {}
    for label, tried in suite.items():
        for row in tried.rows:
            if reason := tried.obstacle(row):
                found.setdefault(row.name, {})[label] = reason
    return found


def label_of(entry: Mapping[str, Any]) -> str:
    """adding, or first_plus_last-function=square: names folders and rows of tables."""
    words = [f"{key}={value}" for key, value in entry.items() if key != "name"]
    return "-".join([str(entry["name"]), *words])


def row_of(config: Config, name: str) -> Row:
    """A row by its name: a variant of the suite, above the settings that its kind has in this run.

    Of these it leaves out what a probe has nothing for: `WANT_HISTORY`, `WANT_EPOCHS`.
    """
    own = config.probe.member.get(name)
    if own is None:
        given, variant = config.member[name], {}
    else:
        variant = dict(own)
        given = config.member[variant.pop(KIND, name)]
    settings = {key: value for key, value in given.items() if key not in (KIND, *OWN_GROUPS)}
    settings |= {key: value for key, value in WANT_HISTORY.items() if key in settings}
    fit = {
        key: value
        for key, value in (given.get("fit") or {}).items()
        if key in OPTIMISING and value != WANT_EPOCHS.get(key)
    }
    fit |= variant.pop("fit", None) or {}
    return Row(name, given[KIND], {**settings, **variant}, fit)


def fit_of(config: Config, row: Row) -> dict[str, Any]:
    """How a row's cells are fitted, JSON-ready."""
    fit = with_own(Fit(), config.probe.fit)
    fit = with_own(fit, row.fit)
    here = config.fit
    settings = asdict(with_own(fit, {"threads": here.threads, "deterministic": here.deterministic}))
    del settings["memory"]  # no member of a competition is fitted
    return settings


def limits_of(settings: Probing) -> Limits:
    """When a probe's cells end."""
    patience = settings.patience or max(settings.look_every, settings.steps // 2)
    return Limits(settings.steps, settings.look_every, patience, settings.validation, settings.test)
