"""tune.warm_start: what another competition found best for a member, as far as it means something here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.names import FEATURES
from pipeline.tuning.files import BEST


def params_elsewhere(folder: Path, kind: str, config: Config) -> dict[str, Any] | None:
    """Of best.json in `folder`; None where there is none, of another kind of member, or only the defaults.

    Families of features that this competition does not have are left out.
    """
    file = folder / BEST
    if not file.exists():
        return None
    best = json.loads(file.read_text(encoding="utf-8"))
    if best.get("kind") != kind or best["top"][0]["default"]:
        return None
    params: dict[str, Any] = best["params"]
    families = {
        name: shown for name, shown in params.get(FEATURES, {}).items() if name in config.competition.features
    }
    rest = {key: value for key, value in params.items() if key != FEATURES}
    return rest | ({FEATURES: families} if families else {})
