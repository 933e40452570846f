"""How far back a network can look, how far back it does look, and whether the first is true.

Where only convolutions mix rows, a row of the output sees a bounded number of rows: with a causal TCN of n
levels and kernel k, 1 + 2 (k - 1) (2^n - 1) (Bai, Kolter and Koltun 2018, section 3.2; models/mixers/tcn.py).
The effective receptive field is mostly much smaller (Luo et al. 2016): here the lags that hold 95 % of the
gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from models.forecaster import Forecaster
from models.memory.asked_rows import asked_rows
from models.memory.at_rest import at_rest, network_of
from models.mixers.conv import Convolution
from models.mixers.tcn import TCN
from models.mixers.wavenet import WaveNet
from models.network import Network
from models.networks.stack import Stack

SHARE = 0.95


class ReceptiveField(NamedTuple):
    """Rows that a row of the output can see, besides itself."""

    back: int
    ahead: int

    @property
    def rows(self) -> int:
        """All of them, the row itself too."""
        return 1 + self.back + self.ahead


def reach(curve: np.ndarray, share: float = SHARE) -> int | None:
    """The least lag such that lags 0 to it hold `share` of the sum of a curve that starts at lag 0.

    NaNs count as nothing. None where the curve is zero everywhere.
    """
    total = np.nancumsum(np.asarray(curve, dtype=np.float64))
    if not len(total) or total[-1] <= 0:
        return None
    return int(np.searchsorted(total, share * total[-1] * (1.0 - 1e-12)))


def receptive_field(model: Forecaster | Network) -> ReceptiveField | None:
    """What the settings of a network say; None where nothing but the window bounds it."""
    network = network_of(model)
    if not isinstance(network, Stack) or not is_plain(network) or network.naive is not None:
        return None
    fields = [_of_mixer(mixer) for mixer in network.mixers]
    back, ahead = 0, 0
    for field in fields:
        if field is None:
            return None
        back, ahead = back + field.back, ahead + field.ahead
    return ReceptiveField(back, ahead)


def is_plain(network: Stack) -> bool:
    """Whether only its mixers mix rows: its subclass changes neither the forward pass nor the embedding."""
    kind = type(network)
    return kind.forward is Stack.forward and kind.embed is Stack.embed


@singledispatch
def _of_mixer(mixer: nn.Module) -> ReceptiveField | None:
    return None


@_of_mixer.register
def _(mixer: TCN) -> ReceptiveField:
    return _summed(mixer.blocks, convolutions=2)


@_of_mixer.register
def _(mixer: Convolution) -> ReceptiveField:
    return _summed(mixer.blocks)


@_of_mixer.register
def _(mixer: WaveNet) -> ReceptiveField:
    return _summed(mixer.blocks)


def _summed(blocks: Iterable[Any], convolutions: int = 1) -> ReceptiveField:
    """Of blocks one after another; a convolution sees as far back as its input is padded in front."""
    pads = [block.pad for block in blocks]
    return ReceptiveField(
        convolutions * sum(back for back, _ in pads), convolutions * sum(ahead for _, ahead in pads)
    )


def change_beyond(
    model: Forecaster | Network, batch: SequenceBatch, field: ReceptiveField, seed: int = 0
) -> float | None:
    """The largest change of any asked output when all inputs outside of its receptive field are others.

    0.0 where `field` is true: nothing out of it is read. Other inputs are random numbers and random codes.
    Asked are the first and the last judged row of each window. None where every input lies within.
    """
    network = network_of(model)
    schema = network.schema
    generator = torch.Generator().manual_seed(seed)
    largest: float | None = None
    with at_rest(network):
        batch = batch._replace(target=None)
        before = network(batch)
        for which in ("first", "last"):
            row = asked_rows(batch, schema, 1, which)  # (B, 1)
            lag = row - torch.arange(batch.rows, device=row.device)[None, :]
            outside = (lag > field.back) | (-lag > field.ahead)
            outside &= batch.used() & (row >= 0)  # (B, L)
            window = outside.any(1).nonzero()[:, 0]
            if not len(window):
                continue
            noise = torch.randn(batch.real.shape, generator=generator).to(batch.real)
            after = network(
                batch._replace(
                    real=torch.where(outside[:, :, None], batch.real + noise, batch.real),
                    category=_other_codes(batch, schema.category_size, outside, generator),
                )
            )
            at = row[window, 0]
            change = float((after[window, at] - before[window, at]).abs().max())
            largest = change if largest is None else max(largest, change)
    return largest


def _other_codes(
    batch: SequenceBatch, sizes: tuple[int, ...], outside: Tensor, generator: torch.Generator
) -> Tensor:
    """(B, L, C): random codes at the rows `outside` (B, L)."""
    if not sizes:
        return batch.category
    drawn = [torch.randint(0, size, outside.shape, generator=generator) for size in sizes]
    return torch.where(outside[:, :, None], torch.stack(drawn, 2).to(batch.category), batch.category)
