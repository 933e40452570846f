"""Where a row stands, as vectors to be added to its embedding: sinusoidal, learned, or Time2Vec.

Every kind is called with `step`, the row counted from the window's origin (or from its first row, for a mixer
that does not know the origin), and `time`, a clock that all windows share (or again the row).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from data.configure import one_of

POSITIONS = ("sinusoidal", "learned", "time2vec", "none")

#: Longest period of the sinusoids, in units of 2 pi rows (Vaswani et al. 2017).
LONGEST_PERIOD = 10_000.0


class Sinusoidal(nn.Module):
    """PE(t)_2i = sin(t / 10000^(2i/D)), PE(t)_2i+1 = cos(t / 10000^(2i/D)) of `step`.

    Vaswani et al. 2017, "Attention is all you need", section 3.5; nothing is learned, any t will do.
    """

    frequency: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        place = torch.arange(0, width, 2, dtype=torch.float32)
        self.register_buffer("frequency", LONGEST_PERIOD ** (-place / width), persistent=False)
        self.width = width

    def forward(self, step: Tensor, time: Tensor) -> Tensor:
        """(., L) -> (., L, width)."""
        phase = step[..., None] * self.frequency
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(-2)[..., : self.width]


class Learned(nn.Module):
    """One vector for each value of `step` from `first` to `first + rows - 1`, as in BERT.

    A step beyond the table (only padding has them) takes the nearest end.
    """

    def __init__(self, width: int, rows: int, first: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, width)
        self.first = first
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, step: Tensor, time: Tensor) -> Tensor:
        """(., L) -> (., L, width)."""
        vectors: Tensor = self.table((step - self.first).clamp(0, self.table.num_embeddings - 1))
        return vectors


class Time2Vec(nn.Module):
    """t2v(tau)_0 = w_0 tau + phi_0, t2v(tau)_i = sin(w_i tau + phi_i); frequencies and phases are learned.

    Kazemi et al. 2019, "Time2Vec: Learning a Vector Representation of Time" (arXiv 1907.05321), equation 1.
    The sines read `time`, so that a season has the same phase in every window. The linear component reads
    `step`: of a clock that all windows share, every row to be predicted would be later than any row that
    training has seen. tau is counted in `rows` (a window's length), which keeps steps in w small.

    The first frequencies are those of `seasonality`, a sine and a cosine each; the periods of others run from
    2 rows to twice the window in equal ratios.
    """

    def __init__(self, components: int, rows: int, seasonality: Sequence[int] = ()) -> None:
        super().__init__()
        self.rows = max(rows, 1)
        period = torch.tensor(_periods(components, self.rows, seasonality), dtype=torch.float32)
        quarter = torch.arange(components) % 2
        self.slope = nn.Parameter(torch.ones(1))
        self.intercept = nn.Parameter(torch.zeros(1))
        self.frequency = nn.Parameter(2.0 * math.pi * self.rows / period)
        self.phase = nn.Parameter(0.5 * math.pi * quarter.float())
        self.width = 1 + components

    def forward(self, step: Tensor, time: Tensor) -> Tensor:
        """(., L) -> (., L, 1 + components): the linear component, then the sines."""
        linear = self.slope * (step / self.rows)[..., None] + self.intercept
        # A clock may have counted to a million: in float32 its phase would be off by a tenth.
        angle = time.double()[..., None] / self.rows * self.frequency.double() + self.phase.double()
        return torch.cat([linear, angle.sin().to(linear.dtype)], dim=-1)


class ProjectedTime2Vec(nn.Module):
    """W t2v(tau), which added to an embedding is the same as t2v(tau) among the inputs that are embedded."""

    def __init__(self, width: int, components: int, rows: int, seasonality: Sequence[int] = ()) -> None:
        super().__init__()
        self.time2vec = Time2Vec(components, rows, seasonality)
        self.project = nn.Linear(self.time2vec.width, width, bias=False)

    def forward(self, step: Tensor, time: Tensor) -> Tensor:
        """(., L) -> (., L, width)."""
        vectors: Tensor = self.project(self.time2vec(step, time))
        return vectors


def make_positions(
    kind: str,
    width: int,
    rows: int,
    first: int = 0,
    components: int = 16,
    seasonality: Sequence[int] = (),
) -> nn.Module | None:
    """The module for `kind`, or None for `none`. Raises InputError for an unknown kind.

    rows: of the longest window; first: its first row's step. components: sines of Time2Vec.
    """
    one_of(kind, POSITIONS, "positions", "positions")
    if kind == "sinusoidal":
        return Sinusoidal(width)
    if kind == "learned":
        return Learned(width, rows, first)
    if kind == "time2vec":
        return ProjectedTime2Vec(width, components, rows, seasonality)
    return None


def _periods(components: int, rows: int, seasonality: Sequence[int]) -> list[float]:
    """Rows a cycle of each component: every period twice, seasons first."""
    seasons = [float(season) for season in seasonality if season > 1]
    others = math.ceil(components / 2) - len(seasons)
    ratio = max(float(rows), 2.0)  # of the longest to the shortest
    spread = [2.0 * ratio ** (place / max(others - 1, 1)) for place in range(max(others, 0))]
    return [period for period in [*seasons, *spread] for _ in range(2)][:components]
