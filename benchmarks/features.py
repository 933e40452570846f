"""Rows per second of the ventilator's sequence columns, against pandas groupby in the same run.

The columns are those of the competition's first place (its hybrid): u_in's running sum and its integral
over time; lags and leads 1..4 and differences 1..4 of u_in and u_out; max, max - u_in, mean - u_in of the
breath; one-hot R, C and R x C. Breaths are drawn at random in the competition's shape: 75,450 of 80 rows.

    python -m benchmarks.features [--breaths 75450] [--pandas-breaths 7545] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.competition import Columns, Competition
from data.panel import Panel
from features.base import FEATURES
from features.build import build_features, transform_all

ROWS_PER_BREATH = 80
FEATURES_OF_FIRST_PLACE: dict[str, Any] = {
    "cumulative": {"inputs": ["u_in"], "outputs": ["sum", "integral"]},
    "shift": {"inputs": ["u_in", "u_out"], "lags": [1, 2, 3, 4], "leads": [1, 2, 3, 4]},
    "difference": {"inputs": ["u_in", "u_out"], "lags": [1, 2, 3, 4]},
    "expanding": {"inputs": ["u_in"], "so_far": [], "whole": ["max"], "whole_minus": ["max", "mean"]},
    "cross": {"crosses": [["R"], ["C"], ["R", "C"]], "one_hot": True},
}
COMPETITION = Competition(
    name="ventilator",
    task="sequence",
    time="time_step",
    target=["pressure"],
    columns=Columns(static_categorical=["R", "C"], known_real=["time_step", "u_in", "u_out"]),
)


def ventilator_panel(breaths: int, seed: int = 0) -> Panel:
    """A panel in the competition's shape with values that cost what real ones do."""
    generator = np.random.default_rng(seed)
    rows = breaths * ROWS_PER_BREATH
    place = np.arange(ROWS_PER_BREATH)
    step = generator.uniform(0.0316, 0.0368, (breaths, 1))
    frame = pd.DataFrame(
        {
            "time_step": (step * place).astype(np.float32).reshape(-1),
            "u_in": generator.random(rows, dtype=np.float32) * 100,
            "u_out": np.tile((place >= 30).astype(np.float32), breaths),
        }
    )
    static = pd.DataFrame({name: generator.integers(1, 4, breaths) for name in ("R", "C")})
    return Panel(
        offsets=np.arange(breaths + 1, dtype=np.int64) * ROWS_PER_BREATH,
        series_name=np.arange(breaths).astype(str),
        time=np.tile(place.astype(np.int64), breaths),
        timestamp=None,
        frame=frame,
        static=static,
        categories={"R": ["5", "20", "50"], "C": ["10", "20", "50"]},
        target=np.zeros((rows, 1)),
        target_name=("pressure",),
        weight=np.ones(rows, dtype=np.float32),
        present=np.ones(rows, dtype=bool),
        test=np.zeros(rows, dtype=bool),
        official_id=np.zeros(rows, dtype="<U1"),
    )


def by_pandas(panel: Panel) -> pd.DataFrame:
    """The same columns in the same order, written as one would with groupby."""
    frame = panel.frame.assign(breath=panel.series_of_row())
    for name in ("R", "C"):
        frame[name] = panel.static[name].to_numpy()[frame["breath"]]
    breath = frame.groupby("breath")
    out = {"sum": breath["u_in"].cumsum()}
    area = frame["u_in"] * breath["time_step"].diff().fillna(0.0)
    out["integral"] = area.groupby(frame["breath"]).cumsum()
    for name in ("u_in", "u_out"):
        for k in (1, 2, 3, 4, -1, -2, -3, -4):
            out[f"{name}.shift_{k}"] = breath[name].shift(k).fillna(0.0)
    for name in ("u_in", "u_out"):
        for k in (1, 2, 3, 4):
            out[f"{name}.difference_{k}"] = breath[name].diff(k).fillna(0.0)
    out["max"] = breath["u_in"].transform("max")
    out["max_minus"] = out["max"] - frame["u_in"]
    out["mean_minus"] = breath["u_in"].transform("mean") - frame["u_in"]
    for names in (["R"], ["C"], ["R", "C"]):
        code = frame["R"] * 3 + frame["C"] - 3 if len(names) == 2 else frame[names[0]]
        one_hot = pd.get_dummies(code, prefix="_x_".join(names))
        out.update({str(name): one_hot[name] for name in one_hot})
    return pd.DataFrame(out).astype(np.float32)


def measure(breaths: int, pandas_breaths: int) -> dict[str, Any]:
    """Seconds, rows per second and peak memory of ours; seconds and largest deviation against pandas."""
    FEATURES.discover()  # imports are not what is measured
    panel = ventilator_panel(breaths)
    features = build_features(COMPETITION, panel, FEATURES_OF_FIRST_PLACE)
    started = time.perf_counter()
    columns, table = transform_all(COMPETITION, panel, features)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before pandas adds its own

    subset = ventilator_panel(pandas_breaths, seed=1)
    alternations = []
    for _ in range(5):
        started = time.perf_counter()
        ours = transform_all(COMPETITION, subset, features)[1]
        between = time.perf_counter()
        theirs = by_pandas(subset)
        alternations.append((between - started, time.perf_counter() - between))
    subset_seconds, pandas_seconds = (float(np.median(side)) for side in zip(*alternations, strict=True))
    assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
    scale = np.maximum(np.abs(ours).max(axis=0), 1e-6)
    deviation = float((np.abs(ours - theirs.to_numpy()).max(axis=0) / scale).max())
    return {
        "rows": panel.rows,
        "columns": len(columns),
        "seconds": seconds,
        "rows_per_second": panel.rows / seconds,
        "table_mib": table.nbytes / 2**20,
        "peak_memory_mib": peak,
        "subset_rows": subset.rows,
        "subset_seconds": subset_seconds,
        "pandas_seconds": pandas_seconds,
        "ratio": pandas_seconds / subset_seconds,
        "largest_relative_deviation": deviation,
    }


def main() -> None:
    """Print the table; with --json also write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--breaths", type=int, default=75_450)
    parser.add_argument("--pandas-breaths", type=int, default=7_545)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    arguments = parser.parse_args()
    found = measure(arguments.breaths, arguments.pandas_breaths)
    for name, value in found.items():
        print(
            f"{name:28} {value:>14,.3g}"
            if isinstance(value, float) and value < 100
            else f"{name:28} {value:>14,.0f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
