"""Ventilator Pressure Prediction without Kaggle's files: simulated breaths in the competition's schema.

A breath is a closed loop: every row the controller (ventilator_controller) reads the sensor's pressure, adds
exploration noise and sets the inspiratory valve; the lung (ventilator_lung) answers by the next row. Kaggle's data
came from a few recording sessions for each (R, C), and so do these: `SESSIONS` gives each one's clock and gain, as
measured on real breaths. benchmarks/ventilator_calibration.py compares the result with 1,000 real breaths.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from data.sources import ventilator_lung as lung_model
from data.sources.ventilator_controller import (
    PRESSURE_GRID,
    Array,
    ControllerSettings,
    draw_settings,
    filter_share,
    to_grid,
)
from data.sources.ventilator_lung import Lung, LungState

VERSION = 1  # part of whatever caches these breaths: raise it when a breath of the same seed changes
STEPS = 80
INSPIRATION_SECONDS = 1.0
REST_SECONDS = 0.5  # the valve stays shut this long after inspiration, then opens towards 5 percent

FILES = ("sample_submission.csv", "solution.csv", "test.csv", "train.csv")  # in the order in which they appear


class Session(NamedTuple):
    """One recording session of one (R, C)."""

    R: int
    C: int
    share: float  # of all breaths
    step_seconds: float  # mean distance of two rows
    gain: float  # measured pressure over the plant's, from real breaths
    continuous: bool = False  # the controller also runs on expiration, towards 5 cmH2O


SESSIONS = (
    Session(5, 10, 0.025, 0.03216, 0.99),
    Session(5, 10, 0.060, 0.03377, 0.86),
    Session(5, 10, 0.025, 0.03447, 1.04),
    Session(5, 20, 0.080, 0.03186, 0.98),
    Session(5, 20, 0.030, 0.03450, 1.02),
    Session(5, 50, 0.032, 0.03216, 0.98),
    Session(5, 50, 0.050, 0.03406, 1.00),
    Session(5, 50, 0.028, 0.03445, 0.97),
    Session(20, 10, 0.022, 0.03215, 0.90),
    Session(20, 10, 0.058, 0.03376, 1.02),
    Session(20, 20, 0.026, 0.03202, 1.30),
    Session(20, 20, 0.054, 0.03404, 0.95),
    Session(20, 50, 0.036, 0.03201, 1.04),
    Session(20, 50, 0.055, 0.03403, 1.02),
    Session(20, 50, 0.019, 0.03440, 1.30),
    Session(50, 10, 0.063, 0.03170, 0.92),
    Session(50, 10, 0.045, 0.03339, 0.72, continuous=True),
    Session(50, 10, 0.027, 0.03388, 0.75, continuous=True),
    Session(50, 10, 0.045, 0.03449, 0.94),
    Session(50, 20, 0.085, 0.03202, 1.00),
    Session(50, 20, 0.025, 0.03450, 0.99),
    Session(50, 50, 0.050, 0.03175, 1.00),
    Session(50, 50, 0.034, 0.03205, 1.15),
    Session(50, 50, 0.026, 0.03449, 0.97),
)


@dataclass(frozen=True)
class Breaths:
    """B simulated breaths: (B, 80) a row, (B,) a breath. Pressures lie on PRESSURE_GRID."""

    R: NDArray[np.int64]
    C: NDArray[np.int64]
    time_step: Array  # s
    u_in: Array  # percent
    u_out: NDArray[np.int64]
    pressure: Array  # cmH2O
    settings: ControllerSettings  # kp, ki, kt
    other_controller: NDArray[np.bool_]  # steered off the grids of kp, ki, kt: cannot be inverted

    def __len__(self) -> int:
        return len(self.R)

    def frame(self, breath_id: NDArray[np.int64]) -> pd.DataFrame:
        """Kaggle's columns, 80 rows a breath, id counting from 1."""
        return pd.DataFrame(
            {
                "id": np.arange(1, len(self) * STEPS + 1),
                "breath_id": np.repeat(breath_id, STEPS),
                "R": np.repeat(self.R, STEPS),
                "C": np.repeat(self.C, STEPS),
                "time_step": self.time_step.ravel(),
                "u_in": self.u_in.ravel(),
                "u_out": self.u_out.ravel(),
                "pressure": self.pressure.ravel(),
            }
        )


def simulate(breaths: int, seed: int) -> pd.DataFrame:
    """`breaths` breaths in the schema of Kaggle's train.csv: 80 rows each; id counts from 1, breath_id has gaps."""
    gaps = np.random.default_rng([seed, 1]).geometric(0.6, size=breaths)  # 60 % of the ids are here, as in train.csv
    return simulate_breaths(breaths, seed).frame(np.cumsum(gaps))


