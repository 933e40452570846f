"""Ventilator Pressure Prediction without Kaggle's files: simulated breaths in the competition's schema.

A breath is a closed loop: every row the controller (ventilator_controller) reads the sensor's pressure, adds
exploration noise and sets the inspiratory valve; the lung (ventilator_lung) answers by the next row. Kaggle's
data came from a few recording sessions for each (R, C), and so do these: ventilator_sessions gives each one's
clock and gain, as measured on real breaths. benchmarks/ventilator_calibration.py compares the result with
1,000 real breaths.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

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
from data.sources.ventilator_sessions import SESSIONS

VERSION = 1  # part of whatever caches these breaths: raise it when a breath of the same seed changes
STEPS = 80
INSPIRATION_SECONDS = 1.0
REST_SECONDS = 0.5  # the valve stays shut this long after inspiration, then opens towards 5 percent

# In the order in which they appear.
FILES = ("sample_submission.csv", "solution.csv", "test.csv", "train.csv")


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
    """So many breaths in the schema of Kaggle's train.csv: id counts from 1, breath_id has gaps."""
    gaps = np.random.default_rng([seed, 1]).geometric(
        0.6, size=breaths
    )  # 60 % of the ids are here, as in train.csv
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
    controller = _Controller.draw(session, clock, generator)
    lung, state = _lung(session, resistance, compliance, continuous, generator)
    exhaling = clock >= INSPIRATION_SECONDS

    u_in = np.empty((breaths, STEPS))
    pressure = np.empty((breaths, STEPS))
    for row in range(STEPS):
        sensed = state.pressure + generator.normal(0, SENSOR_NOISE, breaths)
        pressure[:, row] = PRESSURE_GRID[to_grid(sensed)]
        u_in[:, row] = controller.command(row, pressure[:, row])
        turbulence = generator.normal(0, TURBULENCE, breaths)
        open_outlet = exhaling[:, row].astype(float)
        state = lung_model.advance(state, lung, u_in[:, row], turbulence, step_seconds[:, row], open_outlet)
    return Breaths(
        R=resistance,
        C=compliance,
        time_step=np.round(clock - clock[:, :1], 7),
        u_in=u_in,
        u_out=exhaling.astype(np.int64),
        pressure=pressure,
        settings=controller.settings,
        other_controller=controller.other,
    )


SENSOR_NOISE = 0.06  # cmH2O, standard deviation, before rounding to the grid
TURBULENCE = 0.07  # of a row's inflow, standard deviation
GAIN_SPREAD = {5: 0.07, 20: 0.07, 50: 0.12}  # of log gain, from breath to breath about its session's
REST_PRESSURE = {5: 5.7, 20: 5.4, 50: 5.2}  # cmH2O, by R
LEAKY_SHARE = 0.04  # breaths that reach only half to four fifths of their pressure


