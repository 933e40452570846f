"""Dilated temporal convolution network (Bai, Kolter and Koltun 2018, arXiv 1803.01271), causal or centred.

Section 3.2: F(s) = sum_{i=0}^{k-1} f(i) x_{s - d i}, with dilation d = 2^level. Section 3.3 and figure 1 (b):
o = relu(x + F(x)), F being twice a dilated convolution, weight normalisation, ReLU and dropout, and x a 1 x 1
convolution of itself where the widths differ. Centred convolutions are ours, for inputs that are known ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from data.errors import InputError
from models.mixers.base import MIXERS, Mixer, rows_in_use


def receptive_field(levels: int, kernel: int, convolutions: int = 2) -> int:
    """Rows that one output row sees, with c convolutions a level: 1 + c (k - 1) (2^n - 1)."""
    return 1 + convolutions * (kernel - 1) * (2**levels - 1)


def levels_to_cover(rows: int, kernel: int, convolutions: int = 2) -> int:
    """The least number of levels whose receptive field has at least `rows` rows.

    Raises InputError for a kernel of one row, which sees no other however many levels there are.
    """
    if kernel < 2:
        raise InputError(f"kernel={kernel}; expected at least 2 rows, of which a row sees another")
    levels = 1
    while receptive_field(levels, kernel, convolutions) < rows:
        levels += 1
    return levels


class TemporalBlock(nn.Module):
    """Two dilated, weight-normalised convolutions with ReLU and dropout, added to the block's input.

    The paper drops whole channels of a window (spatial dropout); its published code drops single values.

    The paper's code means to start all weights at N(0, 0.01), but weight normalisation overwrites that;
    what it runs with, and what is here, are PyTorch's own starting values.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        kernel: int,
        dilation: int,
        dropout: float,
        causal: bool,
        spatial_dropout: bool = False,
    ) -> None:
        super().__init__()
        self.first = weight_norm(nn.Conv1d(width, hidden, kernel, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(hidden, hidden, kernel, dilation=dilation))
        self.shortcut = nn.Conv1d(width, hidden, 1) if width != hidden else nn.Identity()
        self.dropout = nn.Dropout1d(dropout) if spatial_dropout else nn.Dropout(dropout)
        reach = (kernel - 1) * dilation
        self.pad = (reach, 0) if causal else (reach // 2, reach - reach // 2)
        self.causal = causal

    def forward(self, hidden: Tensor, used: Tensor) -> Tensor:
        """hidden: (B, width, L), used: (B, 1, L) bool -> (B, hidden, L)."""
        mixed = hidden
        for convolution in (self.first, self.second):
            # A causal row cannot see the padding, which stands behind it.
            shown = mixed if self.causal else mixed.masked_fill(~used, 0.0)
            mixed = self.dropout(convolution(nn.functional.pad(shown, self.pad)).relu())
        return (mixed + self.shortcut(hidden)).relu()

    def thinned(self, hidden: Tensor) -> Tensor:
        """What a causal block makes of every d-th row, at every 2d-th; d is its dilation.

        (B, width, N): rows L - 1, L - 1 - d, ..., the last one at the end -> (B, hidden, ceil(N / 2)).
        """
        before = (self.first.kernel_size[0] - 1, 0)
        skipped = (hidden.shape[2] - 1) % 2
        shown = nn.functional.pad(hidden, before)
        mixed = self.dropout(nn.functional.conv1d(shown, self.first.weight, self.first.bias).relu())
        shown = nn.functional.pad(mixed, before)[:, :, skipped:]
        mixed = nn.functional.conv1d(shown, self.second.weight, self.second.bias, stride=2)
        return (self.dropout(mixed.relu()) + self.shortcut(hidden[:, :, skipped::2])).relu()


@MIXERS.register("tcn")
class TCN(Mixer):
    """Levels of temporal blocks whose dilation doubles."""

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64  # channels
        levels: int = 6
        kernel: int = 3
        dropout: float = 0.0
        spatial_dropout: bool = False  # of whole channels of a window instead of single values
        causal: bool = True  # False: every row sees as far ahead as back

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        if config.kernel < 2 or config.levels < 1:
            raise InputError(
                f"tcn: kernel={config.kernel}, levels={config.levels}; expected at least 2 and 1"
            )
        self.causal = config.causal
        self.width_out = config.hidden
        self.blocks = nn.ModuleList(
            TemporalBlock(
                config.hidden if level else width,
                config.hidden,
                config.kernel,
                2**level,
                config.dropout,
                config.causal,
                config.spatial_dropout,
            )
            for level in range(config.levels)
        )

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        used = rows_in_use(hidden, length).transpose(1, 2)  # (B, 1, L)
        mixed = hidden.transpose(1, 2)  # (B, width, L)
        for block in self.blocks:
            mixed = block(mixed, used)
        return mixed.transpose(1, 2)

    def last_row(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        """By the rows that reach it alone: a level whose dilation is d reads every d-th, 2d-th of which are
        read by the next one. About three rows are computed for one of the window instead of two a level.
        """
        if not self.causal:
            return super().last_row(hidden, length, state)
        mixed = hidden.transpose(1, 2)  # (B, width, L)
        for block in self.blocks:
            assert isinstance(block, TemporalBlock)
            mixed = block.thinned(mixed)
        return mixed[:, :, -1]

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6, levels=3, kernel=3)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=5, levels=3, kernel=3, causal=False, spatial_dropout=True)]
