"""The one batch type: every network, member, probe and adapter speaks it.

Legend of shape letters, used in all docstrings:
    B windows in the batch    L rows in a window       F real inputs        C categorical inputs
    S static reals            D static categoricals    K targets            P outputs per target
    H rows of the horizon     R rows of the panel      N series (in a panel), or rows of a table
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from data.transfer import part


class SequenceBatch(NamedTuple):
    """B windows of L rows. Rows from `origin` on are `asked`; padding stands only at the end."""

    real: Tensor  # (B, L, F) float: inputs; past-only ones are zero from the origin on
    category: Tensor  # (B, L, C) int64: time-varying categoricals, code 0 = unknown or missing
    static_real: Tensor  # (B, S) float
    static_category: Tensor  # (B, D) int64, code 0 = unknown or missing
    series: Tensor  # (B,) int64 index in the panel, -1 if unseen in training
    time: Tensor  # (B, L) int64 time index in steps of the frequency (position in the group if it has none)
    length: Tensor  # (B,) int64 rows in use
    origin: Tensor  # (B,) int64 first asked row
    asked: Tensor  # (B, L) bool: a prediction is wanted (a row of the file, from the origin on)
    weight: Tensor  # (B, L) float: in loss and metric; 0 before the origin, in padding, where not judged
    row_id: Tensor  # (B, L) int64 panel row, -1 where not asked; travels to the prediction
    location: Tensor  # (B, K) float: scaled = (transformed - location) / scale
    scale: Tensor  # (B, K) float, > 0
    target: Tensor | None  # (B, L, K) float scaled; never NaN (0 with weight 0 where unknown)
    counted: Tensor | None = None  # (B, L) bool: past rows whose targets are known and judged; None: all past

    @property
    def rows(self) -> int:
        """L."""
        return int(self.real.shape[1])

    def used(self) -> Tensor:
        """(B, L) bool: False in padding."""
        return torch.arange(self.rows, device=self.length.device)[None, :] < self.length[:, None]

    def past(self) -> Tensor:
        """(B, L) bool: rows before the origin."""
        return torch.arange(self.rows, device=self.origin.device)[None, :] < self.origin[:, None]

    def counted_past(self) -> Tensor:
        """(B, L) bool: rows before the origin whose targets are known and judged.

        Those that location and scale are found from. The past targets of other rows say nothing of the level
        of a series: a closed day sells nothing, and what is missing stands at 0.
        """
        return self.past() if self.counted is None else self.past() & self.counted

    def to(self, device: torch.device | str) -> SequenceBatch:
        """The same batch with every tensor on `device`."""
        return self._replace(**{name: field.to(device) for name, field in self._fields_in_use()})

    def select(self, index: Tensor) -> SequenceBatch:
        """The windows `index` (a (b,) int64 tensor or bool mask over B), in that order."""
        return self._replace(**{name: field[index] for name, field in self._fields_in_use()})

    def cut(self, first: int, end: int) -> SequenceBatch:
        """The windows from `first` up to `end`, as views."""
        return self._replace(**{name: part(field, first, end) for name, field in self._fields_in_use()})

    def _fields_in_use(self) -> list[tuple[str, Tensor]]:
        return [(name, field) for name, field in self._asdict().items() if field is not None]
