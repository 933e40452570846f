"""The recording sessions that simulated breaths come from, after those found in real ones.

Within one (R, C), the mean time step tells the sessions of Kaggle's Ventilator Pressure Prediction (2021)
apart. In 1,000 real breaths each session proved to have either one (kp, ki) throughout or a sweep over their
grids; together they make the heavy pairs that the 41,720 inverted breaths of Kaggle's test set show: (0, 2),
(0, 1), (1, 0.5), (1, 3), (0, 4), (2, 4), (0, 3). Gains are what the plant of ventilator_lung lacks to each
session's known pressures, by least squares, a few of them moved by up to 12 % to bring the closed loop nearer
to the real one.
"""

from __future__ import annotations

from typing import NamedTuple


class Session(NamedTuple):
    """One recording session of one (R, C)."""

    R: int
    C: int
    share: float  # of all breaths
    step_seconds: float  # mean distance of two rows
    gain: float  # measured pressure over the plant's
    tuned: tuple[float, float] | None = None  # kp and ki of all its breaths; None: a sweep over their grids
    other: float = 0.0  # share of its breaths that another controller steered
    continuous: bool = False  # the controller also runs on expiration, towards 5 cmH2O


SESSIONS = (
    Session(5, 10, 0.025, 0.03216, 0.91, tuned=(1, 0.5), other=0.22),
    Session(5, 10, 0.060, 0.03377, 0.93),
    Session(5, 10, 0.027, 0.03446, 0.78, tuned=(1, 0.5)),
    Session(5, 20, 0.021, 0.03189, 0.98, tuned=(1, 3), other=0.22),
    Session(5, 20, 0.060, 0.03186, 1.03),
    Session(5, 20, 0.032, 0.03450, 0.98, tuned=(1, 3)),
    Session(5, 50, 0.033, 0.03216, 0.97, tuned=(2, 4), other=0.22),
    Session(5, 50, 0.050, 0.03406, 1.00),
    Session(5, 50, 0.028, 0.03445, 0.97, tuned=(2, 4)),
    Session(20, 10, 0.024, 0.03215, 0.80, tuned=(1, 0.5), other=0.22),
    Session(20, 10, 0.056, 0.03376, 0.92),
    Session(20, 20, 0.028, 0.03203, 1.48, tuned=(0, 3), other=0.12),
    Session(20, 20, 0.052, 0.03404, 0.92),
    Session(20, 50, 0.036, 0.03202, 0.98, tuned=(0, 4), other=0.22),
    Session(20, 50, 0.051, 0.03403, 0.95),
    Session(20, 50, 0.023, 0.03444, 1.27, tuned=(0, 4)),
    Session(50, 10, 0.040, 0.03168, 0.90),
    Session(50, 10, 0.024, 0.03192, 0.95, tuned=(0, 1)),
    Session(50, 10, 0.050, 0.03339, 0.82, continuous=True),
    Session(50, 10, 0.034, 0.03386, 0.78, tuned=(0, 1), continuous=True),
    Session(50, 10, 0.030, 0.03448, 0.93, tuned=(0, 1), other=0.10),
    Session(50, 20, 0.048, 0.03202, 1.22),
    Session(50, 20, 0.034, 0.03200, 1.22, tuned=(0, 2), other=0.24),
    Session(50, 20, 0.028, 0.03448, 1.34, tuned=(0, 2)),
    Session(50, 50, 0.052, 0.03175, 1.25),
    Session(50, 50, 0.034, 0.03203, 1.47, tuned=(0, 2), other=0.22),
    Session(50, 50, 0.030, 0.03447, 1.19, tuned=(0, 2)),
)
