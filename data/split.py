"""The parts of a competition: the test rows, the local hold-out, and the folds of what is left."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from data.folds import Fold, Origins, Split
from data.panel import Panel
from data.splitters.base import SPLITTERS, groups_of

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
    folds = tuple(splitter(competition, panel, open_end, horizon))
    _refuse_repeated(folds, panel)
    return Split(folds, local, test_part(competition, panel, end, horizon))


def _refuse_repeated(folds: tuple[Fold, ...], panel: Panel) -> None:
    """InputError if there is no fold, or one asks nothing, or what another asks: keys are to be unique."""
    if not folds:
        raise InputError("competition.folds: there is no fold; expected a count of at least 1")
    asked: dict[tuple[int, int], Fold] = {}
    for fold in folds:
        if not len(fold.asked.row):
            raise InputError(f"competition.folds: fold {fold.index} ({fold.label}) asks no series")
        for series, row in zip(fold.asked.series.tolist(), fold.asked.row.tolist(), strict=True):
            other = asked.setdefault((series, row), fold)
            if other is not fold:
                raise InputError(
                    f"competition.folds: folds {other.index} ({other.label}) and {fold.index} ({fold.label})"
                    f" ask series {panel.series_name[series]!r} from the same row on"
                )


def test_part(competition: Competition, panel: Panel, end: np.ndarray, horizon: int) -> Fold:
    """The test rows, asked from the end of history on; later where rows are missing in between and the
    horizon would else not reach the last one.
    """
    owner, rows = panel.series_of_row(), np.flatnonzero(panel.test)
    series = np.unique(owner[rows])
    if competition.task == "sequence":
        return Fold(-2, "test", "the test rows", end, Origins(series, panel.offsets[series]))
    first, last = panel.offsets[1:].copy(), panel.offsets[:-1] - 1
    np.minimum.at(first, owner[rows], rows)
    np.maximum.at(last, owner[rows], rows)
    end_of, first, last = end[series], first[series], last[series]
    for at in np.flatnonzero(first < end_of):
        raise InputError(
            f"competition {competition.name}: series {panel.series_name[series[at]]!r} has asked rows before"
            f" its last training row ({int((first < end_of).sum())} such series); a horizon task asks what"
            " follows the history"
        )
    row = np.clip(last + 1 - horizon, end_of, first)
    for at in np.flatnonzero(last + 1 - row > horizon):
        raise InputError(
            f"competition.horizon: found {horizon}, expected at least {last[at] + 1 - row[at]}, the rows that"
            f" series {panel.series_name[series[at]]!r} is asked"
        )
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
    """A share of the groups, whole: what `folds.group` keeps together, the hold-out does too."""
    begin = panel.offsets[:-1]
    series = np.flatnonzero(end > begin)
    group = groups_of(competition, panel)[series]
    groups = np.unique(group)
    count = max(1, round(competition.local.share * len(groups)))
    if not 0 < competition.local.share < 1 or count >= len(groups):
        raise InputError(
            f"competition.local.share: {competition.local.share:g} of {len(groups)} groups; expected a share"
            " between 0 and 1 that leaves groups on both sides"
        )
    generator = np.random.default_rng([competition.folds.seed, 11])
    held = series[np.isin(group, generator.permutation(groups)[:count])]
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
    # Those with fewer rows than are held out are not asked, and the day on which they begin says nothing.
    long_enough = chosen & (open_end > begin)
    if panel.timestamp is not None and long_enough.any():
        first_day = panel.timestamp[open_end[long_enough]].max()
        for series in np.flatnonzero(has_history):
            on_day = begin[series] + np.searchsorted(panel.timestamp[begin[series] : end[series]], first_day)
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
        if rows < horizon:
            raise InputError(
                f"competition.local.rows: found {rows}, expected at least the horizon, {horizon}"
            )
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
