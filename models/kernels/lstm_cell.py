"""The LSTM's arithmetic between the products: forward and backward (models/kernels/rowwise.py).

    c_t = f c_{t-1} + i g,    h_t = o s(c_t),    i, f, o = sigmoid(.),  g = s(.)

with s = tanh, or softplus (models/mixers/softplus_lstm.py). Of s(x) both passes want the value, and its
derivative where only the value is left: 1 - s^2 and 1 - e^-s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from models.kernels.rowwise import BACKWARD, FORWARD, Row, rowwise
from models.kernels.vectors import Vector, expm1, sigmoid, softplus, tanh


class _Squash(NamedTuple):
    value: Callable[[Vector], Vector]
    slope: Callable[[Vector], Vector]  # of what `value` gave


_TANH = _Squash(tanh, lambda value: 1.0 - value * value)
_SOFTPLUS = _Squash(softplus, lambda value: expm1(value * -1.0) * -1.0)


def _forward(squash: _Squash, order: str) -> Any:
    def body(row: Row, blocks: list[Any]) -> None:
        gate = dict(zip(order, blocks, strict=True))
        entering, forget, output = (sigmoid(row.load("gates", gate[name])) for name in "ifo")
        candidate = squash.value(row.load("gates", gate["g"]))
        cell = forget.times_plus(row.load("cell_before"), entering * candidate)
        for name, value in zip("ifog", (entering, forget, output, candidate), strict=True):
            row.store("gates", value, gate[name])
        row.store("cell", cell)
        row.store("hidden", output * squash.value(cell))

    return rowwise(FORWARD, body)


def _backward(squash: _Squash, order: str) -> Any:
    def body(row: Row, blocks: list[Any]) -> None:
        gate = dict(zip(order, blocks, strict=True))
        entering, forget, output, candidate = (row.load("gates", gate[name]) for name in "ifog")
        shown = squash.value(row.load("cell"))
        d_hidden = row.load("d_output") + row.load("d_hidden")
        d_cell = row.load("d_cell") + d_hidden * output * squash.slope(shown)
        row.store("gates", d_cell * candidate * entering * (1.0 - entering), gate["i"])
        row.store("gates", d_cell * row.load("cell_before") * forget * (1.0 - forget), gate["f"])
        row.store("gates", d_hidden * shown * output * (1.0 - output), gate["o"])
        row.store("gates", d_cell * entering * squash.slope(candidate), gate["g"])
        row.store("d_cell", d_cell * forget)

    return rowwise(BACKWARD, body)


#: Gates in PyTorch's order; and in that of the softplus LSTM's parameters.
forward_tanh, backward_tanh = _forward(_TANH, "ifgo"), _backward(_TANH, "ifgo")
forward_softplus, backward_softplus = _forward(_SOFTPLUS, "oifg"), _backward(_SOFTPLUS, "oifg")
