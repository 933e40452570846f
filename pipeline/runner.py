"""One run: the stages up to the one asked for, each doing only what is not done, and what came of it."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import InputError
from pipeline.budget import Budget
from pipeline.config import Config
from pipeline.executor import Executor, make_executor
from pipeline.progress import Progress, duration
from pipeline.schedule import Summary, run_jobs
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
            summary = _run_stage(stage, config, store, executor, _part_of(budget, stage), progress, command)
            seconds[stage] = time.monotonic() - began
            _say(f"{stage:<9}{summary.line()}")
            for path, reason in {**summary.out_of_time, **summary.without_input}.items():
                _say(f"          left out: {path}: {reason}")
            _after(stage, config, store)
        peak = executor.peak_memory_mib()
    _say(f"total    {duration(time.monotonic() - started)}, at most {peak:,.0f} MiB of memory")
    if "report" in stages:
        _finish(config, store, seconds, peak)
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


def _run_stage(
    name: str,
    config: Config,
    store: ArtifactStore,
    executor: Executor,
    budget: Budget | None,
    progress: Progress,
    command: list[str],
) -> Summary:
    jobs = STAGES.get(name)().jobs(config, store)
    if name == "report":
        words = shlex.join(["python", "-m", "pipeline.run", *command])
        jobs = [replace(job, details={**job.details, "command": words}) for job in jobs]
    progress.stage(name)
    return run_jobs(jobs, store, executor, budget if name == "train" else None, progress)


def _part_of(budget: Budget | None, stage: str) -> Budget | None:
    """Training ends a little before the budget does: blend, submission and report come after it."""
    if budget is None or stage != "train":
        return budget
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


def _finish(config: Config, store: ArtifactStore, seconds: dict[str, float], peak: float) -> None:
    """Complete the run's summary with what only the command knows, and say where everything is."""
    file = store.root / "report" / "summary.json"
    summary: dict[str, Any] = json.loads(file.read_text())
    summary["stage_seconds"] = {stage: round(value, 2) for stage, value in seconds.items()}
    summary["peak_memory_mib"] = round(peak, 1)
    aside = file.with_name(f".{file.name}.partial")
    aside.write_text(json.dumps(summary, indent=1) + "\n")
    os.replace(aside, file)
    for line in result_lines(summary):
        _say(line)
    _say(f"report:     {os.path.relpath(store.root / 'report' / 'index.html')}")
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
