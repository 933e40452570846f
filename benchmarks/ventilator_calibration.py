"""Is the simulated ventilator as hard as the real one, and does it look like it?

Compares simulated breaths with real ones of Kaggle's Ventilator Pressure Prediction (2021) whose pressures
could be recovered. Both sides go through the same inversion, so that both know the pressure of the same kind
of rows only: invertible breaths, away from exploration noise and from a valve at 0 or 100.

    python benchmarks/ventilator_calibration.py [--real FILE] [--breaths N] [--json FILE] [--plot FILE]

Distances: Wasserstein-1 (in the quantity's unit) for u_in, |dp| and pressure by (R, C) and step; total
variation for shares. Beside each stands its floor: the same distance between two simulated sets of the real
one's size. Hardness: the cross-validated MAE of LightGBM on rows over that of the (R, C, step) median; the
simulated share must not be the smaller one.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance
from sklearn.model_selection import GroupKFold

from data.sources.ventilator_controller import (
    KI_VALUES,
    KP_VALUES,
    KT_VALUES,
    PRESSURE_GRID,
    to_grid,
)
from data.sources.ventilator_inversion import invert_breaths
from data.sources.ventilator_simulator import STEPS, simulate

INSPIRATION = 32  # rows of a breath that are inspiratory at most
HEAVY_PAIRS = ((0, 2), (0, 1), (1, 0.5), (1, 3), (0, 4), (2, 4), (0, 3))


@dataclass(frozen=True)
class Recovered:
    """B breaths, (B, 80) and (B,); pressure, kp, ki, kt are NaN where the inversion does not know them."""

    R: np.ndarray
    C: np.ndarray
    time_step: np.ndarray
    u_in: np.ndarray
    u_out: np.ndarray
    pressure: np.ndarray
    kp: np.ndarray
    ki: np.ndarray
    kt: np.ndarray
    off_grid: float  # largest distance of the table's own pressures from the grid, cmH2O

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Recovered:
        """Inverts every breath of a table in the competition's schema, whose pressures take no part in it."""
        table = {
            name: frame[name].to_numpy().reshape(-1, STEPS)
            for name in ("time_step", "u_in", "u_out", "R", "C")
        }
        found = invert_breaths(table["u_in"], table["time_step"], table["u_out"], explore=False)
        stated = frame["pressure"].dropna().to_numpy()
        return cls(
            table["R"][:, 0], table["C"][:, 0], table["time_step"], table["u_in"], table["u_out"],
            found.pressure, found.kp, found.ki, found.kt,
            float(np.abs(stated - PRESSURE_GRID[to_grid(stated)]).max()),
        )  # fmt: skip

    @property
    def known(self) -> np.ndarray:
        return np.isfinite(self.pressure)

    def features(self) -> pd.DataFrame:
        """What LightGBM on rows sees, one row a row of a breath, (B * 80, F)."""
        u_in = self.u_in
        step_seconds = np.diff(self.time_step, axis=1, prepend=0.0)
        columns = {
            "R": np.repeat(self.R, STEPS),
            "C": np.repeat(self.C, STEPS),
            "step": np.tile(np.arange(STEPS), len(u_in)),
            "time_step": self.time_step,
            "u_out": self.u_out,
            "u_in": u_in,
            "cumulative": np.cumsum(u_in, axis=1),
            "area": np.cumsum(u_in * step_seconds, axis=1),
        }
        for lag in (1, 2, 3, 4):
            columns[f"lag{lag}"] = np.pad(u_in, ((0, 0), (lag, 0)))[:, :STEPS]
            columns[f"lead{lag}"] = np.pad(u_in, ((0, 0), (0, lag)))[:, lag:]
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})


def hardness(breaths: Recovered, seed: int = 0) -> dict[str, float]:
    """Cross-validated MAE on the known rows, in cmH2O: (R, C, step) median, LightGBM, and their ratio."""
    rows = np.flatnonzero(breaths.known.ravel())
    features = breaths.features().iloc[rows]
    target = breaths.pressure.ravel()[rows]
    breath = rows // STEPS
    median_error = np.empty(len(rows))
    lightgbm_error = np.empty(len(rows))
    for train, validation in GroupKFold(5).split(features, groups=breath):
        table = features.iloc[train][["R", "C", "step"]].assign(pressure=target[train])
        medians = table.groupby(["R", "C", "step"])["pressure"].median().rename("median")
        guess = (
            features.iloc[validation]
            .join(medians, on=["R", "C", "step"])["median"]
            .fillna(np.median(target[train]))
        )
        median_error[validation] = np.abs(guess - target[validation])
        model = lightgbm.LGBMRegressor(
            objective="mae", n_estimators=300, learning_rate=0.08, num_leaves=31, min_child_samples=10,
            subsample=0.8, subsample_freq=1, colsample_bytree=0.8, random_state=seed, n_jobs=1,
            deterministic=True, force_col_wise=True, verbosity=-1,
        )  # fmt: skip
        model.fit(features.iloc[train], target[train])
        lightgbm_error[validation] = np.abs(model.predict(features.iloc[validation]) - target[validation])
    median_mae, lightgbm_mae = float(median_error.mean()), float(lightgbm_error.mean())
    return {
        "median_mae": median_mae,
        "lightgbm_mae": lightgbm_mae,
        "lightgbm_share": lightgbm_mae / median_mae,
    }


