"""What a network's outputs say, for a network that reads its own forecasts row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.units import Units

if TYPE_CHECKING:  # heads need not be there for a network to be made
    from models.heads import Head


class OwnForecasts:
    """Outputs (B, rows, K * P) -> scaled values (B, rows, K), as the head has it.

    Without a head (a network outside of a Forecaster) a target's first output is its value. Outputs behind
    the head's own (models/auxiliary.py) are not looked at. No module: the head stays the forecaster's.
    """

    def __init__(self, schema: InputSchema, head: Head | None = None) -> None:
        self.schema = schema
        self.head = head

    @property
    def spread(self) -> bool:
        """Whether one forecast stands for more than one future: not without a head, or with one of points."""
        return self.head is not None and not self.head.certain

    def units(self, batch: SequenceBatch) -> Units:
        """Of the batch's windows, as the methods below take them."""
        return Units.of(batch, self.schema)

    def parameters(self, output: Tensor, units: Units) -> Tensor:
        """(B, rows, K, .) of the predictive distributions."""
        each = output.unflatten(-1, (self.schema.targets, -1))
        if self.head is None:
            return each
        parameters: Tensor = self.head(each[..., : self.head.outputs].flatten(-2), units)
        return parameters

    def point(self, output: Tensor, units: Units) -> Tensor:
        """The point forecast."""
        parameters = self.parameters(output, units)
        return parameters[..., 0] if self.head is None else self.head.forecast(parameters)[..., 0]

    def draw(self, output: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
        """One draw from each predictive distribution; without a head the point."""
        parameters = self.parameters(output, units)
        return parameters[..., 0] if self.head is None else self.head.draw(parameters, generator)
