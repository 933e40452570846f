"""tune.use: what studies found, put where train and all later stages read members' settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from data.errors import InputError
from pipeline.config import Config
from pipeline.store import ArtifactStore
from pipeline.tuning.files import BEST, study_title, trial_name
from pipeline.tuning.settings import merged


def read_best(config: Config, store: ArtifactStore, member: str) -> dict[str, Any]:
    """best.json of a member. InputError, naming the command that makes it, if it is not there."""
    file = store.root / "tune" / member / BEST
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"tune.use={config.tune.use}: {file} is not there; python -m pipeline.run stage=tune"
            f" competition={config.competition.name} size={config.size} members=[{member}] makes it"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    missing = [key for key in ("kept", "params", "top", "study", "competition", "size") if key not in content]
    if missing:
        raise InputError(f"{file}: {missing[0]} is missing; stage=tune writes the file anew")
    assert isinstance(content, dict)
    return content


def with_tuned(config: Config, store: ArtifactStore) -> tuple[Config, list[str]]:
    """The configuration with what tune.use asks for, and lines that say what that is.

    best: the settings of members whose gain was above its standard error. top5: the five best distinct trials
    of each member instead of it, as members of the names that they were fitted by (`trial_name`); the
    defaults keep the member's own name.
    """
    use = config.tune.use
    if use == "none":
        return config, []
    lines: list[str] = []
    members: list[str] = []
    settings = dict(config.member)
    for name in config.members:
        best = read_best(config, store, name)
        elsewhere = "" if best["size"] == config.size else f" (found at size {best['size']})"
        if use == "best":
            members.append(name)
            if not best["kept"]:
                lines.append(f"{name}: the defaults, as no trial's gain was above one standard error")
                continue
            settings[name] = merged(settings[name], best["params"])
            changes = ", ".join(changed(config.member[name], best["params"]))
            lines.append(f"{name}: tuned{elsewhere}: {changes}")
            continue
        chosen = best["top"][: int(use.removeprefix("top"))]
        title = study_title(best["study"], best["competition"], best["size"])
        for trial in chosen:
            variant = name if trial["default"] else trial_name(name, trial["number"], title)
            settings[variant] = merged(config.member[name], trial["params"])
            members.append(variant)
        numbers = ", ".join(str(trial["number"]) for trial in chosen)
        lines.append(f"{name}: its {len(chosen)} best trials{elsewhere}: {numbers}")
    return replace(config, members=members, member=settings), lines


def changed(settings: Mapping[str, Any], params: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What params change, as 'hidden 64 -> 128'."""
    found = []
    for key, value in params.items():
        before = settings.get(key)
        if isinstance(value, Mapping):
            found += changed(before or {}, value, f"{prefix}{key}.")
        elif value != before:
            was = f"{_text(before)} -> " if before is not None else ""
            found.append(f"{prefix}{key} {was}{_text(value)}")
    return found


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
