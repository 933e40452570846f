"""What an autoregressive network knows of its windows when their horizon begins."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from models.units import Units


class Past(NamedTuple):
    """Of B windows, or of B windows that each stand there several times."""

    rows: Tensor  # (B, H, width) embedded inputs from the origin on
    added: Tensor | None  # (B, 1, .) what static metadata adds to the mixer's input
    value: Tensor  # (B, longest lag, K) scaled targets of the rows before the origin, 0 before the window
    origin: Tensor  # (B,)
    states: list[Tensor]  # of the mixer, after the row before the origin
    units: Units

    def repeated(self, first: int, last: int, times: int) -> Past:
        """Windows first:last, each `times` times in a row."""

        def some(part: Tensor) -> Tensor:
            return part[first:last].repeat_interleave(times, dim=0)

        return Past(
            some(self.rows),
            None if self.added is None else some(self.added),
            some(self.value),
            some(self.origin),
            [some(state) for state in self.states],
            Units(self.units.transform, some(self.units.location), some(self.units.scale)),
        )
