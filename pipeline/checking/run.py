"""All checks of one competition, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from data.competition import Competition
from data.folds import Split
from data.inputs import Block
from data.panel import Panel
from pipeline.checking.adversarial import adversarial
from pipeline.checking.drift import drift, target_drift
from pipeline.checking.duplicates import duplicates
from pipeline.checking.finding import Finding
from pipeline.checking.leak import leaks
from pipeline.checking.order import row_order
from pipeline.checking.sample import draw

Check = Callable[[], tuple[dict[str, Any], list[Finding]]]


def run_checks(
    competition: Competition,
    panel: Panel,
    split: Split,
    blocks: Sequence[Block],
    context: int,
    horizon: int,
    rows: int,
    seed: int,
    progress: Callable[[float, str], None],
) -> dict[str, Any]:
    """What each check found, JSON-ready: figures by check, `findings` over all, warnings first, and seconds.

    blocks: of families that fit nothing. rows: at most so many of each part are compared. Nothing here reads
    the truth of test rows: the panel does not have it.
    """
    started = time.monotonic()
    sequence_of_series = competition.task == "horizon"
    progress(0.05, "rows to compare")
    sample = draw(competition, panel, split, blocks, context, horizon, rows, seed)
    seconds = {"sample": time.monotonic() - started}
    checks: dict[str, Check] = {
        "duplicates": lambda: duplicates(competition, panel, split),
        "leak": lambda: leaks(sample, sequence_of_series, rows, seed),
        "order": lambda: row_order(panel, split, competition.target_transform, sequence_of_series, seed),
        "adversarial": lambda: adversarial(sample, seed),
        "drift": lambda: drift(sample),
        "target": lambda: target_drift(sample),
    }
    found: dict[str, Any] = {"parts": {part.name: [len(part.series), part.units] for part in sample.parts}}
    findings: list[Finding] = []
    for number, (name, check) in enumerate(checks.items(), start=1):
        began = time.monotonic()
        progress((number + 1) / (len(checks) + 2), name)
        found[name], own = check()
        findings += own
        seconds[name] = time.monotonic() - began
    findings.sort(key=lambda finding: finding.level != "warning")
    found["findings"] = [{**asdict(finding), "line": finding.line} for finding in findings]
    found["seconds"] = seconds
    return found
