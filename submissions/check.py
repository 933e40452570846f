"""Check a submission row by row against the sample: every id once, its order, its columns, finite numbers.

    python -m submissions.check FILE sample=SAMPLE [ids=NAME,NAME]

Says in one line what is wrong, with the id, and exits with code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from data.errors import InputError, unknown
from data.official_id import check_unique, compare_ids, compose
from data.tables import missing_columns, read_path
from submissions.layout import Layout, layout_of_sample

USAGE = "usage: python -m submissions.check FILE sample=SAMPLE [ids=NAME,NAME]"


def check_submission(file: Path, layout: Layout) -> int:
    """The number of rows of a valid file. Raises InputError for the first thing that is wrong."""
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    table = read_path(file, text=layout.id_columns)
    found, expected = tuple(table.columns), layout.columns
    missing_columns(table, expected, str(file))
    extra = [name for name in found if name not in expected]
    if extra:
        raise InputError(f"{file}: column {extra[0]!r} is not in {layout.source}")
    if found != expected:
        raise InputError(f"{file}: columns {', '.join(found)}; expected the order {', '.join(expected)}")
    identity = compose(table, list(layout.id_columns), layout.separator)
    if not np.array_equal(identity, layout.identity):
        _wrong_ids(file, identity, layout)
    for name in layout.target:
        _check_numbers(file, table[name], name, layout)
    return len(table)


def _wrong_ids(file: Path, identity: np.ndarray, layout: Layout) -> None:
    check_unique(identity, str(file), list(layout.id_columns))
    compare_ids(identity, layout.identity, str(file), layout.source)
    row = int(np.argmax(identity != layout.identity))
    raise InputError(
        f"{file}: row {row + 1}: id {identity[row]!r}, expected {layout.identity[row]!r} (the order of"
        f" {layout.source})"
    )


def _check_numbers(file: Path, column: pd.Series, name: str, layout: Layout) -> None:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(numbers)
    if column.dtype.kind == "M":  # dates would pass as numbers
        bad[:] = True
    if bad.any():
        row = int(np.argmax(bad))
        found = column.iloc[row]
        found = repr(found) if isinstance(found, str) else str(found)
        raise InputError(
            f"{file}: row {row + 1}: id {layout.identity[row]!r}: {name} is {found}, expected a"
            f" finite number ({int(bad.sum())} such rows)"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    try:
        print(_command(list(sys.argv[1:] if arguments is None else arguments)))
        return 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _command(words: list[str]) -> str:
    given: dict[str, str] = {}
    files = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            files.append(word)
        elif key in ("sample", "ids"):
            given[key] = value
        else:
            raise unknown("word", key, ("sample", "ids"), "submissions.check")
    if len(files) != 1 or "sample" not in given:
        raise InputError(USAGE)
    sample = Path(given["sample"])
    if not sample.is_file():
        raise InputError(f"{sample}: no such file")
    ids = [name.strip() for name in given["ids"].split(",")] if "ids" in given else None
    layout = layout_of_sample(sample, ids)
    rows = check_submission(Path(files[0]), layout)
    return f"{files[0]}: valid, {rows} rows, columns {', '.join(layout.columns)}"


if __name__ == "__main__":
    sys.exit(main())
