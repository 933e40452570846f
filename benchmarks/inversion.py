"""How much of a ventilator's pressure u_in gives away: breaths solved, seconds, and whether it is right.

Real breaths of Kaggle's Ventilator Pressure Prediction (2021) are compared with the pressures that others
recovered from them, simulated ones with their whole truth, so that false claims can be counted there.

    python -m benchmarks.inversion [--real FILE] [--breaths N] [--seed N] [--json FILE]

Where the real breaths are not there (--real, or $FORECAST_DATA, or ../shared/data), simulated ones are
measured alone.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.sources.ventilator_controller import PRESSURE_SPACING
from data.sources.ventilator_inversion import Inversions, invert_breaths
from data.sources.ventilator_simulator import STEPS, simulate_breaths

INPUTS = ("u_in", "time_step", "u_out")

#: Of simulated breaths; wrong settings with right pressures are steady states, in which only kp + ki shows.
SIMULATED = {
    "breaths": "breaths",
    "solved": "solved",
    "seconds": "seconds",
    "known_rows": "share of the inspiratory rows known",
    "rows": "rows known",
    "false_rows": "of them wrong",
    "false_breaths": "breaths with a wrong row",
    "claimed_of_others": "solved although another controller steered",
    "wrong_settings": "solved with other kp, ki, kt than the true ones",
}
REAL = {
    "breaths": "breaths",
    "solved": "solved",
    "seconds": "seconds",
    "known_rows": "share of the inspiratory rows known",
    "rows": "rows known",
    "published_solved": "solved by those who published pressures",
    "published_rows": "rows that they give",
    "common_rows": "rows that both give",
    "agreement": "share of them that agree",
}


def timed(table: dict[str, np.ndarray]) -> tuple[Inversions, float]:
    """Inversion of (B, 80) inputs, and its seconds without compilation."""
    u_in, time_step, u_out = (table[name] for name in INPUTS)
    invert_breaths(u_in[:1], time_step[:1], u_out[:1])
    start = time.perf_counter()
    found = invert_breaths(u_in, time_step, u_out)
    return found, time.perf_counter() - start


def figures_of(table: dict[str, np.ndarray], found: Inversions, seconds: float) -> dict[str, float]:
    known = np.isfinite(found.pressure)
    return {
        "breaths": len(known),
        "solved": int(found.solved.sum()),
        "seconds": seconds,
        "known_rows": float(known[table["u_out"] == 0].mean()),
        "rows": int(known.sum()),
    }


def real_figures(file: Path) -> dict[str, float]:
    """On real breaths, whose published pressure, kp, ki and kt take no part in the inversion."""
    frame = pd.read_csv(file)
    table = {name: frame[name].to_numpy().reshape(-1, STEPS) for name in (*INPUTS, "pressure", "kp")}
    found, seconds = timed(table)
    published = np.isfinite(table["pressure"])
    both = published & np.isfinite(found.pressure)
    near = np.abs(found.pressure - table["pressure"])[both] < PRESSURE_SPACING / 2
    return figures_of(table, found, seconds) | {
        "published_solved": int(np.isfinite(table["kp"][:, 0]).sum()),
        "published_rows": int(published.sum()),
        "common_rows": int(both.sum()),
        "agreement": float(near.mean()),
    }


def simulated_figures(count: int, seed: int) -> dict[str, float]:
    """On simulated breaths, whose truth is known in every row."""
    breaths = simulate_breaths(count, seed)
    table = {name: getattr(breaths, name) for name in INPUTS}
    found, seconds = timed(table)
    known = np.isfinite(found.pressure)
    wrong = known & (found.pressure != breaths.pressure)
    right = [getattr(found, name) == getattr(breaths.settings, name) for name in ("kp", "ki", "kt")]
    return figures_of(table, found, seconds) | {
        "false_rows": int(wrong.sum()),
        "false_breaths": int(wrong.any(axis=1).sum()),
        "claimed_of_others": int(found.solved[breaths.other_controller].sum()),
        "wrong_settings": int((found.solved & ~np.logical_and.reduce(right)).sum()),
    }


def print_figures(title: str, words: dict[str, str], figures: dict[str, float]) -> None:
    print(title)
    for name, text in words.items():
        value = figures[name]
        print(f"  {text:<52}{value:>12,.4f}" if isinstance(value, float) else f"  {text:<52}{value:>12,}")


def main(arguments: list[str] | None = None) -> None:
    default = Path(os.environ.get("FORECAST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--real", type=Path, default=default / "ventilator" / "real_breaths_1000.csv.gz")
    parser.add_argument("--breaths", type=int, default=5000, help="simulated breaths")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"simulated": simulated_figures(options.breaths, options.seed)}
    print_figures("simulated breaths", SIMULATED, found["simulated"])
    if options.real.exists():
        found["real"] = real_figures(options.real)
        print_figures("real breaths", REAL, found["real"])
    else:
        print(f"{options.real}: no real breaths there; give --real FILE or set FORECAST_DATA")
    if options.json:
        partial = options.json.with_name(options.json.name + ".partial")
        partial.write_text(json.dumps(found, indent=2) + "\n")
        os.replace(partial, options.json)


if __name__ == "__main__":
    main()
