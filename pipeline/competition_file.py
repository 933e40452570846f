"""A competition as JSON: what the prepare stage leaves for the stages after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from data.competition import Competition

#: Settings that the panel, the folds and the fits do not depend on: they are not part of prepare's key, and
#: stages that need them get them in their own settings. (Of `post` the panel needs the expressions alone.)
AFTERWARDS = (
    "title",
    "kaggle",
    "root",
    "metric",
    "features",
    "baselines",
    "sizes",
    "context",
    "post",
    "quantiles",
)

#: The same of `submission`, whose names the panel's readers look at: how the CSV is written.
OF_CSV = ("decimals",)


def competition_settings(competition: Competition) -> dict[str, Any]:
    """Every setting, JSON-ready."""
    return asdict(competition)


def lasting_settings(competition: Competition) -> dict[str, Any]:
    """The settings that prepare depends on."""
    lasting = {name: value for name, value in asdict(competition).items() if name not in AFTERWARDS}
    submission = {name: value for name, value in lasting["submission"].items() if name not in OF_CSV}
    return {**lasting, "submission": submission}


def later_settings(competition: Competition) -> dict[str, Any]:
    """The settings that only later stages depend on: `later` of `load_competition`."""
    settings = asdict(competition)
    later = {name: settings[name] for name in AFTERWARDS}
    return {**later, "submission": {name: settings["submission"][name] for name in OF_CSV}}


def with_later(settings: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with the `later` ones above them; those of `submission` one by one, as they come apart."""
    submission = {**settings["submission"], **later.get("submission", {})}
    return {**settings, **later, "submission": submission}


def save_competition(competition: Competition, folder: Path) -> None:
    """Write competition.json."""
    (folder / "competition.json").write_text(json.dumps(asdict(competition), indent=1))


def load_competition(folder: Path, later: Mapping[str, Any] | None = None) -> Competition:
    """The competition that prepare wrote, as its reader left it, with the `later` settings of this run."""
    content = json.loads((folder / "competition.json").read_text())
    return deepcopy(_typed(json.dumps(with_later(content, later or {}))))


@lru_cache(maxsize=16)  # every job of a run reads the same one
def _typed(text: str) -> Competition:
    return competition_from(json.loads(text))


def competition_from(settings: Mapping[str, Any]) -> Competition:
    """The competition with these settings, the rest at its defaults."""
    competition = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Competition), dict(settings)))
    assert isinstance(competition, Competition)
    return competition
