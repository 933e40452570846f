"""The plant of the ventilator simulator: inspiratory valve, airway and test lung, one equation each.

With u the valve opening in percent, q the flow in L/s, V the volume in L above rest, p in cmH2O:

    valve     g(u) = 0.643 u / (27.8 + u) + 0.0057 u, reached after a dead time, against the airway's pressure
    flow      dq/dt = (g(u) sqrt(1 - b (p - 6) / 30) - q) / tau
    volume    dV/dt = q - leak V
    pressure  p = rest + gain (R1 q + R2 q^2 + E V + E2 V^2), seen by the sensor through a first-order lag

The constants were fitted to the 18,317 inspiratory pressures recovered from 1,000 real breaths of Kaggle's Ventilator
Pressure Prediction (2021): least squares of the open-loop response to the recorded u_in. Nominal R are 5, 20, 50
cmH2O/(L/s), nominal C 10, 20, 50 mL/cmH2O: the fit finds R = 50 less resistive for small flows and turbulent (R2) for
large ones, and C about a tenth stiffer than printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from data.sources.ventilator_controller import Array

SUBSTEPS = 4  # Euler steps a row: dt / 4 = 8 ms, well under every time constant


@dataclass(frozen=True)
class Lung:
    """Physical constants of B breaths, (B,) each: how one recording session's ventilator and lung behaved."""

    gain: Array  # pressure per printed pressure: 1 as fitted
    rest: Array  # cmH2O, the positive end-expiratory pressure
    linear_resistance: Array  # R1, cmH2O / (L/s)
    turbulent_resistance: Array  # R2, cmH2O / (L/s)^2
    elastance: Array  # E, cmH2O / L
    stiffening: Array  # E2, cmH2O / L^2
    flow_seconds: Array  # tau
    leak: Array  # 1 / s
    back_pressure: float = 0.1
    dead_seconds: float = 0.0122
    sensor_seconds: float = 0.0176
    hysteresis: float = 0.3  # percent of opening that the valve's stem lags behind its command
    outlet_resistance: Array = field(default_factory=lambda: np.array(4.0))  # expiratory valve, cmH2O / (L/s)


R1 = {5: 5.96, 20: 12.5, 50: 22.7}
R2 = {5: 2.0, 20: 8.3, 50: 102.0}
E = {10: 109.0, 20: 54.3, 50: 22.7}
E2 = {10: 26.0, 20: 0.0, 50: 2.1}


class LungState(NamedTuple):
    """Where B breaths stand between two rows, (B,) each."""

    flow: Array  # L/s
    volume: Array  # L
    pressure: Array  # cmH2O, as the sensor shows it
    stem: Array  # valve opening after hysteresis, percent
    inflow: Array  # g(u) of the previous row, still in force for the dead time, L/s
    outlet: Array  # expiratory valve, 0 closed .. 1 open


def valve_flow(opening: Array) -> Array:
    """Free flow in L/s at an opening in percent."""
    return 0.643 * opening / (27.8 + opening) + 0.0057 * opening


def advance(state: LungState, lung: Lung, u_in: Array, step_seconds: Array, exhaling: Array) -> LungState:
    """One row of B breaths: u_in (B,) in percent, held for step_seconds (B,); exhaling (B,) opens the outlet."""
    stem = np.clip(state.stem, u_in - lung.hysteresis, u_in + lung.hysteresis).clip(0, 100)
    inflow = valve_flow(stem)
    seconds = step_seconds / SUBSTEPS
    flow_share = 1 - np.exp(-seconds / lung.flow_seconds)
    sensor_share = 1 - np.exp(-seconds / lung.sensor_seconds)
    outlet_share = 1 - np.exp(-seconds / 0.02)
    flow, volume, pressure, outlet = state.flow, state.volume, state.pressure, state.outlet
    for substep in range(SUBSTEPS):
        previous = np.clip((lung.dead_seconds - substep * seconds) / seconds, 0, 1)
        wanted = previous * state.inflow + (1 - previous) * inflow
        wanted = wanted * np.sqrt(np.clip(1 - lung.back_pressure * (pressure - 6) / 30, 0.05, None))
        flow = flow + flow_share * (wanted - flow)
        outlet = outlet + outlet_share * (exhaling - outlet)
        # The open outlet is a second way out beside the airway: elastic recoil drives outward flow through both.
        recoil = lung.gain * (lung.elastance * volume + lung.stiffening * volume**2)
        outward = outlet * np.maximum(recoil, 0) / (lung.linear_resistance + lung.outlet_resistance)
        into_lung = flow * (1 - 0.9 * outlet) - outward - lung.leak * volume
        volume = np.maximum(volume + into_lung * seconds, -0.005)
        inspiratory = lung.gain * (lung.linear_resistance * flow + lung.turbulent_resistance * flow**2) + recoil
        expiratory = lung.outlet_resistance * (outward + flow)
        true_pressure = lung.rest + (1 - outlet) * inspiratory + outlet * expiratory
        pressure = pressure + sensor_share * (true_pressure - pressure)
    return LungState(flow, volume, pressure, stem, inflow, outlet)
