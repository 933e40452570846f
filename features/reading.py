"""How families read a panel: known columns, keys, and what is observed only in the past.

Every function that checks takes `where` ("features.lags") and raises InputError with the nearest choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from data.panel import Panel
from data.scaling import forward_transform
from data.schema import Column
from data.split import horizon_of

PAST_FAMILIES = "lags, rolling, seasonal, keyed_history or growth"


def choose(where: str, kind: str, found: Iterable[str], choices: Sequence[str]) -> None:
    """Raise InputError for the first of `found` that is not among `choices`."""
    for name in found:
        if name not in choices:
            raise unknown(kind, name, choices, where)


def positive(where: str, setting: str, numbers: Iterable[float], least: float = 1) -> None:
    """Raise InputError for the first number below `least`."""
    for number in numbers:
        if number < least:
            raise InputError(f"{where}.{setting}: found {number}, expected at least {least:g}")


def known_inputs(competition: Competition, panel: Panel, names: Sequence[str], where: str) -> tuple[str, ...]:
    """`names`, checked to be columns known ahead; all known reals where none are given."""
    chosen = tuple(names) or tuple(competition.columns.known_real)
    roles = competition.columns
    past = {*roles.past_real, *roles.past_categorical}
    for name in chosen:
        if name in panel.target_name or name in past:
            role = "the target" if name in panel.target_name else "observed only in the past"
            raise InputError(
                f"{where}: column {name!r} is {role}, but a column known ahead is expected; "
                f"{PAST_FAMILIES} read the past"
            )
        if name not in panel.frame and name not in panel.static:
            columns = [*panel.frame.columns, *panel.static.columns]
            raise unknown("column", name, [column for column in columns if column not in past], where)
    if not chosen:
        raise InputError(f"{where}: no inputs are named and the competition has no known_real columns")
    return chosen


def _raw(panel: Panel, name: str) -> np.ndarray:
    table = panel.frame if name in panel.frame else panel.static
    values = table[name].to_numpy()
    return values if name in panel.frame else np.repeat(values, np.diff(panel.offsets))


def is_category(panel: Panel, name: str) -> bool:
    """True for columns that are stored as codes."""
    return name in panel.categories


def numbers(panel: Panel, name: str, where: str = "features") -> np.ndarray:
    """(R,) float values of a real column, or of a categorical one whose values are numbers."""
    values = _raw(panel, name)
    if is_category(panel, name):
        try:
            labels = np.array([np.nan, *(float(label) for label in panel.categories[name])])
        except ValueError:
            raise InputError(
                f"{where}: column {name!r} is categorical and its values are no numbers "
                f"({', '.join(map(repr, panel.categories[name][:5]))}); a real column is expected"
            ) from None
        return labels[values.astype(np.int64)]
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def known_numbers(
    competition: Competition, panel: Panel, names: Sequence[str], where: str
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, (R,) float values) of each of `known_inputs`, all of which have to be numbers."""
    for name in known_inputs(competition, panel, names, where):
        yield name, numbers(panel, name, where)


def codes(panel: Panel, name: str, where: str = "features") -> tuple[np.ndarray, int]:
    """(R,) int64 codes of a categorical column (0 = missing) and their number, code 0 among them."""
    if not is_category(panel, name):
        raise InputError(
            f"{where}: column {name!r} is real; a categorical one is expected "
            f"(choices: {', '.join(sorted(panel.categories)) or 'none'})"
        )
    return _raw(panel, name).astype(np.int64), len(panel.categories[name]) + 1


def key_codes(panel: Panel, name: str) -> tuple[np.ndarray, int]:
    """(R,) int64 codes of any known column as part of a key; equal values of a real have equal codes."""
    if is_category(panel, name):
        return codes(panel, name)
    values = numbers(panel, name)
    distinct, inverse = np.unique(values, return_inverse=True)  # NaN comes last, as one value
    return inverse.astype(np.int64), len(distinct)


class Past(NamedTuple):
    """A column that is observed only in the past."""

    name: str
    target: int | None  # its number among the targets; None: a past-only covariate


def past_inputs(competition: Competition, panel: Panel, names: Sequence[str], where: str) -> tuple[Past, ...]:
    """`names`, checked to be targets or past-only reals of a horizon task; []: the targets."""
    if competition.task != "horizon":
        raise InputError(
            f"{where}: a sequence task shows no past targets (every row of a group is asked); "
            "use shift, difference or expanding on known columns, or target_encoding"
        )
    found: list[Past] = []
    for name in tuple(names) or panel.target_name:
        if name in panel.target_name:
            found.append(Past(name, panel.target_name.index(name)))
        elif name in competition.columns.past_real:
            found.append(Past(name, None))
        elif name in competition.columns.past_categorical:
            raise InputError(f"{where}: column {name!r} is categorical; a target or a past_real is expected")
        elif name in panel.frame or name in panel.static:
            raise InputError(
                f"{where}: column {name!r} is known ahead; use shift, difference or rolling_known for it"
            )
        else:
            raise unknown("column", name, [*panel.target_name, *competition.columns.past_real], where)
    return tuple(found)


def past_column(past: Past, title: str, lag: int, difference: bool = False) -> Column:
    """The column `<name>.<title>_lag_<lag>` of reach `lag`, scaled like its source or a difference of it."""
    name = f"{past.name}.{title}_lag_{lag}" if title else f"{past.name}.lag_{lag}"
    if past.target is None:
        return Column(name, reach=lag, unit="own")
    return Column(name, reach=lag, unit="spread" if difference else "level", target=past.target)


def past_values(competition: Competition, panel: Panel, past: Past, counted: bool = False) -> np.ndarray:
    """(R,) float64: the target in transformed units, or the covariate as it is.

    counted: rows of weight 0 (closed days) are missing too. Rows of the test file have no past values.
    """
    if past.target is None:
        values = panel.frame[past.name].to_numpy(dtype=np.float64).copy()
    else:
        values = forward_transform(
            competition.target_transform, panel.target[:, past.target].astype(np.float64)
        )
        values = np.where(np.isfinite(values), values, np.nan)
    values[panel.test | ~panel.present] = np.nan
    if counted:
        values[panel.weight <= 0] = np.nan
    return values


def horizon_rows(competition: Competition, panel: Panel, where: str) -> int:
    """Rows of the run's horizon (the longest group in sequence tasks), days that nobody asks among them.

    Raises InputError where neither the competition nor test rows tell it; `where` is the setting.
    """
    try:
        return horizon_of(competition, panel)
    except InputError:
        raise InputError(
            f"{where}: the lag is not given, and neither competition.horizon nor test rows tell it"
        ) from None
