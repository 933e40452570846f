"""The notebook of a pack: two cells that run predict.py on Kaggle, where there is no network."""

from __future__ import annotations

from typing import Any

from pipeline.submitting.source import Source

RUN = """\
import subprocess
import sys

PACK = "/kaggle/input/{name}"  # this folder, uploaded as a data set
TEST = "/kaggle/input/{slug}/{test}"
BUDGET = "8h"  # what is not predicted by then is left out

subprocess.run(
    [sys.executable, f"{{PACK}}/predict.py", f"test={{TEST}}", "out=submission.csv", f"budget={{BUDGET}}"],
    check=True,
)
"""
SHOW = """\
import pandas as pd

pd.read_csv("submission.csv").head()
"""


def notebook(source: Source, name: str, slug: str, test: str) -> dict[str, Any]:
    """The content of an .ipynb file (nbformat 4.5)."""
    scores = source.kept.manifest["scores"]
    said = [
        f"{key} {scores['metric']} {scores[key]:.5g}" for key in ("cv", "local") if scores[key] is not None
    ]
    title = f"# {source.config.competition.title or source.config.competition.name}\n"
    text = (
        f"\nForecasts by {source.name} ({', '.join([*source.fits, *said])}), offline and without training.\n"
    )
    return {
        "cells": [
            {"cell_type": "markdown", "id": "what", "metadata": {}, "source": _lines(title + text)},
            _code("run", RUN.format(name=name, slug=slug, test=test)),
            _code("show", SHOW),
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _code(identity: str, text: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": identity,
        "metadata": {},
        "outputs": [],
        "source": _lines(text),
    }


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").splitlines(keepends=True)
