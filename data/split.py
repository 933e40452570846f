"""The parts of a competition: the test rows, the local hold-out, and the folds of what is left."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from data.folds import Fold, Origins, Split
from data.panel import Panel
from data.splitters.base import SPLITTERS

LOCAL_KINDS = ("none", "solution", "horizon", "groups")


def history_end(panel: Panel) -> np.ndarray:
    """(S,) panel row after the last train row of each series; its first row if it has none."""
    end = panel.offsets[:-1].copy()
    rows = np.flatnonzero(panel.present & ~panel.test)
    np.maximum.at(end, panel.series_of_row()[rows], rows + 1)
    return end


def horizon_of(competition: Competition, panel: Panel) -> int:
    """Rows asked at once: as declared, else as many as follow the longest-asked series' history.

    In sequence tasks the rows of the longest group.
    """
    if competition.task == "sequence":
        return int(np.diff(panel.offsets).max())
    if competition.horizon is not None:
        return competition.horizon
    longest = int((panel.offsets[1:] - history_end(panel)).max(initial=0))
    if longest == 0:
        raise InputError("competition.horizon: not declared, and there are no test rows to tell")
    return longest


def make_split(competition: Competition, panel: Panel) -> Split:
    """Folds, local hold-out and test part, as the competition declares them.

    Raises InputError for settings that the data cannot serve (more folds than groups, no rows left, ...).
    """
    horizon, end = horizon_of(competition, panel), history_end(panel)
    local, open_end = _local_part(competition, panel, end, horizon)
    splitter = SPLITTERS.get(competition.folds.kind, "competition.folds.kind")
    return Split(
        tuple(splitter(competition, panel, open_end, horizon)), local, _test_part(competition, panel, end)
    )


def _test_part(competition: Competition, panel: Panel, end: np.ndarray) -> Fold:
    series = np.unique(panel.series_of_row()[panel.test])
    row = panel.offsets[series] if competition.task == "sequence" else end[series]
    return Fold(-2, "test", "the test rows", end, Origins(series, row))


def _local_part(
    competition: Competition, panel: Panel, end: np.ndarray, horizon: int
) -> tuple[Fold | None, np.ndarray]:
    """The hold-out, and where each series ends for everything else."""
    kind = competition.local.kind
    if kind not in LOCAL_KINDS:
        raise unknown("local hold-out", kind, LOCAL_KINDS, "competition.local.kind")
    if kind in ("none", "solution"):
        return None, end
    needs = "horizon" if kind == "horizon" else "sequence"
    if competition.task != needs:
        raise InputError(
            f"competition.local.kind: {kind!r} is for {needs} tasks; choices: none, solution, "
            + ("groups" if needs == "horizon" else "horizon")
        )
    return (_held_groups if kind == "groups" else _held_rows)(competition, panel, end, horizon)


def _held_groups(
    competition: Competition, panel: Panel, end: np.ndarray, horizon: int
) -> tuple[Fold, np.ndarray]:
    begin = panel.offsets[:-1]
    series = np.flatnonzero(end > begin)
    count = max(1, round(competition.local.share * len(series)))
    if not 0 < competition.local.share < 1 or count >= len(series):
        raise InputError(
            f"competition.local.share: {competition.local.share:g} of {len(series)} groups; expected a share"
            " between 0 and 1 that leaves groups on both sides"
        )
    generator = np.random.default_rng([competition.folds.seed, 11])
    held = np.sort(generator.permutation(series)[:count])
    open_end = end.copy()
    open_end[held] = begin[held]
    return Fold(-1, "local", f"{count} groups", open_end, Origins(held, begin[held])), open_end


def _held_rows(
    competition: Competition, panel: Panel, end: np.ndarray, horizon: int
) -> tuple[Fold, np.ndarray]:
    """The last rows of the chosen series. On a shared calendar the other series end on the same day: they
    would tell what the days were like."""
    local, begin = competition.local, panel.offsets[:-1]
    has_history = end > begin
    chosen = has_history.copy()
    if local.series == "test":
        chosen[:] = False
        chosen[np.unique(panel.series_of_row()[panel.test])] = True
        chosen &= has_history
    elif local.series != "all":
        raise unknown("choice", local.series, ["all", "test"], "competition.local.series")
    rows, cutoffs = _rows_and_cutoffs(competition, horizon)
    open_end = np.maximum(end - rows, begin)
    if panel.timestamp is not None and chosen.any():
        first_day = int((panel.time[end[chosen] - 1] - rows + 1).max())
        for series in np.flatnonzero(has_history):
            on_day = begin[series] + np.searchsorted(panel.time[begin[series] : end[series]], first_day)
            open_end[series] = min(on_day, open_end[series]) if chosen[series] else on_day
    asked = np.flatnonzero(chosen & (open_end > begin))
    if not len(asked):
        raise InputError(f"competition.local: no series has more than the {rows} rows that are held out")
    first = np.repeat(open_end[asked], cutoffs) + np.tile(np.arange(cutoffs) * local.stride, len(asked))
    origins = Origins(np.repeat(asked, cutoffs), first)
    return Fold(-1, "local", f"last {rows} rows", open_end, origins), open_end


def _rows_and_cutoffs(competition: Competition, horizon: int) -> tuple[int, int]:
    local = competition.local
    if str(local.cutoffs) == "all":
        rows = horizon if local.rows is None else local.rows
        return rows, max(1, (rows - horizon) // local.stride + 1)
    if not re.fullmatch(r"[1-9][0-9]*", str(local.cutoffs)):
        raise InputError(
            f"competition.local.cutoffs: found {local.cutoffs!r}, expected a whole number or 'all'"
        )
    cutoffs = int(local.cutoffs)
    return horizon + (cutoffs - 1) * local.stride, cutoffs


def save_split(split: Split, folder: Path) -> None:
    """Write a split into `folder` as split.npz."""
    arrays: dict[str, np.ndarray] = {}
    parts = [*split.folds, split.test, *([split.local] if split.local else [])]
    for part in parts:
        arrays[f"{part.name}/index"] = np.array(part.index)
        arrays[f"{part.name}/label"] = np.array(part.label)
        arrays[f"{part.name}/train_end"] = part.train_end
        arrays[f"{part.name}/series"] = part.asked.series
        arrays[f"{part.name}/row"] = part.asked.row
    np.savez(folder / "split.npz", **arrays)  # type: ignore[arg-type]


def load_split(folder: Path) -> Split:
    """The split that `save_split` wrote."""
    with np.load(folder / "split.npz") as stored:
        names = dict.fromkeys(name.split("/")[0] for name in stored.files)
        parts = {
            name: Fold(
                int(stored[f"{name}/index"]),
                name,
                str(stored[f"{name}/label"]),
                stored[f"{name}/train_end"],
                Origins(stored[f"{name}/series"], stored[f"{name}/row"]),
            )
            for name in names
        }
    folds = tuple(part for name, part in parts.items() if name.startswith("fold"))
    return Split(folds, parts.get("local"), parts["test"])
