"""What differs between two submissions: rows and how much, and what their manifests say of the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.errors import InputError
from data.official_id import compose
from data.tables import missing_columns, read_path
from pipeline.submitting.find import find_kept
from pipeline.submitting.folder import Kept
from submissions.layout import layout_of_sample

LARGEST = 5  # changes that are shown
SETTINGS_SHOWN = 30  # differences of manifests
#: What two manifests always differ in, or what is shown otherwise.
NOT_COMPARED = ("id", "made", "csv", "artifacts", "command", "format")
JOINT = "/"  # between the parts of an id


@dataclass(frozen=True)
class Side:
    """One of the two: a kept submission, or any CSV."""

    name: str
    csv: Path
    kept: Kept | None


@dataclass(frozen=True)
class Difference:
    """Of one prediction column, over rows that both have."""

    column: str
    rows: int  # in both
    differing: int
    correlation: float  # NaN where one of them is constant
    mean_absolute: float
    root_mean_square: float
    largest: list[tuple[str, float, float]]  # id, value in each


def find_side(files: Path, word: str, key: str = "submit.diff") -> Side:
    """A kept submission by name, id or folder; or a CSV file."""
    path = Path(word)
    if path.is_file():
        return Side(word, path, None)
    kept = find_kept(files, word, key)
    return Side(f"{kept.name}/{kept.identity}", kept.csv, kept)


def diff_lines(files: Path, words: list[str]) -> Iterator[str]:
    """Everything there is to say of two submissions. InputError where they have no columns in common."""
    if len(words) != 2:
        raise InputError(f"submit.diff: found {len(words)} submissions, expected two, as [NAME,NAME]")
    one, other = (find_side(files, word) for word in words)
    yield f"a: {one.name}"
    yield f"b: {other.name}"
    left, right, columns = _tables(one, other)
    both = left.index.intersection(right.index)
    alone = [len(table) - len(both) for table in (left, right)]
    yield f"rows: {len(both):,} in both, {alone[0]:,} in a only, {alone[1]:,} in b only"
    if not len(both):
        raise InputError(f"submit.diff: {one.name} and {other.name} have no id in common")
    for column in columns:
        yield from _column_lines(difference(left.loc[both, column], right.loc[both, column]))
    if one.kept is not None and other.kept is not None:
        yield from _manifest_lines(one.kept.manifest, other.kept.manifest)


def difference_lines(kept: Kept, csv: Path) -> Iterator[str]:
    """What differs between a kept submission and a CSV of the same layout."""
    one, other = Side(kept.name, kept.csv, kept), Side(str(csv), csv, None)
    left, right, columns = _tables(one, other)
    both = left.index.intersection(right.index)
    for column in columns:
        yield from _column_lines(difference(left.loc[both, column], right.loc[both, column]))


def difference(left: pd.Series, right: pd.Series) -> Difference:
    """left, right: predictions of the same rows, by id."""
    a, b = left.to_numpy(np.float64), right.to_numpy(np.float64)
    change = b - a
    varied = len(a) > 1 and a.std() > 0 and b.std() > 0
    order = np.argsort(-np.abs(change), kind="stable")[:LARGEST]
    return Difference(
        column=str(left.name),
        rows=len(a),
        differing=int((change != 0).sum()),
        correlation=float(np.corrcoef(a, b)[0, 1]) if varied else float("nan"),
        mean_absolute=float(np.abs(change).mean()),
        root_mean_square=float(np.sqrt((change**2).mean())),
        largest=[(str(left.index[at]), float(a[at]), float(b[at])) for at in order if change[at] != 0],
    )


def manifest_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(dotted key, value in each) of what differs; a key that one of them lacks is None there."""
    flat = [
        _flat({key: manifest[key] for key in manifest if key not in NOT_COMPARED})
        for manifest in (one, other)
    ]
    keys = dict.fromkeys([*flat[0], *flat[1]])
    pairs = [(key, flat[0].get(key), flat[1].get(key)) for key in keys]
    return [(key, a, b) for key, a, b in pairs if a != b]


def _tables(one: Side, other: Side) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Both by id, and the prediction columns."""
    ids = next((_id_columns(side) for side in (one, other) if side.kept is not None), None)
    if ids is None:
        ids = list(layout_of_sample(one.csv).id_columns)
    tables = []
    for side in (one, other):
        table = read_path(side.csv, text=ids)
        missing_columns(table, ids, str(side.csv))
        table.index = pd.Index(compose(table, ids, JOINT), dtype=object)
        if not table.index.is_unique:
            twice = table.index[table.index.duplicated()][0]
            raise InputError(f"{side.csv}: id {twice!r} stands twice")
        tables.append(table.drop(columns=ids))
    columns = [str(name) for name in tables[0].columns if name in tables[1].columns]
    if not columns:
        raise InputError(
            f"{other.csv}: columns {', '.join(map(str, tables[1].columns))}; expected those of {one.csv}:"
            f" {', '.join(map(str, tables[0].columns))}"
        )
    return tables[0], tables[1], columns


def _id_columns(side: Side) -> list[str]:
    assert side.kept is not None
    return list(side.kept.manifest["csv"]["id_columns"])


def _column_lines(found: Difference) -> Iterator[str]:
    yield (
        f"{found.column}: {found.differing:,} of {found.rows:,} rows differ, correlation"
        f" {found.correlation:.6g}, mean absolute difference {found.mean_absolute:.6g}, root mean square"
        f" {found.root_mean_square:.6g}"
    )
    for identity, a, b in found.largest:
        yield f"  {identity}: {a:.6g} -> {b:.6g} ({b - a:+.6g})"


def _manifest_lines(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    found = manifest_differences(one, other)
    yield f"manifests: {len(found)} differences" if found else "manifests: no difference"
    for key, a, b in found[:SETTINGS_SHOWN]:
        yield f"  {key}: {_shown(a)} -> {_shown(b)}"
    if len(found) > SETTINGS_SHOWN:
        yield f"  and {len(found) - SETTINGS_SHOWN} more"


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(content, Mapping) and content:
        flat: dict[str, Any] = {}
        for key, value in content.items():
            flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
        return flat
    return {prefix: content}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "-" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
