"""Writes the three CSV files of the example: loaves sold a day in six bakeries, drawn at random.

    python examples/bakery/make.py [FOLDER]

Sales have a level a shop, a week, a slow trend, a promotion effect and noise; a shop is closed on Sundays
(two are open seven days) and sells nothing then. Bakery F is not asked for, and has no rows in test.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

DAYS, AHEAD = 420, 21
WEEK = np.array([0.9, 0.85, 0.95, 1.0, 1.2, 1.5, 1.1])  # Monday to Sunday


def tables() -> dict[str, pd.DataFrame]:
    """Name of the file: its rows."""
    generator = np.random.default_rng(2026)
    dates = pd.date_range("2024-01-01", periods=DAYS + AHEAD)
    parts = []
    for number, shop in enumerate("ABCDEF"):
        open_ = np.where((dates.dayofweek == 6) & (number % 3 != 0), 0, 1)
        promotion = (generator.random(len(dates) // 7 + 1) < 0.25).repeat(7)[: len(dates)].astype(int)
        level = generator.uniform(60, 400)
        trend = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(len(dates)) / 365 + generator.random()))
        noise = generator.normal(0, 0.12, len(dates))
        sold = level * WEEK[dates.dayofweek] * trend * (1 + 0.35 * promotion) * np.exp(noise)
        parts.append(
            pd.DataFrame(
                {
                    "shop": f"bakery {shop}",
                    "district": "north" if number < 3 else "south",
                    "date": dates,
                    "open": open_,
                    "promotion": promotion,
                    "visitors": open_ * np.round(sold * generator.uniform(0.4, 0.6, len(dates))).astype(int),
                    "sold": open_ * np.round(sold).astype(int),
                }
            )
        )
    rows = pd.concat(parts, ignore_index=True)
    train, test = rows[rows["date"] < dates[DAYS]], rows[rows["date"] >= dates[DAYS]]
    test = test[test["shop"] != "bakery F"].drop(columns=["visitors", "sold"]).reset_index(drop=True)
    test.insert(0, "id", np.arange(1, len(test) + 1))
    return {"train": train, "test": test, "sample_submission": pd.DataFrame({"id": test["id"], "sold": 0})}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    for name, table in tables().items():
        table.to_csv(folder / f"{name}.csv", index=False)
