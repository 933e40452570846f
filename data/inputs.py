"""All input columns of a competition side by side, scaled by one fold's training rows.

`Inputs` is what windows (for networks) and origin tables (for gradient boosting) are cut from. Columns of
`real` stand in this order: known ones, then those that read the past, by reach. A column with reach r may
be shown on row t of a window only while t - r lies before the origin; `available.<r>` is a column of ones
with that reach, so that blanking turns it into the indicator of what is blanked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from data.competition import Competition
from data.folds import Fold
from data.input_constants import InputConstants
from data.input_scaling import Scaler, centre_and_spread, fit_scaler
from data.panel import Panel
from data.scaling import forward_transform
from data.schema import Column, InputSchema, Role

#: Rows used to find the centre and spread of a known column; more would not move them.
ROWS_FOR_SCALING = 200_000


@dataclass(frozen=True)
class Block:
    """Columns of one source (raw covariates, a feature family) with their values."""

    columns: tuple[Column, ...]
    values: np.ndarray  # (R, columns) float32; categories as codes


@dataclass(frozen=True)
class Inputs:
    """R rows of F real and C categorical inputs, D + S statics, and K transformed targets.

    Arrays by row have L further rows of zeros (L: rows of a window), so that windows are cut from these very
    arrays: a window at the end of the last series reads past it, and blanks what it read.
    """

    schema: InputSchema
    column: tuple[Column, ...]  # of `real`, in order
    category_reach: tuple[int | None, ...]  # of `category`, in order
    real: np.ndarray  # (R + L, F) float32, NaN where missing
    category: np.ndarray  # (R + L, C) int64
    static_real: np.ndarray  # (S, .) float32, no NaN
    static_category: np.ndarray  # (S, .) int64
    target: np.ndarray  # (R + L, K) float32 transformed, 0 where not observed
    observed: np.ndarray  # (R + L, K) bool: the target is known (train rows)
    weight: np.ndarray  # (R + L,) float32
    asked: np.ndarray  # (R + L,) bool: a row of a file, not one inserted into a gap
    time: np.ndarray  # (R + L,) int64
    offsets: np.ndarray  # (S + 1,) int64
    seen: np.ndarray  # (S,) bool: the series has training rows
    fitted_series: np.ndarray  # (S,) int64: number that networks know the series by; -1: not seen
    location: np.ndarray  # (K,) of the fold's training rows, for windows.scaling=constant
    scale: np.ndarray  # (K,)
    constants: InputConstants = field(default_factory=InputConstants)  # what was learnt of training rows

    @property
    def known(self) -> int:
        """Number of leading columns of `real` that are known everywhere."""
        return sum(column.reach is None for column in self.column)

    def series_of(self, row: np.ndarray) -> np.ndarray:
        """(N,) series of panel rows (N,)."""
        return np.searchsorted(self.offsets, row, side="right") - 1


def training_rows(panel: Panel, fold: Fold) -> np.ndarray:
    """(R,) bool: rows that the fold may fit on."""
    ends = np.repeat(fold.train_end, np.diff(panel.offsets))
    return (np.arange(panel.rows) < ends) & panel.present & ~panel.test


def raw_block(competition: Competition, panel: Panel) -> Block:
    """The competition's own time-varying columns, as they are in the panel."""
    roles = competition.columns
    columns: list[Column] = []
    for name in roles.known_real:
        columns.append(Column(name))
    for name in roles.known_categorical:
        columns.append(Column(name, "category", size=len(panel.categories[name]) + 1))
    for name in roles.past_real:
        columns.append(Column(name, reach=0, unit="own"))
    for name in roles.past_categorical:
        columns.append(Column(name, "category", reach=0, size=len(panel.categories[name]) + 1))
    values = np.empty((panel.rows, len(columns)), dtype=np.float32)
    for index, column in enumerate(columns):
        values[:, index] = panel.frame[column.name].to_numpy()
    return Block(tuple(columns), values)


