"""Settings of submissions that do not go together, refused before anything is read."""

from __future__ import annotations

import math

from data.errors import InputError, unknown
from pipeline.config import Config

#: submit.push: what it may be. (Hydra makes a truth value of true, and text of that again.)
PUSHES = ("false", "true", "again")
#: Stages that may upload, and that forecast other rows.
PUSHING = ("all", "submit", "report")
FORECASTING = ("predict", "predict_fits", "pack")


def check_submit(config: Config) -> None:
    """InputError for a setting of `submit` that the stage does nothing with, or that has no meaning."""
    submit = config.submit
    submit.push = submit.push.lower()
    if submit.push not in PUSHES:
        raise unknown("value", submit.push, PUSHES, "submit.push")
    if config.stage != "submissions":
        for key, value in (("public_score", submit.public_score), ("diff", submit.diff or None)):
            if value is not None:
                raise InputError(f"submit.{key} belongs to stage=submissions; found stage={config.stage}")
    if submit.push != "false" and config.stage not in PUSHING:
        raise InputError(f"submit.push belongs to stage={', '.join(PUSHING)}; found stage={config.stage}")
    if submit.of is not None and config.stage not in FORECASTING:
        raise InputError(f"submit.of belongs to stage={', '.join(FORECASTING)}; found stage={config.stage}")
    if submit.rebuild is not None and config.stage != "submit":
        raise InputError(f"submit.rebuild belongs to stage=submit; found stage={config.stage}")
    if submit.public_score is not None and not math.isfinite(submit.public_score):
        raise InputError(f"submit.public_score: found {submit.public_score}, expected a finite number")
    if submit.diff and len(submit.diff) != 2:
        raise InputError(f"submit.diff: found {len(submit.diff)} names, expected two, as [NAME,NAME]")
