"""Simulated ventilator breaths: schema, the controller's inversion, and how near they come to real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv
import pytest

from benchmarks.ventilator_calibration import Recovered, compare
from data.sources import ventilator_simulator
from data.sources.ventilator_controller import PRESSURE_GRID, to_grid
from data.sources.ventilator_simulator import FILES, STEPS, simulate, simulate_breaths, write_competition
from tests.real_data import real_data

COLUMNS = ["id", "breath_id", "R", "C", "time_step", "u_in", "u_out", "pressure"]
RC_SHARES = {  # Kaggle's train.csv
    (5, 10): 0.11, (5, 20): 0.11, (5, 50): 0.11, (20, 10): 0.08, (20, 20): 0.08, (20, 50): 0.11,
    (50, 10): 0.18, (50, 20): 0.11, (50, 50): 0.11,
}  # fmt: skip


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return simulate(2_000, seed=3)


def test_frame_has_kaggles_schema(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == COLUMNS
    assert [kind.kind for kind in frame.dtypes] == list("iiiiffif")
    assert np.array_equal(frame["id"], np.arange(1, 2_000 * STEPS + 1))
    breath_id = frame["breath_id"].to_numpy().reshape(-1, STEPS)
    assert (breath_id == breath_id[:, :1]).all()
    gaps = np.diff(breath_id[:, 0])
    assert gaps.min() == 1
    assert gaps.max() > 1
    assert not frame.isna().any(axis=None)


def test_breaths_follow_the_published_facts(frame: pd.DataFrame) -> None:
    breaths = frame.groupby("breath_id")
    counted = frame.iloc[::STEPS].groupby(["R", "C"]).size() / len(breaths)
    for pair, share in RC_SHARES.items():
        assert counted[pair] == pytest.approx(share, abs=0.025), pair
    assert frame["u_in"].between(0, 100).all()
    assert (breaths["time_step"].first() == 0).all()
    assert breaths["time_step"].last().between(2.48, 2.94).all()
    inspiratory = STEPS - breaths["u_out"].sum()
    assert inspiratory.between(28, 32).all()
    assert inspiratory.mean() == pytest.approx(30.4, abs=0.3)
    assert (breaths["u_out"].diff().dropna() >= 0).all()  # switches once, from 0 to 1
    inspiration = frame[frame["u_out"] == 0]
    assert inspiration["pressure"].abs().mean() == pytest.approx(17.65, abs=0.8)  # the MAE of all zeros
    steps = inspiration.groupby("breath_id")["pressure"].diff().abs().dropna()
    assert steps.median() == pytest.approx(0.633, abs=0.1)
    assert steps.quantile(0.99) == pytest.approx(14.7, abs=4)


def test_expiration_shuts_the_valve_and_opens_it_again() -> None:
    breaths = simulate_breaths(500, seed=0)
    resting = (breaths.u_in == 0) & (breaths.u_out == 1)
    ordinary = resting.sum(axis=1) >= 12  # half a second; the others' controllers run on
    assert 0.88 < ordinary.mean() < 0.97
    assert np.median(breaths.u_in[ordinary, -1]) == pytest.approx(4.97, abs=0.02)


def test_same_seed_same_breaths() -> None:
    pd.testing.assert_frame_equal(simulate(50, seed=1), simulate(50, seed=1), check_exact=True)
    assert not np.array_equal(simulate(50, seed=1)["u_in"], simulate(50, seed=2)["u_in"])


def test_pressures_read_back_exactly_on_the_grid(tmp_path: Path) -> None:
    write_competition(tmp_path, train_breaths=300, test_breaths=20, seed=0)
    for reader in (pd.read_csv, lambda path: pyarrow.csv.read_csv(path).to_pandas()):
        pressure = reader(tmp_path / "train.csv")["pressure"].to_numpy()
        assert np.array_equal(pressure, PRESSURE_GRID[to_grid(pressure)])
    assert len(np.unique(PRESSURE_GRID)) == 950
    assert PRESSURE_GRID[-1] == pytest.approx(64.8209917386, abs=1e-9)


def test_written_files_agree_with_each_other(tmp_path: Path) -> None:
    write_competition(tmp_path, train_breaths=30, test_breaths=20, seed=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == list(FILES)
    train, test, sample, solution = (
        pd.read_csv(tmp_path / f"{name}.csv") for name in ("train", "test", "sample_submission", "solution")
    )
    assert list(train.columns) == COLUMNS
    assert list(test.columns) == COLUMNS[:-1]
    assert len(train) == 30 * STEPS
    assert len(test) == 20 * STEPS
    assert list(sample.columns) == list(solution.columns) == ["id", "pressure"]
    assert (sample["pressure"] == 0).all()
    for table in (sample, solution):
        assert np.array_equal(table["id"], test["id"])
    assert not set(train["breath_id"]) & set(test["breath_id"])
    everything = simulate_breaths(50, seed=5)
    written = pd.concat([train, test.assign(pressure=solution["pressure"])]).sort_values(["breath_id", "id"])
    for name in ("u_in", "time_step", "pressure"):
        assert np.array_equal(written[name].to_numpy(), getattr(everything, name).ravel()), name


def test_written_files_are_the_same_bytes_again(tmp_path: Path) -> None:
    for folder in ("one", "two", "one"):  # the last over existing files
        write_competition(tmp_path / folder, train_breaths=20, test_breaths=10, seed=2)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_writer_that_dies_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def dies_on_the_third(path: Path, table: pd.DataFrame) -> None:
        written.append(path)
        path.write_text("id\n")
        if len(written) == 3:
            raise OSError("no space left on device")

    monkeypatch.setattr(ventilator_simulator, "_write_csv", dies_on_the_third)
    with pytest.raises(OSError, match="no space"):
        write_competition(tmp_path, train_breaths=2, test_breaths=2, seed=0)
    assert not [path.name for path in tmp_path.iterdir() if path.suffix == ".csv"]


def _real_breaths(count: int) -> pd.DataFrame:
    return pd.read_csv(real_data("ventilator/real_breaths_1000.csv.gz"), nrows=count * STEPS)


def test_controller_settings_have_the_real_heavy_pairs() -> None:
    inverted = pd.read_csv(real_data("ventilator/pi_controller_params.csv.gz"))
    breaths = simulate_breaths(20_000, seed=0)
    settings = breaths.settings
    usable = ~breaths.other_controller & (settings.ki > 0)
    for kp, ki in [(0, 2), (0, 1), (1, 0.5), (1, 3), (0, 4), (2, 4), (0, 3)]:
        real = (np.isclose(inverted["p_coef"], kp) & np.isclose(inverted["i_coef"], ki)).mean()
        simulated = ((settings.kp == kp) & (settings.ki == ki))[usable].mean()
        assert simulated == pytest.approx(real, abs=0.025), (kp, ki)
    proportional_only = ~breaths.other_controller & (settings.ki == 0)
    assert proportional_only.mean() == pytest.approx(0.025, abs=0.005)


@pytest.mark.slow
def test_simulated_breaths_are_like_real_ones_and_no_easier() -> None:
    """Tolerances: a quarter to a half above the sampling floor, the distance of two simulated sets."""
    count = 1_000
    figures = compare(
        Recovered.of(_real_breaths(count)), Recovered.of(simulate(count, 0)), Recovered.of(simulate(count, 1))
    )
    for name, limit in {
        "pressure_wasserstein_mean": 1.8,  # cmH2O
        "pressure_wasserstein_90": 3.0,
        "pressure_median_gap_mean": 1.8,
        "u_in_wasserstein": 1.5,  # percent
        "pressure_step_wasserstein": 0.12,
        "kp_total_variation": 0.12,
        "ki_total_variation": 0.12,
        "kt_total_variation": 0.08,
    }.items():
        assert figures[name] < limit, (name, figures[name])
    for name, tolerance in {"inverted": 0.03, "known_rows": 0.03, "heavy_pairs": 0.05}.items():
        assert figures[f"simulated_{name}"] == pytest.approx(figures[f"real_{name}"], abs=tolerance), name
    assert figures["simulated_off_grid"] == 0
    assert figures["real_off_grid"] < 1e-9
    # the task must not be easier than the real one, nor another task
    assert 1.0 <= figures["simulated_lightgbm_share"] / figures["real_lightgbm_share"] < 1.4