def build_inputs(
    competition: Competition,
    panel: Panel,
    blocks: Iterable[Block],
    fold: Fold,
    context: int,
    horizon: int,
    quantile: Sequence[float] = (),
    scaling: str = "standard",
    constants: InputConstants | None = None,
) -> Inputs:
    """Put the blocks side by side and scale what is scaled by the fold's training rows.

    `blocks` are those of the features; the raw columns are added here. `scaling` is that of known columns
    (see data.input_scaling). With the `constants` of a fit nothing is learnt of these rows: they are scaled
    as that fit's were. Raises ValueError if two columns share a name.
    """
    train = training_rows(panel, fold)
    history = competition.task == "horizon"
    target = forward_transform(competition.target_transform, panel.target).astype(np.float32)
    observed = np.isfinite(target)
    parts: list[tuple[Column, np.ndarray]] = []  # real columns
    categories: list[tuple[Column, np.ndarray]] = []
    for block in (raw_block(competition, panel), *blocks):
        for index, column in enumerate(block.columns):
            (categories if column.kind == "category" else parts).append((column, block.values[:, index]))
    if history:
        for index, name in enumerate(panel.target_name):
            past = np.where(observed[:, index], target[:, index], np.nan).astype(np.float32)
            parts.append((Column(f"past.{name}", reach=0, unit="level", target=index), past))
    indicators = _missing_indicators(parts, train, constants)
    parts += indicators
    for reach in sorted({column.reach for column, _ in parts if column.reach is not None}):
        ones = np.ones(panel.rows, dtype=np.float32)
        parts.append((Column(f"available.{reach}", reach=reach, scaled=False), ones))
    parts.sort(key=lambda part: -1 if part[0].reach is None else part[0].reach)
    _refuse_doubled([column.name for column, _ in parts + categories])

    if constants is not None:
        sizes = {column.name: column.size for column, _ in categories}
        constants.check([column.name for column, _ in parts], sizes)
    rows, padding = panel.rows, (context if history else 0) + horizon
    real = np.zeros((rows + padding, len(parts)), dtype=np.float32)
    sample = _sample(np.flatnonzero(train))
    scalers: dict[str, Scaler] = {}
    for index, (column, values) in enumerate(parts):
        real[:rows, index] = values
        if column.reach is None and column.unit == "plain" and column.scaled:
            scaler = (
                fit_scaler(scaling, real[sample, index])
                if constants is None
                else constants.scaler[column.name]
            )
            real[:rows, index] = scaler(real[:rows, index])
            scalers[column.name] = scaler
    category = np.zeros((rows + padding, len(categories)), dtype=np.int64)
    categories_seen: dict[str, np.ndarray] = {}
    for index, (column, values) in enumerate(categories):
        codes = values.astype(np.int64)
        known = (
            _codes_seen(codes[train], column.size) if constants is None else constants.category[column.name]
        )
        category[:rows, index] = np.where(known[codes], codes, 0)
        categories_seen[column.name] = known

    seen = fold.train_end > panel.offsets[:-1]
    static_real, static_real_names, static_scales = _static_reals(competition, panel, seen, constants)
    static_category, statics_seen = _static_categories(competition, panel, seen, constants)
    static_sizes = tuple(len(known) for known in statics_seen.values())
    if constants is None:
        counted = train[:, None] & observed & (panel.weight > 0)[:, None]
        location, scale = _target_constants(target, counted)
        constants = InputConstants(
            columns=tuple(column.name for column, _ in parts),
            scaler=scalers,
            missing=tuple(column.name.removeprefix("missing.") for column, _ in indicators),
            category=categories_seen,
            static_real=static_scales,
            static_missing=tuple(
                name.removeprefix("missing.") for name in static_real_names if name not in static_scales
            ),
            static_category=statics_seen,
            location=location,
            scale=scale,
        )
    schema = InputSchema(
        real=tuple(column.name for column, _ in parts),
        real_role=tuple(_role(column) for column, _ in parts),
        category=tuple(column.name for column, _ in categories),
        category_size=tuple(column.size for column, _ in categories),
        static_real=static_real_names,
        static_category=tuple(competition.columns.static_categorical),
        static_category_size=static_sizes,
        target=panel.target_name,
        context=context if history else 0,
        horizon=horizon,
        series=panel.series,
        seasonality=tuple(competition.seasonality),
        quantile=tuple(quantile),
        target_transform=competition.target_transform,
        real_reach=tuple(column.reach for column, _ in parts),
        category_reach=tuple(column.reach for column, _ in categories),
    )
    return Inputs(
        schema=schema,
        column=tuple(column for column, _ in parts),
        category_reach=tuple(column.reach for column, _ in categories),
        real=real,
        category=category,
        static_real=static_real,
        static_category=static_category,
        target=_padded(np.where(observed, target, 0.0).astype(np.float32), padding),
        observed=_padded(observed, padding),
        weight=_padded(np.where(panel.present, panel.weight, 0.0).astype(np.float32), padding),
        asked=_padded(panel.present, padding),
        time=_padded(panel.time.astype(np.int64), padding),
        offsets=panel.offsets.astype(np.int64),
        seen=seen,
        fitted_series=np.where(seen, panel.series_when_fitted(), -1),
        location=constants.location,
        scale=constants.scale,
        constants=constants,
    )


