"""WaveNet's gated dilated blocks (van den Oord et al. 2016, arXiv 1609.03499), causal or centred.

Equation 2 and figure 4 of the paper, with * a dilated convolution and d = 1, 2, 4, ... from block to block:

    z = tanh(W_f * x) . sigmoid(W_g * x)                  gated activation
    x <- x + W_r z + b_r                                  residual, 1 x 1
    s = sum over blocks of W_s z + b_s                    skip, 1 x 1
    output = W_o relu(s) + b_o                            1 x 1

The last block has no residual map: nothing would read it. The output keeps its sign: the paper's second ReLU
and 1 x 1 convolution are the head's here. Centred convolutions, for inputs that are known ahead, are what
competition teams used (Keras' padding=same).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.errors import InputError
from models.mixers.base import MIXERS, Mixer, rows_in_use


class GatedBlock(nn.Module):
    """One dilated convolution for filter and gate together, then one 1 x 1 for skip and residual together."""

    def __init__(self, hidden: int, skip: int, kernel: int, dilation: int, causal: bool, last: bool) -> None:
        super().__init__()
        self.widths = [skip] if last else [skip, hidden]
        self.convolution = nn.Conv1d(hidden, 2 * hidden, kernel, dilation=dilation)
        self.after = nn.Conv1d(hidden, sum(self.widths), 1)
        reach = (kernel - 1) * dilation
        self.pad = (reach, 0) if causal else (reach // 2, reach - reach // 2)

    def forward(self, hidden: Tensor, unused: Tensor) -> tuple[Tensor, Tensor]:
        """hidden: (B, hidden, L), unused: (B, 1, L) bool -> residual (B, hidden, L), skip (B, skip, L)."""
        shown = nn.functional.pad(hidden.masked_fill(unused, 0.0), self.pad)
        filtered, gate = self.convolution(shown).chunk(2, dim=1)
        skip, *residual = self.after(torch.tanh(filtered) * torch.sigmoid(gate)).split(self.widths, dim=1)
        return (hidden + residual[0] if residual else hidden), skip


@MIXERS.register("wavenet")
class WaveNet(Mixer):
    """`stacks` runs of gated blocks whose dilation doubles from 1 to 2^(levels - 1)."""

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64  # channels of the blocks, and of the output
        skip: int = 0  # channels of the skip connections; 0: as many as `hidden`
        levels: int = 6
        stacks: int = 1
        kernel: int = 2
        dropout: float = 0.0  # on the summed skip connections
        causal: bool = True  # False: every row sees as far ahead as back

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        if config.kernel < 2 or config.levels < 1 or config.stacks < 1:
            raise InputError(
                f"wavenet: kernel={config.kernel}, levels={config.levels}, stacks={config.stacks}; "
                "expected at least 2, 1 and 1"
            )
        self.causal = config.causal
        self.width_out = config.hidden
        skip = config.skip or config.hidden
        dilations = [2**level for level in range(config.levels)] * config.stacks
        self.project = nn.Linear(width, config.hidden)
        self.blocks = nn.ModuleList(
            GatedBlock(
                config.hidden, skip, config.kernel, dilation, config.causal, index == len(dilations) - 1
            )
            for index, dilation in enumerate(dilations)
        )
        self.output = nn.Linear(skip, config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        unused = ~rows_in_use(hidden, length).transpose(1, 2)  # (B, 1, L)
        mixed, skips = self.project(hidden).transpose(1, 2), []  # (B, hidden, L)
        for block in self.blocks:
            mixed, skip = block(mixed, unused)
            skips.append(skip)
        total = torch.stack(skips).sum(0).transpose(1, 2)  # (B, L, skip)
        output: Tensor = self.output(self.dropout(total.relu()))
        return output

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6, levels=3)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=5, skip=7, levels=2, stacks=2, kernel=3, causal=False)]
