"""What a command says at the end of its studies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.config import Config
from pipeline.store import ArtifactStore
from pipeline.tuning.files import BEST

COLUMNS = ("trials", "pruned", "defaults", "best", "gain", "+-", "local, defaults", "local, best")


def table_lines(config: Config, store: ArtifactStore) -> Iterator[str]:
    """A row a member, what is kept, and how to use it."""
    found = {}
    for name in config.members:
        file = store.root / "tune" / name / BEST
        if file.exists():
            found[name] = json.loads(file.read_text(encoding="utf-8"))
    if not found:
        return
    metric = next(iter(found.values()))["metric"]
    yield f"\n{metric:<16}" + "".join(f"{column:>17}" for column in COLUMNS)
    for name, best in found.items():
        keys = ("default_score", "score", "gain", "gain_standard_error", "local_default", "local_best")
        cells = [str(best["trials"]), str(best["pruned"]), *(_number(best[key]) for key in keys)]
        yield f"{name:<16}" + "".join(f"{cell:>17}" for cell in cells)
    yield ""
    for name, best in found.items():
        yield f"{name}: {_verdict(best)}"
    if any(best["kept"] for best in found.values()):
        yield "tune.use=best trains with what is kept, tune.use=top5 the best trials as members of their own"


def _verdict(best: dict[str, Any]) -> str:
    if best["kept"]:
        settings = ", ".join(f"{key}={value}" for key, value in _flat(best["params"]))
        return f"trial {best['trial']} is kept: {settings}"
    reason = best["reason"] or "the gain is not above one standard error"
    return f"the defaults are kept: {reason}"


def _flat(params: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in params.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
