"""Made-up competitions for the checks: clean as they come from here, and with what a test plants in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from data.competition import Columns, Competition, Folds, Local
from data.panel import Panel

BREATHS, STEPS = 240, 20
SHOPS, DAYS, AHEAD = 40, 160, 14


def breaths(seed: int, count: int = BREATHS) -> tuple[Competition, Panel]:
    """A sequence task: a valve's opening and a lung's two constants make a pressure; a third is asked."""
    generator = np.random.default_rng([seed, 0])
    resistance = generator.choice([5.0, 20.0, 50.0], count)
    capacity = generator.choice([10.0, 20.0, 50.0], count)
    valve = np.cumsum(np.abs(generator.normal(0.0, 1.0, (count, STEPS))), axis=1)
    valve *= generator.uniform(0.3, 1.0, (count, 1))
    pressure = 5 + valve * (1 + resistance[:, None] / 50) + np.cumsum(valve, axis=1) / capacity[:, None]
    pressure += generator.normal(0.0, 1.5, pressure.shape) + generator.normal(0.0, 1.0, (count, 1))
    test = np.repeat(np.arange(count) % 3 == 2, STEPS)
    rows = count * STEPS
    competition = Competition(
        name="made_up_breaths",
        task="sequence",
        series=["breath"],
        time="second",
        target=["pressure"],
        columns=Columns(static_real=["resistance", "capacity"], known_real=["second", "valve", "noise"]),
        folds=Folds("grouped", count=3),
        local=Local("groups", share=0.2),
    )
    number = np.where(test, np.cumsum(test), np.cumsum(~test)) - 1
    panel = Panel(
        offsets=np.arange(0, rows + 1, STEPS),
        series_name=np.array([str(index + 1) for index in range(count)], dtype=object),
        time=np.tile(np.arange(STEPS), count),
        timestamp=None,
        frame=pd.DataFrame(
            {
                "second": np.tile(np.arange(STEPS) * 0.03, count),
                "valve": valve.reshape(-1),
                "noise": generator.normal(0.0, 1.0, rows),
            }
        ),
        static=pd.DataFrame({"resistance": resistance, "capacity": capacity}),
        categories={},
        target=np.where(test, np.nan, pressure.reshape(-1))[:, None],
        target_name=("pressure",),
        weight=np.ones(rows, dtype=np.float32),
        present=np.ones(rows, dtype=bool),
        test=test,
        official_id=np.arange(rows).astype(str).astype(object),
        file_row=number,
    )
    return competition, panel


def shops(seed: int, count: int = SHOPS) -> tuple[Competition, Panel]:
    """A horizon task: sales with weekdays, promotions (each shop's own) and a level a shop; all are asked.

    The file has the days one after the other, and in each day the shops, shuffled.
    """
    generator = np.random.default_rng([seed, 1])
    length = DAYS + AHEAD
    rows = count * length
    day = np.tile(np.arange(length), count)
    shop = np.repeat(np.arange(count), length)
    promotion = (generator.random(rows) < 0.3).astype(float)
    price = generator.normal(10.0, 1.0, rows)
    weekday = generator.normal(0.0, 0.2, 7)
    level = generator.normal(5.0, 0.7, count)
    log_sales = level[shop] + weekday[day % 7] + 0.3 * promotion - 0.05 * (price - 10)
    sales = np.exp(log_sales + generator.normal(0.0, 0.25, rows))
    test = day >= DAYS
    competition = Competition(
        name="made_up_shops",
        task="horizon",
        series=["shop"],
        time="date",
        frequency="D",
        target=["sales"],
        target_transform="log1p",
        columns=Columns(static_real=["size"], known_real=["promotion", "price"], past_real=["visitors"]),
        horizon=AHEAD,
        context=28,
        seasonality=[7],
        folds=Folds("rolling", count=2),
        local=Local("horizon"),
    )
    visitors = np.where(test, np.nan, sales * generator.uniform(1.5, 2.5, rows))
    order = np.lexsort((generator.random(rows), day, test))
    place = np.empty(rows, dtype=np.int64)
    place[order] = np.arange(rows)
    panel = Panel(
        offsets=np.arange(0, rows + 1, length),
        series_name=np.array([f"shop{index}" for index in range(count)], dtype=object),
        time=day,
        timestamp=np.datetime64("2024-01-01", "ns") + day.astype("timedelta64[D]"),
        frame=pd.DataFrame({"promotion": promotion, "price": price, "visitors": visitors}),
        static=pd.DataFrame({"size": level + generator.normal(0.0, 0.5, count)}),
        categories={},
        target=np.where(test, np.nan, sales)[:, None],
        target_name=("sales",),
        weight=np.ones(rows, dtype=np.float32),
        present=np.ones(rows, dtype=bool),
        test=test,
        official_id=np.where(test, np.arange(rows).astype(str), "").astype(object),
        file_row=np.where(test, place - int((~test).sum()), place),
    )
    return competition, panel


def with_column(case: tuple[Competition, Panel], name: str, values: np.ndarray) -> tuple[Competition, Panel]:
    """The same with one more known column."""
    competition, panel = case
    columns = replace(competition.columns, known_real=[*competition.columns.known_real, name])
    frame = panel.frame.assign(**{name: values})
    return replace(competition, columns=columns), replace(panel, frame=frame)
