"""A checked submission in its place: built, written aside, checked row by row, renamed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from data.predictions import prediction_table
from data.scoring import Asked, align, asked_of
from pipeline.stages.prepare import Prepared
from pipeline.submitting.folder import files_folder
from submissions.build import submission_frame, submission_values, write_submission
from submissions.check import check_submission
from submissions.layout import Layout, layout_of
from submissions.post import Learnt, apply_post


def asked_test_rows(prepared: Prepared) -> Asked:
    """The test rows, as predictions are aligned to them."""
    test = prepared.split.test
    return asked_of(prepared.panel, [(test.index, test.asked)], prepared.horizon)


def make_submission(
    prepared: Prepared, test: pd.DataFrame, file: Path, post: bool = True, learnt: Learnt = ()
) -> Layout:
    """Write the submission of a prediction table of the test rows to `file`, and check it.

    post: apply the competition's post-processing; learnt: what its steps learnt from out-of-fold rows (steps
    that would have to learn are left out where nobody has, as for baselines). Raises InputError naming the
    id of the first bad row.
    """
    competition, panel = prepared.competition, prepared.panel
    layout = layout_of(competition, panel, prepared.sample())
    if post and competition.post:
        asked = asked_test_rows(prepared)
        value = apply_post(competition, panel, asked, align(test, asked, "test predictions"), learnt)
        test = prediction_table(asked.row_id, asked.origin, value)
    decimals = competition.submission.decimals
    frame = submission_frame(layout, submission_values(panel, layout, test), decimals)
    write_submission(frame, file, decimals)
    check_submission(file, layout)
    return layout


def write_baseline_submission(
    prepared: Prepared, test: pd.DataFrame, root: Path, name: str
) -> tuple[Path, Layout]:
    """submissions/files/<competition>-baseline-<name>.csv from a baseline's predictions of the test rows.

    root: artifacts/<competition>. Several processes may do this at once; each file is whole.
    """
    target = files_folder(root) / f"{prepared.competition.name}-baseline-{name}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.csv")
    try:
        layout = make_submission(prepared, test, aside)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return target, layout


def layout_words(layout: Layout) -> dict[str, object]:
    """rows, columns and id_columns of a CSV, JSON-ready."""
    return {
        "rows": len(layout),
        "columns": list(layout.columns),
        "id_columns": list(layout.id_columns),
    }


def mean_table(paths: list[Path], asked: Asked) -> pd.DataFrame:
    """The mean of several fits' test.parquet, as a prediction table."""
    from data.predictions import load_predictions

    values = [align(load_predictions(path / "test.parquet"), asked, str(path)) for path in paths]
    return prediction_table(asked.row_id, asked.origin, np.mean(values, axis=0))