def _clock(session: NDArray[np.int64], generator: np.random.Generator) -> Array:
    """Seconds since the breath began at each row and one more, (B, 81), logged to 0.1 microseconds."""
    breaths = len(session)
    mean = np.array([s.step_seconds for s in SESSIONS])[session] + generator.normal(0, 3e-5, breaths)
    # the logger loses a millisecond on about every fourth row of some breaths
    late = generator.random((breaths, STEPS)) < 0.25 * generator.integers(0, 2, (breaths, 1))
    step = (
        mean[:, None]
        + generator.normal(0, 5e-5, (breaths, STEPS))
        + 8e-4 * (late - late.mean(axis=1, keepdims=True))
    )
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

    def by(values: NDArray[np.int64], table: dict[int, float]) -> Array:
        choices = np.array(sorted(table))
        return np.array([table[choice] for choice in choices.tolist()])[np.searchsorted(choices, values)]

    def near(constant: Array) -> Array:
        return constant * np.exp(generator.normal(0, 0.02, breaths))

    leaky = np.where(generator.random(breaths) < LEAKY_SHARE, generator.uniform(0.5, 0.8, breaths), 1.0)
    spread = np.exp(by(resistance, GAIN_SPREAD) * generator.normal(size=breaths))
    gain = np.array([s.gain for s in SESSIONS])[session] * spread * leaky
    # lower where the previous breath left the lung emptier
    emptier = generator.exponential(0.9, breaths) * (generator.random(breaths) < 0.25)
    usual = by(resistance, REST_PRESSURE) + generator.normal(0, 0.25, breaths) - emptier
    rest = np.where(continuous, generator.uniform(2.4, 4.4, breaths), usual)
    lung = Lung(
        gain=gain,
        rest=np.clip(rest, 1.4, 7.2),
        linear_resistance=near(by(resistance, lung_model.R1)),
        turbulent_resistance=near(by(resistance, lung_model.R2)),
        elastance=near(by(compliance, lung_model.E)),
        stiffening=near(by(compliance, lung_model.E2)),
        flow_seconds=lung_model.FLOW_SECONDS * np.exp(generator.normal(0, 0.05, breaths)),
        leak=np.abs(generator.normal(0, 0.1, breaths)),
        flutter=generator.uniform(0.10, 0.30, breaths),
        flutter_seconds=generator.uniform(0.13, 0.2, breaths),
    )
    still = np.zeros(breaths)
    state = LungState(still, still, lung.rest, still, still, still, still, still)
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
    def draw(cls, session: NDArray[np.int64], clock: Array, generator: np.random.Generator) -> _Controller:
        breaths = len(clock)
        settings = draw_settings(
            np.array([s.tuned or (np.nan, np.nan) for s in SESSIONS])[session], generator
        )
        other = generator.random(breaths) < np.array([s.other for s in SESSIONS])[session]
        continuous = np.array([s.continuous for s in SESSIONS])[session]
        share = filter_share(np.diff(clock, axis=1, prepend=clock[:, :1]))
        # Another controller: gains and target between the grids' values, and a memory of its own.
        between = np.where(other, np.exp(generator.normal(0, 0.2, breaths)), 1.0)
        settings = ControllerSettings(
            settings.kp * between, settings.ki * between, settings.kt * between**0.5
        )
        share = np.where(other[:, None], share * generator.uniform(0.3, 2.0, (breaths, 1)), share)
        # The integral has seen one short step when the clock's first row comes late, and a whole breath if
        # continuous.
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
        # twelve decimals, as PRESSURE_GRID: every reader of the CSV sees the very command that was given
        command: Array = np.where(clock < INSPIRATION_SECONDS, steered, expiration)
        return command.round(12)


def _exploration(clock: Array, other: NDArray[np.bool_], generator: np.random.Generator) -> Array:
    """Noise on u_in during inspiration, (B, 80), percent: 85 % a triangular bump, 15 % an early decay."""
    breaths = len(clock)
    shape = (breaths, 1)
    duration = generator.uniform(0.1, 0.5, shape)
    start = generator.uniform(0, 1, shape)
    bump = generator.uniform(-30, 30, shape) * np.clip(
        1 - np.abs(2 * (clock - start) / duration - 1), 0, None
    )
    decays = (generator.random(breaths) < 0.15) | (other & (generator.random(breaths) < 0.4))
    # the other controllers' decay lasts for much of the breath
    length = np.where(other[:, None], generator.uniform(0.3, 1.5, shape), generator.uniform(0.05, 0.3, shape))
    decay = generator.uniform(0, 100, shape) * np.clip(1 - clock / length, 0, None)
    return np.where(clock < INSPIRATION_SECONDS, np.where(decays[:, None], decay, bump), 0.0)


def write_competition(folder: Path, train_breaths: int, test_breaths: int, seed: int) -> None:
    """train.csv, test.csv, sample_submission.csv and solution.csv (id, pressure of test.csv) in `folder`.

    Breaths go to train and test at random, as Kaggle's did, so both breath_ids have gaps. Every file is
    written aside and renamed, train.csv last: where it exists, all four are whole. The same arguments give
    the same bytes.
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
