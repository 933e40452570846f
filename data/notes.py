"""What was handled instead of refused, in a line each, for the report."""

from __future__ import annotations

import numpy as np

from data.coding import Coded
from data.rows import Rows


def note_unseen(rows: Rows, name: str, coded: Coded) -> None:
    """Note values of the test file that the training file has not."""
    if coded.unseen:
        lost = (coded.code == 0) & ~coded.missing
        rows.notes.append(
            f"{name}: {coded.unseen} rows have a category that the training file has not, coded as unknown"
            f" (first: {rows.place(int(np.argmax(lost)))}, {coded.unseen_example!r})"
        )


def note_missing(rows: Rows, name: str, missing: np.ndarray) -> None:
    """Note missing values of a covariate; missing: (N,) bool."""
    if missing.any():
        first = rows.place(int(np.argmax(missing)))
        rows.notes.append(f"{name}: {int(missing.sum())} rows without a value (first: {first})")
