"""pLSTM's arithmetic between the products: forward and backward (models/kernels/rowwise.py).

Both follow `models.kernels.reference`. f = y^p with y = (D + eps) / (D + 1); 1 - y = (1 - eps) / (D + 1) is
used beside it, so that 1 - f is exact for a large D too.
"""

from __future__ import annotations

from typing import Any

from models.kernels.reference import EPSILON
from models.kernels.rowwise import BACKWARD, FORWARD, Row, rowwise
from models.kernels.vectors import Vector, expm1, log, sigmoid, sigmoid_and_rest, tanh


def _retention(row: Row, clock: Vector) -> tuple[Vector, Vector, Vector]:
    """1 - y, log y and f - 1 for D = clock."""
    inverse = 1.0 / (clock + 1.0)
    below_one = inverse * (1.0 - EPSILON)
    logarithm = log((clock + EPSILON) * inverse, below_one)
    return below_one, logarithm, expm1(row.load("power") * logarithm)


def _forward(gates: int) -> Any:
    def body(row: Row, gate: list[Any]) -> None:
        reset, leak = sigmoid_and_rest(row.load("gates", gate[0]))
        output = sigmoid(row.load("gates", gate[1]))
        candidate = tanh(row.load("gates", gate[2]))
        clock = leak.times_plus(row.load("clock_before") + 1.0, reset * EPSILON)
        _, _, lost = _retention(row, clock)
        before = row.load("cell_before")
        if gates == 4:
            entering = sigmoid(row.load("gates", gate[3]))
            row.store("gates", entering, gate[3])
            cell = lost.times_plus(before, before) + entering * candidate
        else:
            cell = lost.times_plus(before - candidate, before)
        for place, value in enumerate((reset, output, candidate)):
            row.store("gates", value, gate[place])
        row.store("clock", clock)
        row.store("cell", cell)
        row.store("hidden", output * tanh(cell))

    return rowwise(FORWARD, body)


def _backward(gates: int) -> Any:
    def body(row: Row, gate: list[Any]) -> None:
        reset, output, candidate = (row.load("gates", gate[place]) for place in range(3))
        old, clock, before = row.load("clock_before"), row.load("clock"), row.load("cell_before")
        shown = tanh(row.load("cell"))
        d_hidden = row.load("d_output") + row.load("d_hidden")
        d_cell = row.load("d_cell") + d_hidden * output * (1.0 - shown * shown)
        below_one, logarithm, lost = _retention(row, clock)
        kept = lost + 1.0
        if gates == 4:
            entering = row.load("gates", gate[3])
            row.store("gates", d_cell * candidate * entering * (1.0 - entering), gate[3])
            d_kept = d_cell * before
        else:
            entering = lost * -1.0
            d_kept = d_cell * (before - candidate)
        d_logarithm = d_kept * kept
        row.store("d_power", row.load("d_power") + d_logarithm * logarithm)
        d_clock = row.load("d_clock") + d_logarithm * row.load("power") * below_one / (clock + EPSILON)
        row.store("gates", d_clock * (EPSILON - 1.0 - old) * reset * (1.0 - reset), gate[0])
        row.store("gates", d_hidden * shown * output * (1.0 - output), gate[1])
        row.store("gates", d_cell * entering * (1.0 - candidate * candidate), gate[2])
        row.store("d_cell", d_cell * kept)
        row.store("d_clock", d_clock * (1.0 - reset))

    return rowwise(BACKWARD, body)


#: By their gates.
forward_3, forward_4 = _forward(3), _forward(4)
backward_3, backward_4 = _backward(3), _backward(4)
