"""Layers of cells that know one direction only: stacked, mirrored for the other one, each with its states.

A cell is a module that maps (B, L, inputs) and its initial states, (B, hidden) each, to (B, L, hidden), every
row from the rows up to it. What is around it is here, so that a new cell is its equations and nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.mixers.base import Mixer


@dataclass(frozen=True)
class LayeredConfig:
    """Settings of every recurrent mixer."""

    hidden: int = 64  # units of each direction
    layers: int = 2
    bidirectional: bool = False
    dropout: float = 0.0  # between layers; with residual or layer_norm: on each layer's output
    residual: bool = False  # each layer is added to its input (projected where the width differs)
    layer_norm: bool = False  # over the features, after each layer


class Layered(Mixer):
    """x <- norm(shortcut(x) + dropout([forwards(x), backwards(x)])) a layer; subclasses make the cells.

    The backward direction runs over rows that are mirrored within each window's length, so that it starts at
    the last row in use. States stand by layer, then direction, then kind.
    """

    kinds: ClassVar[int] = 1  # states a layer and direction

    @dataclass(frozen=True)
    class Config(LayeredConfig):
        """Settings with their defaults."""

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        self.causal = not config.bidirectional
        self.directions = 2 if config.bidirectional else 1
        self.width_out = config.hidden * self.directions
        widths = [width] + [self.width_out] * (config.layers - 1)
        self.cells = nn.ModuleList(
            nn.ModuleList(self.make_cell(inputs) for _ in range(self.directions)) for inputs in widths
        )
        self.shortcuts = nn.ModuleList(
            nn.Linear(inputs, self.width_out, bias=False) if inputs != self.width_out else nn.Identity()
            for inputs in (widths if config.residual else [])
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(self.width_out) for _ in (widths if config.layer_norm else [])
        )
        self.dropout = nn.Dropout(config.dropout)

    @abstractmethod
    def make_cell(self, inputs: int) -> nn.Module:
        """A cell of `config.hidden` units for rows of width `inputs`."""

    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.config.hidden,)] * (self.config.layers * self.directions * self.kinds)

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        if state is None:
            state = [hidden.new_zeros(hidden.shape[0], *shape) for shape in self.state_shapes()]
        assert len(state) == len(self.state_shapes())
        mirror = mirror_of(length, hidden.shape[1]) if self.directions == 2 else None
        place = 0
        for index in range(self.config.layers):
            both = []
            cells: Any = self.cells[index]
            for direction, cell in enumerate(cells):
                rows = mirrored(hidden, mirror) if mirror is not None and direction else hidden
                output = cell(rows, *state[place : place + self.kinds])  # (B, L, hidden)
                both.append(mirrored(output, mirror) if mirror is not None and direction else output)
                place += self.kinds
            mixed = torch.cat(both, dim=2)
            if self.config.residual or self.config.layer_norm or index + 1 < self.config.layers:
                mixed = self.dropout(mixed)
            if self.config.residual:
                mixed = mixed + self.shortcuts[index](hidden)
            hidden = self.norms[index](mixed) if self.config.layer_norm else mixed
        return hidden

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(hidden=4, bidirectional=True, residual=True, layer_norm=True),
        ]


def mirror_of(length: Tensor, rows: int) -> Tensor:
    """(B, rows) index that reverses the rows in use and leaves padding where it is; its own inverse."""
    step = torch.arange(rows, device=length.device)
    last = length[:, None] - 1
    return torch.where(step <= last, last - step, step)


def mirrored(hidden: Tensor, mirror: Tensor) -> Tensor:
    """(B, L, width) with its rows in the order of `mirror` (B, L)."""
    return hidden.gather(1, mirror[:, :, None].expand_as(hidden))
