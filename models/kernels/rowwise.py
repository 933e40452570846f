"""A cell's arithmetic between the products as a function that compiled loops call: a row of units at a time.

All cells are called with the same addresses, so that the same loops run them; a cell without a clock leaves
the clock's alone. A row has a multiple of WIDTH units; addresses are those of its first number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from models.kernels.vectors import FLOAT, WIDTH, Vector, load, store

#: What a cell's forward pass is called with, in front of the number of units: `gates` holds pre-activations,
#: which become activations.
FORWARD = ("gates", "cell_before", "clock_before", "cell", "clock", "hidden", "power")

#: ... its backward pass: activations become the gradients of the pre-activations; d_cell and d_clock are
#: carried back.
BACKWARD = (
    "gates",
    "cell_before",
    "clock_before",
    "cell",
    "clock",
    "d_output",
    "d_hidden",
    "d_cell",
    "d_clock",
    "power",
    "d_power",
)


class Row:
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


def rowwise(names: tuple[str, ...], body: Callable[[Row, list[Any]], None]) -> Any:
    """An intrinsic f(*addresses, units) that runs `body(row, offsets of the gates)` over a row's units."""

    @intrinsic
    def over_units(typingctx, arguments):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
            (packed,) = values
            given = cgutils.unpack_tuple(builder, packed, len(names) + 1)
            units = given[-1]
            vectors = builder.sdiv(units, units.type(WIDTH))
            with cgutils.for_range(builder, vectors) as loop:
                place = builder.mul(loop.index, units.type(WIDTH))
                row = Row(builder, dict(zip(names, given, strict=False)), place)
                body(row, [builder.mul(units, units.type(gate)) for gate in range(4)])
            return context.get_dummy_value()

        return types.void(arguments), codegen

    return over_units
