"""One run: the stages up to the one asked for, each doing only what is not done, and what came of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import InputError
from pipeline.budget import Budget
from pipeline.config import Config
from pipeline.executor import make_executor
from pipeline.progress import Progress, duration
from pipeline.schedule import run_jobs
from pipeline.stage import STAGES
from pipeline.store import ArtifactStore

#: Every stage, in order, with the stages whose artefacts it reads. `stage=all` runs them all.
NEEDS: dict[str, tuple[str, ...]] = {
    "prepare": (),
    "baseline": ("prepare",),
    "features": ("prepare",),
    "train": ("prepare", "features"),
    "blend": ("prepare", "baseline", "features", "train"),
    "submit": ("prepare", "baseline", "features", "train", "blend"),
    "report": ("prepare", "baseline", "features", "train", "blend", "submit"),
}

#: Of a budget, kept back for blend, submission and report.
SHARE_KEPT_BACK = 0.1
LEAST_KEPT_BACK, MOST_KEPT_BACK = 5.0, 60.0


def run(config: Config, command: list[str]) -> int:
    """Run the stages and print what came of it; the exit code.

    Raises InputError for what the user can mend, before anything long has begun where that is possible.
    """
    started = time.monotonic()
    stages = stages_of(config.stage)
    budget = Budget.parse(config.budget) if config.budget else None
    root = Path(config.root) / "artifacts" / config.competition.name
    _refuse_unwritable(root)
    store = ArtifactStore(root)
    progress = Progress()
    _say(headline(config, root))
    seconds: dict[str, float] = {}
    with make_executor(config) as executor:
        for stage in stages:
            began = time.monotonic()
            details = {
                "command": ["python", "-m", "pipeline.run", *command],
                "stage_seconds": seconds,
                "peak_memory_mib": executor.peak_memory_mib(),
            }
            progress.stage(stage)
            jobs = [
                replace(job, details={**job.details, **(details if stage == "report" else {})})
                for job in STAGES.get(stage)().jobs(config, store)
            ]
            summary = run_jobs(
                jobs, store, executor, _training_part(budget) if stage == "train" else None, progress
            )
            seconds[stage] = time.monotonic() - began
            _say(f"{stage:<9}{summary.line()}")
            for path, reason in {**summary.out_of_time, **summary.without_input}.items():
                _say(f"          left out: {path}: {reason}")
            _after(stage, config, store)
        peak = executor.peak_memory_mib()
    _say(f"total    {duration(time.monotonic() - started)}, at most {peak:,.0f} MiB of memory")
    if "report" in stages:
        _finish(config, store)
    return 0


def stages_of(stage: str) -> list[str]:
    """The stages that `stage` runs, itself last."""
    if stage == "all":
        return list(NEEDS)
    return [*NEEDS[stage], stage]


def headline(config: Config, root: Path) -> str:
    """What will be done, in one line."""
    members = ", ".join(config.members) or "no members"
    seeds = f", {config.fit.seeds} seeds" if config.fit.seeds > 1 else ""
    limit = f", budget {config.budget}" if config.budget else ""
    return (
        f"{config.competition.name}, stage {config.stage}, size {config.size}: {members}{seeds}{limit};"
        f" artefacts in {root}"
    )


def _training_part(budget: Budget | None) -> Budget | None:
    """Training ends a little before the budget does: blend, submission and report come after it."""
    if budget is None:
        return None
    kept = min(MOST_KEPT_BACK, max(LEAST_KEPT_BACK, SHARE_KEPT_BACK * budget.left()))
    return Budget(budget.end - kept)


def _after(stage: str, config: Config, store: ArtifactStore) -> None:
    """What a finished stage leaves outside the artefacts, and says."""
    if stage == "prepare":
        from pipeline.stages.prepare import PREPARE

        meta = json.loads((store.folder(PREPARE) / "meta.json").read_text())
        _say(
            f"          {meta['train_rows']:,} rows to learn from, {meta['series']:,} series,"
            f" {meta['asked']:,} rows asked, {len(meta['folds'])} folds, local hold-out: {meta['local']}"
        )
        for note in meta["notes"]:
            _say(f"          note: {note}")
    if stage == "baseline":
        file = _baseline_submission(config, store)
        if file is not None:
            _say(f"          a valid submission from the baseline: {os.path.relpath(file)}")
    if stage == "submit":
        from pipeline.stages.submit import published

        _say(f"          submission: {os.path.relpath(published(config, store))}")


def _baseline_submission(config: Config, store: ArtifactStore) -> Path | None:
    from pipeline.member_predictions import complete_parts
    from pipeline.stages.baseline import Baseline
    from pipeline.stages.prepare import PREPARE, Prepared
    from pipeline.write_submission import asked_test_rows, mean_table, write_baseline_submission

    parts = complete_parts(Baseline().jobs(config, store), store)
    for name in config.competition.baselines:
        if not parts.get(name, {}).get("test"):
            continue
        later = {"submission": config.competition.submission}
        prepared = Prepared(store.folder(PREPARE), later)
        table = mean_table([store.folder(path) for path in parts[name]["test"]], asked_test_rows(prepared))
        return write_baseline_submission(prepared, table, store.root, name)
    return None


def _finish(config: Config, store: ArtifactStore) -> None:
    """Say what came of it and where everything is."""
    from pipeline.stages.report import published

    page = published(config, store)
    file = page.with_name("summary.json")
    for line in result_lines(json.loads(file.read_text())):
        _say(line)
    _say(f"report:     {os.path.relpath(page)}")
    _say(f"summary:    {os.path.relpath(file)}")


def result_lines(summary: dict[str, Any]) -> Iterator[str]:
    """The table of scores that ends a run."""
    metric = summary["metric"]
    yield ""
    rows = [("", f"{metric}, cv", "spread", "local")]
    for name, member in summary["members"].items():
        rows.append((name, *map(_number, (member["cv_mean"], member["cv_std"], member["local"]))))
    blend = summary["blend"]
    if blend:
        local = next(iter(summary["local_score"].values()), None)
        rows.append((f"blend ({blend['name']})", _number(blend["cv_mean"]), "", _number(local)))
    rows += [(f"baseline {name}", "", "", _number(value)) for name, value in summary["baselines"].items()]
    for name, *numbers in rows:
        yield f"{name:<24}" + "".join(f"{number:>14}" for number in numbers)
    yield ""
    yield f"submission: {summary['submission']['path']} ({summary['submission']['rows']:,} rows)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def _refuse_unwritable(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{root}: cannot be made ({error.strerror}); set root=FOLDER") from None


def _say(line: str) -> None:
    print(line, flush=True)