def _codes_seen(codes: np.ndarray, size: int) -> np.ndarray:
    """(size,) bool: codes (N,) that are there."""
    known = np.zeros(size, dtype=bool)
    known[codes] = True
    return known


def _padded(array: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((rows, *array.shape[1:]), dtype=array.dtype)])


def _role(column: Column) -> Role:
    if column.name.startswith(("available.", "missing.")):
        return "indicator"
    if column.name.startswith("past."):
        return "past_target"
    return "known" if column.reach is None else "past"


def _missing_indicators(
    parts: list[tuple[Column, np.ndarray]], train: np.ndarray, constants: InputConstants | None
) -> list[tuple[Column, np.ndarray]]:
    """One column of 0 and 1 for each distinct pattern of missing values among the training rows.

    Only those rows tell patterns apart: which columns a fold's models have must not hang on the others.
    With constants: the columns that have one there.
    """
    if constants is not None:
        return [_indicator(column, values) for column, values in parts if column.name in constants.missing]
    added: list[tuple[Column, np.ndarray]] = []
    patterns: set[tuple[int | None, bytes]] = set()
    for column, values in parts:
        missing = np.isnan(values)
        if not missing[train].any():
            continue
        pattern = (column.reach, np.packbits(missing[train]).tobytes())
        if pattern not in patterns:
            patterns.add(pattern)
            added.append(_indicator(column, values))
    return added


def _indicator(column: Column, values: np.ndarray) -> tuple[Column, np.ndarray]:
    return (
        Column(f"missing.{column.name}", reach=column.reach, scaled=False),
        np.isnan(values).astype(np.float32),
    )


def _refuse_doubled(names: list[str]) -> None:
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise ValueError(f"two input columns are called {sorted(doubled)[0]!r}")


def _sample(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= ROWS_FOR_SCALING:
        return rows
    return rows[np.linspace(0, len(rows) - 1, ROWS_FOR_SCALING).astype(np.int64)]


def _static_reals(
    competition: Competition, panel: Panel, seen: np.ndarray, constants: InputConstants | None
) -> tuple[np.ndarray, tuple[str, ...], dict[str, tuple[float, float]]]:
    """(S, .) standardised by the training series; a `missing.` column beside each one that has gaps; and by
    which centre and spread."""
    columns: list[np.ndarray] = []
    names: list[str] = []
    scales: dict[str, tuple[float, float]] = {}
    for name in competition.columns.static_real:
        values = panel.static[name].to_numpy(dtype=np.float64)
        scales[name] = centre_and_spread(values[seen]) if constants is None else constants.static_real[name]
        centre, spread = scales[name]
        missing = ~np.isfinite(values)
        columns.append(np.where(missing, 0.0, (values - centre) / spread))
        names.append(name)
        if missing.any() if constants is None else name in constants.static_missing:
            columns.append(missing.astype(np.float64))
            names.append(f"missing.{name}")
    if not columns:
        return np.zeros((panel.series, 0), dtype=np.float32), (), {}
    return np.stack(columns, axis=1).astype(np.float32), tuple(names), scales


def _static_categories(
    competition: Competition, panel: Panel, seen: np.ndarray, constants: InputConstants | None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(S, D) codes; a code that no training series has becomes 0. And, by column, (size,) which it has."""
    names = competition.columns.static_categorical
    codes = np.zeros((panel.series, len(names)), dtype=np.int64)
    known: dict[str, np.ndarray] = {}
    for index, name in enumerate(names):
        values = panel.static[name].to_numpy(dtype=np.int64)
        known[name] = (
            _codes_seen(values[seen], len(panel.categories[name]) + 1)
            if constants is None
            else constants.static_category[name]
        )
        codes[:, index] = np.where(known[name][values], values, 0)
    return codes, known


def _target_constants(target: np.ndarray, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each target over the counted rows."""
    pairs = [
        centre_and_spread(target[_sample(np.flatnonzero(counted[:, index])), index])
        for index in range(target.shape[1])
    ]
    location, scale = np.array(pairs, dtype=np.float64).T
    return location.astype(np.float32), scale.astype(np.float32)