def pressure_steps(breaths: Recovered) -> np.ndarray:
    """|dp| between neighbouring known inspiratory rows, cmH2O."""
    steps = np.abs(np.diff(breaths.pressure, axis=1))
    return steps[np.isfinite(steps)]


def pressure_distances(one: Recovered, other: Recovered, fewest: int = 20) -> pd.DataFrame:
    """Medians and Wasserstein distance, cmH2O, of each (R, C, step) known `fewest` times on both sides."""
    rows = []
    for R, C in sorted(set(zip(one.R.tolist(), one.C.tolist(), strict=True))):
        sides = [side.pressure[(side.R == R) & (side.C == C)] for side in (one, other)]
        for step in range(INSPIRATION):
            known = [side[np.isfinite(side[:, step]), step] for side in sides]
            if min(map(len, known)) >= fewest:
                rows.append((R, C, step, *map(np.median, known), wasserstein_distance(*known)))
    return pd.DataFrame(rows, columns=["R", "C", "step", "median", "other_median", "wasserstein"])


def shares(values: np.ndarray, choices: np.ndarray) -> np.ndarray:
    values = values[np.isfinite(values)]
    return np.array([np.isclose(values, choice).mean() for choice in choices])


def total_variation(real: np.ndarray, simulated: np.ndarray) -> float:
    return float(np.abs(real - simulated).sum() / 2)


def heavy_share(breaths: Recovered) -> float:
    """Share of the inverted breaths whose (kp, ki) is one of the seven heavy pairs."""
    solved = np.isfinite(breaths.kp)
    heavy = sum(np.isclose(breaths.kp, kp) & np.isclose(breaths.ki, ki) for kp, ki in HEAVY_PAIRS)
    return float((heavy > 0)[solved].mean())


def distances(one: Recovered, other: Recovered) -> dict[str, float]:
    """How far two sets of breaths lie apart, by name."""
    by_step = pressure_distances(one, other)
    inspiratory = [side.u_in[side.u_out == 0] for side in (one, other)]
    return {
        "pressure_wasserstein_mean": by_step["wasserstein"].mean(),
        "pressure_wasserstein_90": by_step["wasserstein"].quantile(0.9),
        "pressure_median_gap_mean": (by_step["median"] - by_step["other_median"]).abs().mean(),
        "u_in_wasserstein": wasserstein_distance(*inspiratory),
        "pressure_step_wasserstein": wasserstein_distance(pressure_steps(one), pressure_steps(other)),
        "kp_total_variation": total_variation(shares(one.kp, KP_VALUES), shares(other.kp, KP_VALUES)),
        "ki_total_variation": total_variation(shares(one.ki, KI_VALUES), shares(other.ki, KI_VALUES)),
        "kt_total_variation": total_variation(shares(one.kt, KT_VALUES), shares(other.kt, KT_VALUES)),
    }


def compare(real: Recovered, simulated: Recovered, again: Recovered) -> dict[str, float]:
    """Every figure of the calibration, by name; `again` is a second simulated set, for the floors."""
    figures = distances(real, simulated)
    figures |= {f"{name}_floor": value for name, value in distances(again, simulated).items()}
    for side, breaths in (("real", real), ("simulated", simulated)):
        steps = pressure_steps(breaths)
        u_in = breaths.u_in[breaths.u_out == 0]
        figures |= {
            f"{side}_inverted": float(np.isfinite(breaths.kp).mean()),
            f"{side}_known_rows": float(breaths.known.sum() / (breaths.u_out == 0).sum()),
            f"{side}_off_grid": breaths.off_grid,
            f"{side}_heavy_pairs": heavy_share(breaths),
            f"{side}_u_in_mean": float(u_in.mean()),
            f"{side}_u_in_zero": float((u_in == 0).mean()),
            f"{side}_u_in_100": float((u_in == 100).mean()),
            f"{side}_pressure_step_median": float(np.median(steps)),
            f"{side}_pressure_step_99": float(np.quantile(steps, 0.99)),
        }
        figures |= {f"{side}_{name}": value for name, value in hardness(breaths).items()}
    return {name: float(value) for name, value in figures.items()}


