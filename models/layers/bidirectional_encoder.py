"""GNMT's encoder: a bidirectional layer at the bottom, residual layers in one direction above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from data.errors import InputError
from data.transfer import lessened
from models.mixers.base import MIXERS, make_mixer


class BidirectionalEncoder(nn.Module):
    """Wu et al. 2016, sections 3.1 and 3.2: (B, L, width) -> (B, L, width_out), and states to go on from.

    Layer 1 reads both ways, `hidden` units each; layers 2 to n go forwards, each added to its input (layer 2
    to a projection of it, which is twice as wide). `state_shapes()` are those of layer 1, then of the others.
    Raises InputError for a `cell` that cannot do that.
    """

    def __init__(self, width: int, cell: str, hidden: int, layers: int, dropout: float, where: str) -> None:
        super().__init__()
        bottom = make_mixer(layer_entry(cell, hidden, where, bidirectional=True), width, where)
        self.bottom = bottom
        self.dropout = nn.Dropout(dropout)
        self.above: nn.Module | None = None
        self.width_out = bottom.width_out
        if layers > 1:
            entry = layer_entry(cell, hidden, where, layers=layers - 1, residual=True, dropout=dropout)
            above = make_mixer(entry, bottom.width_out, where)
            self.above, self.width_out = above, above.width_out
        self.kinds = len(bottom.state_shapes()) // 2
        self.hidden = hidden
        self.layers = layers
        # What layer 1 ends in: forwards at the last row, backwards at the first one.
        self.bridge = nn.Linear(bottom.width_out, self.kinds * hidden)

    def state_shapes(self) -> list[tuple[int, ...]]:
        """As of a mixer."""
        return [(self.hidden,)] * (self.kinds * (self.layers + 1))

    def forward(
        self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """hidden (B, L, width), length (B,) rows in use, 0 allowed -> (B, L, width_out), finite everywhere.

        The states are a decoder's of as many layers, by layer then kind, (B, hidden) each: of layer 1 a map
        of its outputs at both ends, of the others what they ended in.
        """
        first = None if state is None else list(state[: 2 * self.kinds])
        some = lessened(length, 0, 1)  # an empty window reads a row, and hands over nothing of it
        mixed = self.bottom(hidden, some, first)
        ahead, behind = mixed.chunk(2, dim=-1)
        last = (some - 1)[:, None, None].expand(-1, 1, ahead.shape[2])
        ends = torch.cat([ahead.gather(1, last)[:, 0], behind[:, 0]], dim=-1)
        handed = self.bridge(ends).masked_fill((length == 0)[:, None], 0.0)
        states = list(handed.chunk(self.kinds, dim=-1))
        if self.above is not None:
            rest = None if state is None else list(state[2 * self.kinds :])
            mixed, carried = self.above.carry(self.dropout(mixed), length, rest)  # type: ignore[operator]
            states += carried
        return mixed, states


def layer_entry(cell: str, hidden: int, where: str, **more: Any) -> dict[str, Any]:
    """Settings of a mixer of recurrent layers; InputError for one that cannot be stacked so or hand over."""
    wanted = {
        "hidden": hidden,
        "layers": 1,
        "bidirectional": False,
        "residual": False,
        "dropout": 0.0,
        **more,
    }
    known = {field.name for field in fields(MIXERS.get(cell, where).Config)}
    if not set(wanted) <= known or not make_mixer({"name": cell, "hidden": 1, "layers": 1}, 1, where).carries:
        raise InputError(f"{where}: {cell!r} cannot go on from row to row, as lstm, gru and rnn can")
    return {"name": cell, **wanted}