def simulate_breaths(breaths: int, seed: int) -> Breaths:
    """The same breaths as arrays, with what the controller hid. The same seed gives the same breaths."""
    generator = np.random.default_rng([seed, 0])
    shares = np.array([session.share for session in SESSIONS])
    session = generator.choice(len(SESSIONS), size=breaths, p=shares / shares.sum())
    resistance, compliance = (np.array([getattr(s, name) for s in SESSIONS])[session] for name in "RC")
    continuous = np.array([s.continuous for s in SESSIONS])[session]
    clock = _clock(session, generator)
    step_seconds = np.diff(clock, axis=1)
    clock = clock[:, :STEPS]
    controller = _Controller.draw(clock, continuous, generator)
    lung, state = _lung(session, resistance, compliance, continuous, generator)
    exhaling = clock >= INSPIRATION_SECONDS

    u_in = np.empty((breaths, STEPS))
    pressure = np.empty((breaths, STEPS))
    for row in range(STEPS):
        sensed = state.pressure + generator.normal(0, SENSOR_NOISE, breaths)
        pressure[:, row] = PRESSURE_GRID[to_grid(sensed)]
        u_in[:, row] = controller.command(row, pressure[:, row])
        state = lung_model.advance(state, lung, u_in[:, row], step_seconds[:, row], exhaling[:, row].astype(float))
    return Breaths(
        R=resistance,
        C=compliance,
        time_step=clock - clock[:, :1],
        u_in=u_in,
        u_out=exhaling.astype(np.int64),
        pressure=pressure,
        settings=controller.settings,
        other_controller=controller.other,
    )


SENSOR_NOISE = 0.06  # cmH2O, standard deviation, before rounding to the grid
GAIN_SPREAD = 0.04  # from breath to breath, about its session's gain
OTHER_SHARE = 0.08


def _clock(session: NDArray[np.int64], generator: np.random.Generator) -> Array:
    """Seconds since the breath's start of every row and the one after, (B, 81): as logged, to 0.1 microseconds."""
    breaths = len(session)
    mean = np.array([s.step_seconds for s in SESSIONS])[session] + generator.normal(0, 3e-5, breaths)
    # the logger loses a millisecond on about every fourth row of some breaths
    late = generator.random((breaths, STEPS)) < 0.25 * generator.integers(0, 2, (breaths, 1))
    step = mean[:, None] + generator.normal(0, 5e-5, (breaths, STEPS)) + 8e-4 * (late - late.mean(axis=1, keepdims=True))
    start = generator.random((breaths, 1)) * mean[:, None]
    return np.round(np.cumsum(np.concatenate([start, step], axis=1), axis=1), 7)


def _lung(
    session: NDArray[np.int64],
    resistance: NDArray[np.int64],
    compliance: NDArray[np.int64],
    continuous: NDArray[np.bool_],
    generator: np.random.Generator,
) -> tuple[Lung, LungState]:
    """The plant of each breath, and the state in which the previous breath left it."""
    breaths = len(session)
    gain = np.array([s.gain for s in SESSIONS])[session] * np.exp(generator.normal(0, GAIN_SPREAD, breaths))
    # below its usual level where the previous breath was still flowing out
    undershoot = generator.exponential(0.9, breaths) * (generator.random(breaths) < 0.25)
    rest = np.where(continuous, generator.uniform(2.4, 4.4, breaths), generator.normal(6.1, 0.2, breaths) - undershoot)

    def by(values: NDArray[np.int64], table: dict[int, float]) -> Array:
        spread = np.exp(generator.normal(0, 0.02, breaths))
        return np.vectorize(table.__getitem__, otypes=[float])(values) * spread

    lung = Lung(
        gain=gain,
        rest=np.clip(rest, 1.4, 7.2),
        linear_resistance=by(resistance, lung_model.R1),
        turbulent_resistance=by(resistance, lung_model.R2),
        elastance=by(compliance, lung_model.E),
        stiffening=by(compliance, lung_model.E2),
        flow_seconds=0.030 * np.exp(generator.normal(0, 0.05, breaths)),
        leak=np.abs(generator.normal(0, 0.1, breaths)),
    )
    still = np.zeros(breaths)
    state = LungState(still, still, lung.rest, still, still, np.zeros(breaths))
    return lung, state


