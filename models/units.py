"""From scaled to original units and back: what heads and losses of original units need of a batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.scaling import inverse_transform
from data.schema import InputSchema

#: Up to this share of a window's own level a value may be a 0 that scaling and back has moved, in float32.
ROUNDING = 1e-6


class Units(NamedTuple):
    """y = inverse_transform(location + scale * scaled)."""

    transform: str
    location: Tensor  # (B, K)
    scale: Tensor  # (B, K)

    @classmethod
    def of(cls, batch: SequenceBatch, schema: InputSchema) -> Units:
        """The units of a batch's windows."""
        return cls(schema.target_transform, batch.location, batch.scale)

    def original(self, scaled: Tensor) -> Tensor:
        """scaled: (B, L, K) or (B, L, K, P); the same shape in original units."""
        shape = (len(self.location), 1, -1) + (1,) * (scaled.dim() - 3)
        location, scale = self.location.reshape(shape), self.scale.reshape(shape)
        return inverse_transform(self.transform, location + scale * scaled)

    def is_zero(self, original: Tensor) -> Tensor:
        """(B, L, K) bool: 0 up to the rounding of float32, measured against the window's own level."""
        level = self.original(torch.ones_like(original)).abs()
        return original.abs() <= ROUNDING * level
