"""The first valid submission: a baseline's, before any model is trained, with what it scores locally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.scoring import Scorer
from pipeline.competition_file import later_settings
from pipeline.config import Config
from pipeline.member_predictions import averaged, complete_parts
from pipeline.stages.baseline import Baseline
from pipeline.stages.prepare import PREPARE, SOLUTION, Prepared, local_rows
from pipeline.store import ArtifactStore
from pipeline.submitting.record import keep_baseline
from pipeline.write_submission import asked_test_rows, layout_words, mean_table, write_baseline_submission
from submissions.post import apply_post


@dataclass(frozen=True)
class BaselineSubmission:
    """The CSV, and its local scores by metric, the deciding one first; none where there is no local truth."""

    file: Path
    local: Mapping[str, float]


def baseline_submission(
    config: Config, store: ArtifactStore, command: list[str]
) -> BaselineSubmission | None:
    """Publish and keep the submission of the first baseline that has forecast the test rows."""
    parts = complete_parts(Baseline().jobs(config, store), store)
    for name in config.competition.baselines:
        paths = parts.get(name, {}).get("test")
        if not paths:
            continue
        prepared = Prepared(store.folder(PREPARE), later_settings(config.competition))
        table = mean_table([store.folder(path) for path in paths], asked_test_rows(prepared))
        file, layout = write_baseline_submission(prepared, table, store.root, name)
        local = _local_scores(prepared, store, parts[name])
        keep_baseline(config, store, paths, file, layout_words(layout) | {"local": local}, command)
        return BaselineSubmission(file, local)
    return None


def _local_scores(
    prepared: Prepared, store: ArtifactStore, parts: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Of the baseline as it is submitted, after the steps of `post` that learn nothing."""
    competition, panel = prepared.competition, prepared.panel
    part, asked = local_rows(prepared, store.folder(SOLUTION) if store.manifest(SOLUTION) else None)
    paths = parts.get(part) if part is not None else None
    if part is None or asked is None or not paths:
        return {}
    folders = {path: store.folder(path) for path in paths}
    value = averaged(paths, part, asked, folders, "the baseline")
    return Scorer(competition, panel).scores(asked, apply_post(competition, panel, asked, value))
