"""A small retail competition: three CSV files and its YAML, as a user would write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

DAYS, AHEAD = 160, 10
YAML = """\
name: shops
task: horizon
root: {folder}
files: {{train: train.csv, test: test.csv, sample: sample.csv}}
row_id: [id]
series: [shop]
time: date
frequency: D
target: [sales]
target_transform: log1p
columns:
  static_categorical: [region]
  known_real: [open, promotion]
  past_real: [customers]
seasonality: [7]
metric: [{{name: rmsle}}]
judged: open == 1
folds: {{kind: rolling, count: 2}}
local: {{kind: horizon, series: test}}
submission: {{row_id: id, target: [sales]}}
post: [{{kind: clip, settings: {{low: 0}}}}, {{kind: zero_where, settings: {{where: open == 0}}}}]
features:
  calendar: {{}}
  rolling: {{lags: [1], windows: [7]}}
baselines: {{seasonal_naive: {{}}}}
sizes:
  demo:
    members: [seasonal_naive, lightgbm, bilstm]
    fit: {{max_epochs: 2, batch_size: 16}}
    windows: {{context: 28, per_epoch: 64}}
    member: {{lightgbm: {{rounds: 10, rows: 2000}}, bilstm: {{hidden: 8, layers: 1}}}}
"""


def write_files(folder: Path) -> None:
    """train.csv, test.csv, sample.csv: six shops, four of which are asked for; closed on Sundays."""
    generator = np.random.default_rng(3)
    dates = pd.date_range("2022-01-03", periods=DAYS + AHEAD)
    shops = [f"shop{number}" for number in range(6)]
    rows = pd.DataFrame([(shop, date) for shop in shops for date in dates], columns=["shop", "date"])
    rows["region"] = np.where(rows["shop"] < "shop3", "north", "south")
    rows["open"] = (rows["date"].dt.dayofweek != 6).astype(int)
    rows["promotion"] = generator.integers(0, 2, len(rows))
    rows["customers"] = rows["open"] * generator.integers(50, 500, len(rows))
    rows["sales"] = rows["open"] * np.exp(generator.normal(4 + rows["promotion"], 0.3)).round(2)
    train = rows[rows["date"] < dates[DAYS]]
    test = rows[(rows["date"] >= dates[DAYS]) & (rows["shop"] < "shop4")].drop(columns=["customers", "sales"])
    test.insert(0, "id", np.arange(1, len(test) + 1))
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    test[["id"]].assign(sales=0).to_csv(folder / "sample.csv", index=False)


def write_competition(folder: Path) -> list[str]:
    """Files and YAML below `folder`; the words of the command that choose them."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    write_files(raw)
    target = folder / "conf" / "competition" / "shops.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(YAML.format(folder=raw))
    return ["--config-dir", str(folder / "conf"), "competition=shops"]
