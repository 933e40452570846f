"""The log of a fit's epochs: losses, learning rate and seconds, a line each."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from pathlib import Path

LOG = "log.csv"


def append_row(file: Path, row: Mapping[str, float]) -> None:
    """Add a line to the epoch log; an epoch that is already there (a resumed fit) is written once."""
    rows: list[dict[str, str]] = []
    if file.exists():
        rows = [old for old in _rows(file) if int(old["epoch"]) < row["epoch"]]
    aside = file.with_name(f".{file.name}.part")
    with aside.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(row))
        writer.writeheader()
        writer.writerows([*rows, {name: f"{value:.8g}" for name, value in row.items()}])
    os.replace(aside, file)


def best_epoch(folder: Path) -> int:
    """After how many epochs the loss on the inner slice was lowest; all of them where none was watched.

    folder: of a finished fit.
    """
    rows = _rows(folder / LOG)
    losses = [float(row["inner_loss"]) for row in rows]
    known = [loss if math.isfinite(loss) else math.inf for loss in losses]
    if not known or min(known) == math.inf:
        return len(rows)
    return known.index(min(known)) + 1


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))
