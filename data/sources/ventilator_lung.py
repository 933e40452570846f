"""The plant of the ventilator simulator: inspiratory valve, airway and test lung, one equation each.

With u the valve opening in percent, q the flow in L/s, V the volume in L above rest, p in cmH2O:

    valve     g(u) = 0.528 u / (21 + u) + 0.0057 u, reached after a dead time, times 1 + flutter
    flow      dq/dt = (g(u) - q) / tau
    volume    dV/dt = q - leak V
    pressure  p = rest + gain (R1 q + R2 q^2 + E V + E2 V^2), seen by the sensor through a first-order lag

The constants were fitted to the 18,317 inspiratory pressures recovered from 1,000 real breaths of Kaggle's
Ventilator Pressure Prediction (2021): least squares of the open-loop response to the recorded u_in. Nominal R
are 5, 20, 50 cmH2O/(L/s), nominal C 10, 20, 50 mL/cmH2O: the fit finds R = 50 turbulent (R2) rather than
linear, and E close to 1/C.

Flutter is what the fit leaves over: as soon as the valve stops opening, real pressures swing by 1 to 2 cmH2O
(R = 50) with a period of 4 to 7 rows, as if its poppet had come loose. Here a phase runs from the moment at
which the opening stops, and the amplitude follows within a few rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data.sources.ventilator_controller import Array

SUBSTEPS = 4  # a row: 8 ms each, below every time constant


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
    flutter: Array  # share of the flow by which it swings
    flutter_seconds: Array  # its period
    dead_seconds: float = 0.012
    sensor_seconds: float = 0.02
    outlet_resistance: float = 8.0  # expiratory valve, cmH2O / (L/s)


R1 = {5: 8.4, 20: 14.2, 50: 15.9}
R2 = {5: 0.0, 20: 13.5, 50: 102.0}
E = {10: 129.0, 20: 51.3, 50: 22.3}
E2 = {10: 31.0, 20: 0.0, 50: 15.0}
FLOW_SECONDS = 0.022


class LungState(NamedTuple):
    """Where B breaths stand between two rows, (B,) each."""

    flow: Array  # L/s
    volume: Array  # L
    pressure: Array  # cmH2O, as the sensor shows it
    opening: Array  # u_in of the previous row, percent
    level: Array  # amplitude of the flutter just now, share of the flow
    phase: Array  # of the flutter, radians
    inflow: Array  # g(u) of the previous row, still in force for the dead time, L/s
    outlet: Array  # expiratory valve, 0 closed .. 1 open


def valve_flow(opening: Array) -> Array:
    """Free flow in L/s at an opening in percent."""
    return 0.528 * opening / (21.0 + opening) + 0.0057 * opening


def advance(
    state: LungState, lung: Lung, u_in: Array, turbulence: Array, step_seconds: Array, exhaling: Array
) -> LungState:
    """One row of B breaths: u_in (B,) in percent, held for step_seconds (B,); exhaling (B,) opens the outlet.

    turbulence (B,): by which share this row's inflow differs from the valve's curve.
    """
    inflow = valve_flow(u_in) * (1 + turbulence)
    opens = u_in > 1.03 * state.opening + 0.05
    level = state.level + 0.5 * (np.where(opens, 0.0, lung.flutter) - state.level)
    phase = np.where(state.level < 0.1 * lung.flutter, 0.0, state.phase)
    seconds = step_seconds / SUBSTEPS
    flow_share = 1 - np.exp(-seconds / lung.flow_seconds)
    sensor_share = 1 - np.exp(-seconds / lung.sensor_seconds)
    outlet_share = 1 - np.exp(-seconds / 0.02)
    # outwards, turbulence counts as at 0.3 L/s
    way_out = lung.linear_resistance + 0.3 * lung.turbulent_resistance + lung.outlet_resistance
    flow, volume, pressure, outlet = state.flow, state.volume, state.pressure, state.outlet
    for substep in range(SUBSTEPS):
        previous = np.clip((lung.dead_seconds - substep * seconds) / seconds, 0, 1)
        phase = phase + 2 * np.pi * seconds / lung.flutter_seconds
        wanted = (previous * state.inflow + (1 - previous) * inflow) * (1 - level * np.sin(phase))
        flow = flow + flow_share * (wanted - flow)
        outlet = outlet + outlet_share * (exhaling - outlet)
        # The open outlet is a second way out beside the airway: elastic recoil drives outward flow through
        # both.
        recoil = lung.gain * (lung.elastance * volume + lung.stiffening * volume**2)
        outward = outlet * np.maximum(recoil, 0) / way_out
        into_lung = flow * (1 - 0.9 * outlet) - outward - lung.leak * volume
        volume = np.maximum(volume + into_lung * seconds, -0.005)
        inspiratory = (
            lung.gain * (lung.linear_resistance * flow + lung.turbulent_resistance * flow**2) + recoil
        )
        expiratory = lung.outlet_resistance * (outward + flow)
        true_pressure = lung.rest + (1 - outlet) * inspiratory + outlet * expiratory
        pressure = pressure + sensor_share * (true_pressure - pressure)
    return LungState(flow, volume, pressure, u_in, level, phase, inflow, outlet)
