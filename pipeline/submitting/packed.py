"""Inside a pack: predict.py's command. The pack itself is only read, and may lie on a read-only disk."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data.errors import InputError, unknown
from pipeline.config import Config
from pipeline.submitting.folder import CSV, MANIFEST, Kept, read_kept

WORDS = ("test", "out", "sample", "train", "budget", "workers", "device", "work")


def main(pack: Path, words: Sequence[str]) -> int:
    """Forecast as the words say; the exit code."""
    try:
        return _main(pack, words)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130


def _main(pack: Path, words: Sequence[str]) -> int:
    from pipeline.ranges import budget_seconds

    given = _given(words)
    work = Path(given.get("work", "forecast-work")).resolve()
    if given.get("budget"):
        budget_seconds(given["budget"])
    out = Path(given.get("out", "submission.csv")).resolve()
    os.environ.setdefault("NUMBA_CACHE_DIR", str(work / ".numba"))  # the pack may be read-only
    from data.registry import load_plugins
    from pipeline.runner import run

    kept = _laid_out(pack, work)
    config = _config(pack, work, kept, given)
    load_plugins(config.plugins)
    code = run(config, [f"{key}={value}" for key, value in given.items()])
    made = work / "submissions" / "files" / f"{config.submit.name}.csv"
    aside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, aside)
        os.replace(aside, out)
    finally:
        aside.unlink(missing_ok=True)
    print(f"submission: {out}")
    return code


def _given(words: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise InputError(f"{word!r}: expected KEY=VALUE with one of {', '.join(WORDS)}")
        if key not in WORDS:
            raise unknown("key", key, WORDS, "predict.py")
        given[key] = value
    if "test" not in given:
        raise InputError("test=FILE is missing: the test rows to forecast")
    for key in ("test", "sample", "train"):
        if key in given and not Path(given[key]).is_file():
            raise InputError(f"{key}={given[key]}: no such file")
    if not given.get("workers", "1").isdigit() or given.get("workers") == "0":
        raise InputError(f"workers: found {given['workers']!r}, expected a whole number from 1 on")
    return given


def _laid_out(pack: Path, work: Path) -> Kept:
    """A root in which the pack's artefacts can be seen and new ones be written; the submission in it."""
    there = read_kept(pack / "submission")
    artifacts = work / "artifacts" / str(there.manifest["competition"])
    artifacts.mkdir(parents=True, exist_ok=True)
    for folder in sorted((pack / "artifacts").iterdir()):
        link = artifacts / folder.name
        if link.is_symlink():
            link.unlink()
        link.symlink_to(folder, target_is_directory=True)
    own = work / "submissions" / "files" / there.name / there.identity
    own.mkdir(parents=True, exist_ok=True)
    manifest = dict(there.manifest)
    plugins = sorted((pack / "plugins").glob("*.py"), key=lambda file: int(file.name.partition("_")[0]))
    manifest["config"] = {**manifest["config"], "plugins": [str(file) for file in plugins]}
    shutil.copyfile(there.csv, own / CSV)
    (own / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return read_kept(own)


def _config(pack: Path, work: Path, kept: Kept, given: dict[str, str]) -> Config:
    from pipeline.submitting.rebuild import typed_config

    config = typed_config(kept)
    competition = config.competition
    competition.root = str(pack / "files")
    competition.files.test = str(Path(given["test"]).resolve())
    competition.files.sample = str(Path(given["sample"]).resolve()) if "sample" in given else None
    if "train" in given:
        competition.files.train = str(Path(given["train"]).resolve())
    workers = int(given.get("workers", "1"))
    name = "inline" if workers == 1 else "processes"
    submit = replace(config.submit, name="forecast", of=str(kept.folder))
    return replace(
        config,
        stage="predict",
        root=str(work),
        budget=given.get("budget"),
        submit=submit,
        executor=replace(config.executor, name=name, workers=workers),
        fit=replace(config.fit, device=given.get("device", config.fit.device)),
    )