def print_figures(figures: dict[str, float]) -> None:
    print(f"{'distance':<32}{'real-simulated':>16}{'floor':>12}")
    for name in (name for name in figures if f"{name}_floor" in figures):
        print(f"{name:<32}{figures[name]:>16.4f}{figures[f'{name}_floor']:>12.4f}")
    print(f"\n{'figure':<32}{'real':>16}{'simulated':>12}")
    for name in (name.removeprefix("real_") for name in figures if name.startswith("real_")):
        print(f"{name:<32}{figures[f'real_{name}']:>16.4f}{figures[f'simulated_{name}']:>12.4f}")


def plot(path: Path, real: Recovered, simulated: Recovered) -> None:
    """Real (blue) against simulated (orange): pressure by (R, C) and step, u_in, |dp|, settings."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(4, 4, figsize=(18, 16), layout="constrained")
    sides = (("real", real, "tab:blue"), ("simulated", simulated, "tab:orange"))
    pairs = sorted(set(zip(real.R.tolist(), real.C.tolist(), strict=True)))
    with np.errstate(all="ignore"):
        for axis, (R, C) in zip(axes.ravel(), pairs, strict=False):
            for _, breaths, colour in sides:
                chosen = pd.DataFrame(breaths.pressure[(breaths.R == R) & (breaths.C == C), 1:INSPIRATION])
                low, middle, high = (chosen.quantile(q).to_numpy() for q in (0.1, 0.5, 0.9))
                axis.fill_between(range(1, INSPIRATION), low, high, color=colour, alpha=0.25)
                axis.plot(range(1, INSPIRATION), middle, color=colour)
            axis.set_title(f"known pressure, R {R}, C {C}: 10, 50, 90 %")
    quantiles = np.linspace(0.01, 0.99, 99)
    names = ("u_in, inspiration", "u_in, expiration", "|dp|, log scale", "pressure, known rows")
    for axis, name in zip(axes.ravel()[9:13], names, strict=True):
        for side, breaths, colour in sides:
            values = {
                names[0]: breaths.u_in[breaths.u_out == 0],
                names[1]: breaths.u_in[breaths.u_out == 1],
                names[2]: pressure_steps(breaths),
                names[3]: breaths.pressure[breaths.known],
            }[name]
            axis.plot(quantiles, np.quantile(values, quantiles), color=colour, label=side)
        axis.set_title(f"quantiles of {name}")
        axis.set_yscale("symlog", linthresh=0.1) if "log" in name else None
        axis.legend()
    for axis, (name, choices) in zip(
        axes.ravel()[13:], (("kp", KP_VALUES), ("ki", KI_VALUES), ("kt", KT_VALUES)), strict=True
    ):
        for offset, (_, breaths, colour) in zip((-0.2, 0.2), sides, strict=True):
            axis.bar(
                np.arange(len(choices)) + offset, shares(getattr(breaths, name), choices), 0.4, color=colour
            )
        axis.set_xticks(range(len(choices)), [f"{choice:g}" for choice in choices], rotation=90)
        axis.set_title(f"share of {name}")
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    figure.savefig(partial, dpi=70)
    plt.close(figure)
    os.replace(partial, path)


def main(arguments: list[str] | None = None) -> None:
    default = Path(os.environ.get("FORECAST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--real", type=Path, default=default / "ventilator" / "real_breaths_1000.csv.gz")
    parser.add_argument("--breaths", type=int, help="simulated breaths (default: as many as real ones)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="draw the comparison here, .png or .svg")
    options = parser.parse_args(arguments)
    if not options.real.exists():
        parser.error(f"{options.real}: no real breaths there; give --real FILE or set FORECAST_DATA")
    table = pd.read_csv(options.real)
    real = Recovered.of(table)
    count = options.breaths or len(table) // STEPS
    simulated, again = (Recovered.of(simulate(count, seed)) for seed in (options.seed, options.seed + 1))
    figures = compare(real, simulated, again)
    print_figures(figures)
    if options.json:
        partial = options.json.with_name(options.json.name + ".partial")
        partial.write_text(json.dumps(figures, indent=2) + "\n")
        os.replace(partial, options.json)
    if options.plot:
        plot(options.plot, real, simulated)


if __name__ == "__main__":
    main()
