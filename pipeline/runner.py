"""One run: the stages up to the one asked for, each doing only what is not done, and what came of it."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from pipeline.budget import Budget
from pipeline.config import Config
from pipeline.executor import make_executor
from pipeline.notices import notices
from pipeline.progress import Progress, duration
from pipeline.report.text import plural
from pipeline.schedule import run_jobs
from pipeline.stage import STAGES, Job
from pipeline.store import ArtifactStore

if TYPE_CHECKING:
    from pipeline.submitting.rebuild import Rebuild

#: Every stage, in order, with the stages whose artefacts it reads.
NEEDS: dict[str, tuple[str, ...]] = {
    "prepare": (),
    "baseline": ("prepare",),
    "features": ("prepare",),
    "check": ("prepare", "features"),
    "train": ("prepare", "features"),
    "blend": ("prepare", "baseline", "features", "train"),
    "submit": ("prepare", "baseline", "features", "train", "blend"),
    "report": ("prepare", "baseline", "features", "check", "train", "blend", "submit"),
    "tune": ("prepare", "features"),
    "predict_fits": (),
    "predict": ("predict_fits",),
    "pack": (),
    "submissions": (),
    "clean": (),
    "probe_cells": (),
    "probe_memory": ("probe_cells",),
    "probe": ("probe_cells", "probe_memory"),
}

#: Stages whose artefacts are no competition's.
PROBES = ("probe_cells", "probe_memory", "probe")

#: Stages whose pages print the command and what it took.
TOLD = ("report", "probe")

#: Stages that a budget cuts short.
LIMITED = ("train", "probe_cells", "tune", "predict_fits")

#: Stages that make no artefacts: a function that does it all, and gives the lines that are printed.
WITHOUT_JOBS = {
    "submissions": "pipeline.stages.submissions:submission_lines",
    "clean": "pipeline.stages.clean:clean_lines",
    "pack": "pipeline.stages.pack:pack_lines",
}

#: Stages that `all` leaves out.
ONLY_WHEN_ASKED = (*PROBES, "tune", "predict_fits", "predict", *WITHOUT_JOBS)

#: Of a budget, kept back for blend, submission and report.
SHARE_KEPT_BACK = 0.1
LEAST_KEPT_BACK, MOST_KEPT_BACK = 5.0, 60.0


def run(config: Config, command: list[str]) -> int:
    """Run the stages and print what came of it; the exit code.

    Raises InputError for what the user can mend, before anything long has begun where that is possible.
    """
    started = time.monotonic()
    if config.stage in WITHOUT_JOBS:
        module, _, function = WITHOUT_JOBS[config.stage].partition(":")
        for line in getattr(importlib.import_module(module), function)(config):
            _say(line)
        return 0
    rebuild = _rebuild(config)
    if rebuild is not None:
        config = rebuild.config
    stages = stages_of(config.stage)
    budget = budget_of(config)
    root = (
        Path(config.root) / "artifacts" / (PROBES[-1] if config.stage in PROBES else config.competition.name)
    )
    _refuse_unwritable(root)
    store = ArtifactStore(root)
    progress = Progress()
    config, tuned = _tuned(config, store)
    _say(headline(config, root))
    for line in tuned:
        _say(f"         {line}")
    for line in notices(config) if "train" in stages else ():
        _say(f"         {line}")
    seconds: dict[str, float] = {}
    words = ["python", "-m", "pipeline.run", *command]
    made = 0
    with make_executor(config) as executor:
        for stage in stages:
            began = time.monotonic()
            details = {
                "command": words,
                "stage_seconds": seconds,
                "peak_memory_mib": executor.peak_memory_mib(),
            }
            progress.stage(stage)
            jobs = [
                replace(job, details={**job.details, **(details if stage in TOLD else {})})
                for job in STAGES.get(stage)().jobs(config, store)
            ]
            limit = _training_part(budget) if stage in LIMITED else None
            source = STAGES.get(stage)().source(config, store, progress.note, limit)
            summary = run_jobs(jobs, store, executor, limit, progress, source=source)
            seconds[stage] = time.monotonic() - began
            made += len(summary.ran) + len(summary.restored)
            _say(f"{stage:<{max(8, len(stage))}} {summary.line()}")
            for line in left_out_lines({**summary.out_of_time, **summary.without_input}):
                _say(f"         left out: {line}")
            _after(stage, jobs, config, store, words if rebuild is None else None)
        peak = executor.peak_memory_mib()
    nothing = "" if made else ", nothing was left to do"
    _say(f"{'total':<9}{duration(time.monotonic() - started)}{nothing}, at most {peak:,.0f} MiB of memory")
    if "report" in stages:
        _finish(config, store)
    if "probe" in stages:
        _finish_probes(config, store)
    if "tune" in stages:
        _finish_tuning(config, store)
    if rebuild is not None:
        return rebuild.finish(store, _say)
    if "submit" in stages and config.submit.push != "false":
        _push(config, store, words)
    return 0


def stages_of(stage: str) -> list[str]:
    """The stages that `stage` runs, itself last."""
    if stage == "all":
        return [name for name in NEEDS if name not in ONLY_WHEN_ASKED]
    # A plugin's stage may need anything: all that a submission needs comes before it.
    return [*NEEDS.get(stage, stages_of("all")), stage]


def headline(config: Config, root: Path) -> str:
    """What will be done, in one line."""
    limit = f", budget {config.budget}" if config.budget else ""
    if config.stage in PROBES:
        what, names, count = f"suite {config.probe.suite}", config.probe.members, config.probe.seeds
    else:
        what, names, count = f"size {config.size}", config.members, config.fit.seeds
        what = f"{config.competition.name}, stage {config.stage}, {what}"
    members = ", ".join(names or ()) or "no members"
    seeds = f", {count} seeds" if count > 1 else ""
    return f"{what}: {members}{seeds}{limit}; artefacts in {root}"


def left_out_lines(reasons: dict[str, str]) -> Iterator[str]:
    """One line a member and reason. reasons: path of a fit that was not made: why."""
    fits: dict[tuple[str, str], list[str]] = {}
    for path, reason in reasons.items():
        member, _, fit = path.partition("/seed")
        fits.setdefault((member.rpartition("/")[2], reason), []).append(f"seed{fit}" if fit else "")
    for (member, reason), which in fits.items():
        yield f"{member} ({', '.join(which)}): {reason}" if any(which) else f"{member}: {reason}"


def budget_of(config: Config) -> Budget | None:
    """What ends first of the budget and, for a study, tune.timeout; None without either."""
    given = [config.budget, config.tune.timeout if config.stage == "tune" else None]
    return min((Budget.parse(words) for words in given if words), key=lambda one: one.end, default=None)


def _training_part(budget: Budget | None) -> Budget | None:
    """Training ends a little before the budget does: blend, submission and report come after it."""
    if budget is None:
        return None
    kept = min(MOST_KEPT_BACK, max(LEAST_KEPT_BACK, SHARE_KEPT_BACK * budget.left()))
    return Budget(budget.end - kept)


def _after(
    stage: str, jobs: list[Job], config: Config, store: ArtifactStore, command: list[str] | None
) -> None:
    """What a finished stage leaves outside the artefacts, and says. command: None where a rebuild leaves all
    submissions as they are."""
    if stage == "prepare":
        from pipeline.stages.prepare import PREPARE

        meta = json.loads((store.folder(PREPARE) / "meta.json").read_text())
        _say(
            f"         {meta['train_rows']:,} rows to learn from, {meta['series']:,} series,"
            f" {meta['asked']:,} rows asked, {plural(len(meta['folds']), 'fold')},"
            f" local hold-out: {meta['local']}"
        )
        for note in meta["notes"]:
            _say(f"         note: {note}")
    if stage == "baseline" and command is not None:
        from pipeline.submitting.baseline import baseline_submission

        first = baseline_submission(config, store, command)
        if first is not None:
            scores = ", ".join(f"local {name} {value:.5g}" for name, value in first.local.items())
            _say(f"         a valid submission from the baseline: {_shown(first.file)}")
            if scores:
                _say(f"         it scores {scores}")
    if stage == "check":
        from pipeline.stages.check import check_lines

        for line in check_lines(config, store):
            _say(f"         {line}")
    if stage in ("train", "probe_memory"):
        from pipeline.member_memory import failed_measures

        for line in failed_measures(store.root / job.path for job in jobs):
            _say(f"         warning: {line}")
    if stage == "predict" and command is not None:
        from pipeline.submitting.predicted import keep_predicted

        for line in keep_predicted(config, store, command):
            _say(f"         {line}")
    if stage == "submit" and command is not None:
        from pipeline.stages.submit import published, submission_name
        from pipeline.submitting.record import keep_submission

        _say(f"         submission: {_shown(published(config, store))}")
        kept = keep_submission(config, store, f"submit/{config.size}", submission_name(config), command)
        _say(f"         kept with its manifest: {_shown(kept.folder)}")


def _finish(config: Config, store: ArtifactStore) -> None:
    """Say what came of it and where everything is."""
    from pipeline.stages.report import published

    page = published(config, store)
    file = page.with_name("summary.json")
    summary = json.loads(file.read_text())
    for line in result_lines(summary):
        _say(line)
    submission = summary["submission"]
    of = f", of the baseline {submission['baseline']} alone" if submission["baseline"] else ""
    _say(f"submission: {_shown(Path(config.root) / submission['path'])} ({submission['rows']:,} rows{of})")
    _say(f"report:     {_shown(page)}")
    _say(f"summary:    {_shown(file)}")


def _finish_probes(config: Config, store: ArtifactStore) -> None:
    from pipeline.probing.summaries import SUMMARY
    from pipeline.probing.table import table_lines
    from pipeline.stages.probe import PAGE

    file = store.folder(config.probe.suite) / SUMMARY
    for line in table_lines(json.loads(file.read_text())):
        _say(line)
    _say("\nerror and share of the seeds that solve it, by length")
    _say(f"page:       {_shown(file.with_name(PAGE))}")
    _say(f"summary:    {_shown(file)}")


def _rebuild(config: Config) -> Rebuild | None:
    """The submission that is to be made again, and what differs from when it was made."""
    if config.submit.rebuild is None:
        return None
    from pipeline.submitting.rebuild import Rebuild

    rebuild = Rebuild.of(config)
    for line in rebuild.lines():
        _say(line)
    return rebuild


def _tuned(config: Config, store: ArtifactStore) -> tuple[Config, list[str]]:
    """The configuration with what studies found, where stages that fit members are asked to use it."""
    if config.stage == "tune":
        workers = config.tune.workers or config.executor.workers
        return replace(config, executor=replace(config.executor, workers=workers)), []
    if config.tune.use == "none" or config.stage in PROBES:
        return config, []
    from pipeline.tuning.use import with_tuned

    return with_tuned(config, store)


def _finish_tuning(config: Config, store: ArtifactStore) -> None:
    from pipeline.tuning.table import table_lines

    for line in table_lines(config, store):
        _say(line)


def _push(config: Config, store: ArtifactStore, command: list[str]) -> None:
    from pipeline.stages.submit import submission_name
    from pipeline.submitting.push import push
    from pipeline.submitting.record import keep_submission

    kept = keep_submission(config, store, f"submit/{config.size}", submission_name(config), command)
    push(kept, config.competition.kaggle, config.submit.push == "again", _say)


def result_lines(summary: dict[str, Any]) -> Iterator[str]:
    """The table of scores that ends a run."""
    metric = summary["metric"]
    yield ""
    rows = [("", f"{metric}, cv", "spread", "local")]
    for name, member in summary["members"].items():
        spread = member["cv_std"] if len(member["folds"]) > 1 else None  # of one fold there is none
        rows.append((name, *map(_number, (member["cv_mean"], spread, member["local"]))))
    blend = summary["blend"]
    if blend:
        local = next(iter(summary["local_score"].values()), None)
        spread = blend["cv_std"] if len(blend["folds"]) > 1 else None
        rows.append((f"blend ({blend['name']})", _number(blend["cv_mean"]), _number(spread), _number(local)))
    rows += [(f"baseline {name}", "", "", _number(value)) for name, value in summary["baselines"].items()]
    for name, *numbers in rows:
        yield f"{name:<24}" + "".join(f"{number:>14}" for number in numbers)
    yield ""


def _shown(path: Path) -> str:
    """As people would write it: from the working folder if it lies below it, else the whole path."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def _refuse_unwritable(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{root}: cannot be made ({error.strerror}); set root=FOLDER") from None


def _say(line: str) -> None:
    print(line, flush=True)
