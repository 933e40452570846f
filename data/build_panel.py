"""From raw tables to the Panel: order rows, fill gaps of the calendar, code and check every column.

tables = read_competition(competition, folder)     # tables.competition: as the reader left it
panel = panel_of(tables)
truth = read_solution(tables, panel)               # where the competition has it; for scoring only
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data.asked_rows import with_asked_rows
from data.assemble import assemble
from data.check_competition import check_competition
from data.coding import Coded
from data.competition import Competition
from data.errors import InputError
from data.expression import Masks, check_expression, evaluate
from data.needed_columns import post_expressions, role_columns
from data.notes import note_missing, note_unseen
from data.official_id import check_sample, check_unique, compose, note_unknown_truth, read_solution
from data.panel import Panel
from data.raw_tables import RawTables, competition_folder, id_columns, raw_files, read_competition
from data.row_order import RowOrder, order_rows
from data.rows import Rows
from data.statics import static_frame

__all__ = [
    "build_panel",
    "competition_folder",
    "panel_of",
    "raw_files",
    "read_competition",
    "read_solution",
]


def build_panel(competition: Competition, folder: Path) -> Panel:
    """Read the competition's files in `folder` and make the panel. Raises InputError for bad input."""
    return panel_of(read_competition(competition, folder))


def panel_of(tables: RawTables) -> Panel:
    """The panel of raw tables. Raises InputError for bad input, naming file, column and row or key."""
    check_competition(tables.competition)
    tables = with_asked_rows(tables)
    competition = tables.competition
    rows = assemble(tables)
    identity = _official_id(tables, rows)
    order = order_rows(rows, competition)
    target = _target(rows, competition)
    weight = _weight(rows, competition, target)
    static, categories = static_frame(rows, order, competition)
    frame, frame_categories = _frame(rows, order, competition)
    masks: Masks = {}
    for text in post_expressions(competition):
        names = check_expression(text, rows.frame.columns, f"competition {competition.name}, post")
        secret = [name for name in names if name in rows.hidden]
        if secret:
            raise InputError(
                f"competition {competition.name}, post: {text!r} reads {secret[0]!r},"
                f" which is not known for test rows"
            )
        masks[text] = order.take(evaluate(text, rows.frame, where="post"), False)
    return Panel(
        offsets=order.offsets,
        series_name=order.series_name,
        time=order.time,
        timestamp=order.timestamp,
        frame=frame,
        static=static,
        categories=categories | frame_categories,
        target=order.take(target, np.nan),
        target_name=tuple(competition.target),
        weight=order.take(weight, 0.0).astype(np.float32),
        present=order.source >= 0,
        test=order.take(~rows.train, False),
        official_id=order.take(identity, ""),
        file_row=np.where(order.source >= rows.train_count, order.source - rows.train_count, order.source),
        masks=masks,
        notes=(*rows.notes, *note_unknown_truth(tables)),
    )


def _official_id(tables: RawTables, rows: Rows) -> np.ndarray:
    """(N,) str ids of rows in file order; '' for training rows that have none. Checked against the sample."""
    competition, columns = tables.competition, id_columns(tables.competition)
    identity = np.full(len(rows.frame), "", dtype=object)
    start = 0 if rows.has_identity[0] else rows.train_count
    identity[start:] = compose(rows.frame.iloc[start:], columns, competition.row_id_separator)
    if start == 0:
        check_unique(identity[: rows.train_count], rows.train_file, columns)
    check_unique(identity[rows.train_count :], rows.test_file, columns)
    check_sample(tables, identity[rows.train_count :])
    return identity


def _target(rows: Rows, competition: Competition) -> np.ndarray:
    """(N, K) float64, NaN on test rows."""
    target = np.column_stack([rows.real(name) for name in competition.target])
    bounds = {"log": ("above 0", np.less_equal, 0.0), "log1p": ("above -1", np.less_equal, -1.0),
              "sqrt": ("at least 0", np.less, 0.0)}  # fmt: skip
    for index, name in enumerate(competition.target):
        missing = np.isnan(target[: rows.train_count, index])
        if missing.any() and competition.missing_target != "unjudged":
            raise InputError(
                f"{rows.place(int(np.argmax(missing)))}: column {name!r}: the target is missing"
                f" ({int(missing.sum())} rows); expected a number (missing_target: unjudged keeps such rows"
                f" with weight 0)"
            )
        if missing.any():
            first = rows.place(int(np.argmax(missing)))
            rows.notes.append(f"{name}: {int(missing.sum())} training rows without a target (first: {first})")
        if competition.target_transform in bounds:
            words, below, bound = bounds[competition.target_transform]
            bad = below(target[:, index], bound)
            if bad.any():
                row = int(np.argmax(bad))
                raise InputError(
                    f"{rows.place(row)}: column {name!r}: found {target[row, index]:g}, expected {words}"
                    f" for target_transform {competition.target_transform}"
                )
    return target


def _weight(rows: Rows, competition: Competition, target: np.ndarray) -> np.ndarray:
    """(N,) float64: the declared weight where the row is judged, else 0; on test rows any target may be."""
    weight = np.ones(len(rows.frame))
    if competition.weight:
        weight = rows.real(competition.weight).copy()
        weight[~rows.train] = np.where(np.isnan(weight[~rows.train]), 1.0, weight[~rows.train])
        bad = ~(weight >= 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{rows.place(row)}: column {competition.weight!r}: found {weight[row]}, expected 0 or more"
            )
    if competition.judged:
        weight = weight * evaluate(competition.judged, rows.frame, unknown=rows.hidden, where="judged")
    known = ~np.isnan(target).any(axis=1)
    return np.where(known | ~rows.train, weight, 0.0)


def _frame(
    rows: Rows, order: RowOrder, competition: Competition
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Covariates that change with time, (R, columns), and categories of the coded ones."""
    columns: dict[str, np.ndarray] = {}
    categories: dict[str, list[str]] = {}
    test = ~rows.train
    for name, role in role_columns(competition).items():
        if role in ("known_categorical", "past_categorical"):
            coded = Coded(rows.frame[name], rows.train)
            categories[name] = coded.categories
            code = np.where(test, 0, coded.code) if role == "past_categorical" else coded.code
            if role == "known_categorical":
                note_missing(rows, name, coded.missing)
                note_unseen(rows, name, coded)
            columns[name] = order.take(code, 0).astype(np.int32)
        elif role in ("known_real", "past_real"):
            values = rows.real(name)
            if role == "past_real":
                values = np.where(test, np.nan, values)
            note_missing(rows, name, np.isnan(values) & (rows.train if role == "past_real" else True))
            columns[name] = order.take(values, np.nan)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(order.source)), copy=False), categories
