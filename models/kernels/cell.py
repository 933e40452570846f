"""pLSTM's arithmetic between the products, a row of units at a time: forward and backward.

Both follow `models.kernels.reference`. f = y^p with y = (D + eps) / (D + 1); 1 - y = (1 - eps) / (D + 1) is
used beside it, so that 1 - f is exact for a large D too. A row has a multiple of WIDTH units; addresses are
those of its first number.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from models.kernels.reference import EPSILON
from models.kernels.vectors import (
    FLOAT,
    WIDTH,
    Vector,
    expm1,
    load,
    log,
    sigmoid,
    sigmoid_and_rest,
    store,
    tanh,
)


class _Row:
    """The pointers of one call, and the unit at which the loop stands."""

    def __init__(self, builder: ir.IRBuilder, addresses: dict[str, Any], index: Any) -> None:
        self.builder, self.addresses, self.index = builder, addresses, index

    def _at(self, name: str, block: Any) -> Any:
        pointer = self.builder.inttoptr(self.addresses[name], FLOAT.as_pointer())
        place = self.index if block is None else self.builder.add(self.index, block)
        return self.builder.gep(pointer, [place])

    def load(self, name: str, block: Any = None) -> Vector:
        return load(self.builder, self._at(name, block))

    def store(self, name: str, value: Vector, block: Any = None) -> None:
        store(value, self._at(name, block))


def _rowwise(names: tuple[str, ...], body: Any) -> Any:
    """An intrinsic f(*addresses, units) that runs `body(row, offsets of the gates)` over a row's units."""

    @intrinsic
    def over_units(typingctx, arguments):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
            (packed,) = values
            given = cgutils.unpack_tuple(builder, packed, len(names) + 1)
            units = given[-1]
            vectors = builder.sdiv(units, units.type(WIDTH))
            with cgutils.for_range(builder, vectors) as loop:
                row = _Row(
                    builder, dict(zip(names, given, strict=False)), builder.mul(loop.index, units.type(WIDTH))
                )
                body(row, [builder.mul(units, units.type(gate)) for gate in range(4)])
            return context.get_dummy_value()

        return types.void(arguments), codegen

    return over_units


def _retention(row: _Row, clock: Vector) -> tuple[Vector, Vector, Vector]:
    """1 - y, log y and f - 1 for D = clock."""
    inverse = 1.0 / (clock + 1.0)
    below_one = inverse * (1.0 - EPSILON)
    logarithm = log((clock + EPSILON) * inverse, below_one)
    return below_one, logarithm, expm1(row.load("power") * logarithm)


def _forward(gates: int) -> Any:
    def body(row: _Row, gate: list[Any]) -> None:
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

    return _rowwise(("gates", "cell_before", "clock_before", "cell", "clock", "hidden", "power"), body)


def _backward(gates: int) -> Any:
    def body(row: _Row, gate: list[Any]) -> None:
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

    names = (
        "gates",
        "cell_before",
        "clock_before",
        "cell",
        "clock",
        "d_output",
        "d_hidden",
        "d_cell",
        "d_clock",
    )
    return _rowwise((*names, "power", "d_power"), body)


#: (gates, cell_before, clock_before, cell, clock, hidden, power, units): pre-activations become activations.
forward_3, forward_4 = _forward(3), _forward(4)

#: (gates, cell_before, clock_before, cell, clock, d_output, d_hidden, d_cell, d_clock, power, d_power,
#: units): activations become the gradients of the pre-activations; d_cell and d_clock are carried back.
backward_3, backward_4 = _backward(3), _backward(4)
