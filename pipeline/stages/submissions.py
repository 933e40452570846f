"""submissions: no artefacts; what is shown, noted and compared of the submissions that are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data.errors import InputError
from pipeline.config import Config
from pipeline.stage import STAGES, StageWithoutJobs


@STAGES.register("submissions")
class Submissions(StageWithoutJobs):
    """The log as a table; submit.public_score enters a score, submit.diff compares two submissions."""

    name: ClassVar[str] = "submissions"


def submission_lines(config: Config) -> Iterator[str]:
    """What the command prints. InputError for a submission that is not there."""
    from pipeline.stages.submit import submission_name
    from pipeline.submitting.compare import diff_lines
    from pipeline.submitting.table import enter_public_score, table_lines

    files = (Path(config.root) / "submissions" / "files").absolute()
    if config.submit.diff and config.submit.public_score is not None:
        raise InputError("submit.diff and submit.public_score: one at a time")
    if config.submit.diff:
        yield from diff_lines(files, config.submit.diff)
        return
    if config.submit.public_score is not None:
        yield enter_public_score(files, submission_name(config), config.submit.public_score)
    yield from table_lines(files)