@dataclass
class _Controller:
    """The controllers of B breaths and their running integral."""

    settings: ControllerSettings
    other: NDArray[np.bool_]
    continuous: NDArray[np.bool_]
    clock: Array  # (B, 80)
    noise: Array  # (B, 80), percent
    share: Array  # (B, 80), weight of the newest error in the integral
    integral: Array  # (B,)

    @classmethod
    def draw(cls, clock: Array, continuous: NDArray[np.bool_], generator: np.random.Generator) -> _Controller:
        breaths = len(clock)
        settings = draw_settings(breaths, generator)
        other = generator.random(breaths) < OTHER_SHARE
        share = filter_share(np.diff(clock, axis=1, prepend=clock[:, :1]))
        # Another controller: gains and target between the grids' values, and a memory of its own.
        between = np.where(other, np.exp(generator.normal(0, 0.2, breaths)), 1.0)
        settings = ControllerSettings(settings.kp * between, settings.ki * between, settings.kt * between**0.5)
        share = np.where(other[:, None], share * generator.uniform(0.3, 2.0, (breaths, 1)), share)
        # The integral has seen one short step when the clock's first row comes late, and a whole breath if continuous.
        late = (clock[:, 0] > 0.02) & (generator.random(breaths) < 0.5)
        integral = np.where(continuous, 1.2, late * filter_share(clock[:, 0]) * (settings.kt - 6) * 0.5)
        noise = _exploration(clock, other, generator)
        return cls(settings, other, continuous, clock, noise, share, integral)

    def command(self, row: int, pressure: Array) -> Array:
        """u_in of one row in percent, (B,), from the grid pressures it sees, (B,)."""
        clock = self.clock[:, row]
        kp, ki, kt = self.settings
        ramp = np.clip((clock - INSPIRATION_SECONDS) / REST_SECONDS, 0, 1)
        error = kt + (5 - kt) * ramp - pressure
        self.integral = self.integral + self.share[:, row] * (error - self.integral)
        steered = np.clip(kp * error + ki * self.integral + self.noise[:, row], 0, 100)
        since_rest = np.maximum(clock - INSPIRATION_SECONDS - REST_SECONDS, 0)
        expiration = np.where(self.continuous, steered, 5 * (1 - np.exp(-5 * since_rest)))
        return np.where(clock < INSPIRATION_SECONDS, steered, expiration)


def _exploration(clock: Array, other: NDArray[np.bool_], generator: np.random.Generator) -> Array:
    """Noise on u_in during inspiration, (B, 80), percent: 85 % a triangular bump, 15 % a decay from the start."""
    breaths = len(clock)
    shape = (breaths, 1)
    duration = generator.uniform(0.1, 0.5, shape)
    start = generator.uniform(0, 1, shape)
    bump = generator.uniform(-30, 30, shape) * np.clip(1 - np.abs(2 * (clock - start) / duration - 1), 0, None)
    decays = (generator.random(breaths) < 0.15) | (other & (generator.random(breaths) < 0.4))
    # the other controllers' decay lasts for much of the breath
    length = np.where(other[:, None], generator.uniform(0.3, 1.5, shape), generator.uniform(0.05, 0.3, shape))
    decay = generator.uniform(0, 100, shape) * np.clip(1 - clock / length, 0, None)
    return np.where(clock < INSPIRATION_SECONDS, np.where(decays[:, None], decay, bump), 0.0)


def write_competition(folder: Path, train_breaths: int, test_breaths: int, seed: int) -> None:
    """train.csv, test.csv, sample_submission.csv and solution.csv (id, pressure of test.csv) in `folder`.

    Breaths go to train and test at random, as Kaggle's did, so both breath_ids have gaps. Every file is written aside
    and renamed, train.csv last: where it exists, all four are whole. The same arguments give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = train_breaths + test_breaths
    frame = simulate_breaths(total, seed).frame(np.arange(total))
    tested = np.zeros(total, dtype=bool)
    tested[np.random.default_rng([seed, 2]).permutation(total)[:test_breaths]] = True
    rows = np.repeat(tested, STEPS)
    train, test = (part.assign(id=np.arange(1, len(part) + 1)) for part in (frame[~rows], frame[rows]))
    tables = {
        "sample_submission.csv": test[["id"]].assign(pressure=0),
        "solution.csv": test[["id", "pressure"]],
        "test.csv": test.drop(columns="pressure"),
        "train.csv": train,
    }
    for name in FILES:
        _write_csv(folder / f"{name}.partial", tables[name])
    for name in FILES:
        os.replace(folder / f"{name}.partial", folder / name)


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    """Shortest decimals that read back as the same float; many times faster than pandas' own writer."""
    with open(path, "wb") as stream:
        stream.write((",".join(table.columns) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
        pyarrow.csv.write_csv(pa.Table.from_pandas(table, preserve_index=False), stream, options)
