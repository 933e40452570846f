"""Toy panels of both tasks, with what real ones have: unequal lengths, missing values, gaps, test rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from data.competition import Columns, Competition
from data.panel import Panel

HORIZON = 5


def make_panel(
    task: str, seed: int = 0, series: int = 6, equal: bool = False, missing: bool = True, gaps: bool = True
) -> tuple[Competition, Panel]:
    """A competition of `task` (sequence, horizon) and a panel of `series` series with two targets.

    equal: all series are equally long; missing: some covariates and targets are NaN (codes 0);
    gaps: horizon tasks have rows that are not present. The last HORIZON rows of each series (horizon
    tasks) or the last third of the series (sequence tasks) are test rows.
    """
    generator = np.random.default_rng(seed)
    lengths = np.full(series, 24) if equal else generator.integers(12, 40, series)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = int(offsets[-1])
    owner = np.repeat(np.arange(series), lengths)
    place = np.arange(rows) - offsets[owner]
    sequence = task == "sequence"
    test = owner >= series - series // 3 if sequence else place >= lengths[owner] - HORIZON
    start = generator.integers(0, 20, series)
    day = place + (0 if sequence else start[owner])
    frame = pd.DataFrame(
        {
            "price": generator.normal(10.0, 3.0, rows),
            "valve": (place > lengths[owner] // 2).astype(float),
            "promotion": generator.integers(1, 3, rows),
            "holiday": generator.choice([1, 1, 1, 1, 2, 3], rows),
        }
    )
    columns = Columns(
        static_categorical=["resistance", "region"],
        static_real=["size"],
        known_real=["price", "valve"],
        known_categorical=["promotion", "holiday"],
    )
    if sequence:
        frame["seconds"] = np.cumsum(generator.uniform(0.5, 1.5, rows)) - owner
        columns.known_real.append("seconds")
    else:
        frame["visitors"] = generator.poisson(50, rows).astype(float)
        frame["weather"] = generator.integers(1, 4, rows)
        columns.past_real.append("visitors")
        columns.past_categorical.append("weather")
    static = pd.DataFrame(
        {
            "resistance": generator.integers(1, 4, series),
            "region": generator.integers(1, 3, series),
            "size": generator.normal(size=series),
        }
    )
    target = generator.gamma(2.0, 50.0, (rows, 2))
    weight = (generator.random(rows) > 0.15).astype(np.float32)
    present = np.ones(rows, dtype=bool)
    if missing:
        frame.loc[generator.random(rows) < 0.1, "price"] = np.nan
        frame.loc[generator.random(rows) < 0.1, "holiday"] = 0
        static.loc[0, "resistance"] = 0
        target[generator.random(rows) < 0.1, 0] = np.nan
    if gaps and not sequence:
        present = (generator.random(rows) > 0.1) | test
        for name in frame.columns:
            frame.loc[~present, name] = 0 if name in ("promotion", "holiday", "weather") else np.nan
    target[test | ~present] = np.nan
    frame = frame.astype(dict.fromkeys(("promotion", "holiday"), "int32"))
    competition = Competition(
        name=f"toy_{task}",
        task=task,
        series=["series"],
        time="seconds" if sequence else "date",
        frequency=None if sequence else "D",
        target=["sales", "returns"],
        columns=columns,
        horizon=None if sequence else HORIZON,
        seasonality=[] if sequence else [7],
        target_transform="log1p",
    )
    panel = Panel(
        offsets=offsets,
        series_name=np.array([f"s{index}" for index in range(series)], dtype=object),
        time=day.astype(np.int64),
        timestamp=None if sequence else np.datetime64("2020-12-20", "ns") + day.astype("timedelta64[D]"),
        frame=frame,
        static=static,
        categories={
            "promotion": ["0", "1"],
            "holiday": ["0", "a", "b"],
            "weather": ["sun", "rain", "snow"],
            "resistance": ["5", "20", "50"],
            "region": ["BY", "NW"],
        },
        target=target,
        target_name=("sales", "returns"),
        weight=weight,
        present=present,
        test=test,
        official_id=np.where(test, np.arange(rows).astype(str), ""),
    )
    return competition, panel


def reordered(panel: Panel, order: np.ndarray) -> tuple[Panel, np.ndarray]:
    """The panel with its series in `order` (some may be left out), and the old row of each new row."""
    row = np.concatenate([np.arange(panel.offsets[index], panel.offsets[index + 1]) for index in order])
    lengths = np.diff(panel.offsets)[order]
    changed = replace(
        panel,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        series_name=panel.series_name[order],
        time=panel.time[row],
        timestamp=None if panel.timestamp is None else panel.timestamp[row],
        frame=panel.frame.iloc[row].reset_index(drop=True),
        static=panel.static.iloc[order].reset_index(drop=True),
        target=panel.target[row],
        weight=panel.weight[row],
        present=panel.present[row],
        test=panel.test[row],
        official_id=panel.official_id[row],
    )
    return changed, row


def past_altered(competition: Competition, panel: Panel, rows: np.ndarray, seed: int = 1) -> Panel:
    """The panel with other targets, past-only values and weights on `rows` ((R,) bool).

    Weights too, for they may be made from the target (judged: Sales > 0).
    """
    generator = np.random.default_rng(seed)
    frame = panel.frame.copy()
    for name in competition.columns.past_real:
        frame.loc[rows, name] = generator.normal(1e4, 1e3, int(rows.sum()))
    for name in competition.columns.past_categorical:
        frame.loc[rows, name] = generator.integers(0, len(panel.categories[name]) + 1, int(rows.sum()))
    target = panel.target.copy()
    target[rows] = generator.gamma(2.0, 5e4, (int(rows.sum()), target.shape[1]))
    weight = panel.weight.copy()
    weight[rows] = 1 - (weight[rows] > 0)
    return replace(panel, frame=frame, target=target, weight=weight)
