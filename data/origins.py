"""Which windows a fit sees: training origins as an arithmetic range, drawn anew each epoch.

Training origins are never listed: a flat number is turned into (series, row) by a search in cumulative
counts, and what an epoch draws depends on (seed, epoch) alone, so that a resumed run is the same run.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from data.folds import Origins
from data.inputs import Inputs


class TrainingOrigins:
    """The origins that a fold may train on, as an arithmetic range: nothing is listed.

    In horizon tasks an origin has at least `min_context` rows before it and its horizon inside the
    training part (a series too short for that gives one window with what it has). In sequence tasks every
    training group is one window.
    """

    def __init__(
        self, inputs: Inputs, train_end: np.ndarray, min_context: int = 1, horizon: int | None = None
    ) -> None:
        """horizon: rows that are looked at from an origin on; None for the schema's."""
        begin = inputs.offsets[:-1]
        horizon = horizon or inputs.schema.horizon
        if inputs.schema.context == 0:
            self._first = begin.copy()
            self._count = (train_end > begin).astype(np.int64)
        else:
            self._first = begin + max(1, min_context)
            last = np.maximum(train_end - horizon, np.minimum(self._first, train_end - 1))
            self._count = np.where(train_end > self._first, np.maximum(last - self._first + 1, 0), 0)
        self._cumulative = np.concatenate([[0], np.cumsum(self._count)])
        self._horizon = horizon

    def __len__(self) -> int:
        return int(self._cumulative[-1])

    def origins(self, number: np.ndarray) -> np.ndarray:
        """(N, 2) int64 (series, origin row) of flat origin numbers (N,)."""
        series = np.searchsorted(self._cumulative, number, side="right") - 1
        return np.stack([series, self._first[series] + number - self._cumulative[series]], axis=1)

    def strided(self, stride: int) -> np.ndarray:
        """(N, 2): every `stride`-th origin of each series, counted back from its last one."""
        count = -(-self._count // stride)
        series = np.repeat(np.arange(len(count)), count)
        back = np.arange(len(series)) - np.repeat(np.cumsum(count) - count, count)
        row = self._first[series] + self._count[series] - 1 - back * stride
        return np.stack([series, row], axis=1)

    def sample(self, count: int, generator: np.random.Generator, half_life: float = 0.0) -> np.ndarray:
        """(count, 2) random origins, without repetition while there are enough and all count alike.

        half_life: in rows; an origin that lies one half-life before the last of its series is drawn half
        as often. 0: all alike.
        """
        total = len(self)
        if half_life <= 0:
            if count <= total:
                number = generator.choice(total, size=count, replace=False, shuffle=True)
            else:
                number = generator.integers(0, total, size=count)
            return self.origins(number)
        series = np.searchsorted(self._cumulative, generator.integers(0, total, size=count), side="right") - 1
        available = self._count[series].astype(np.float64)
        share = generator.random(count) * (1.0 - np.exp2(-available / half_life))
        back = np.minimum((-np.log2(1.0 - share) * half_life).astype(np.int64), self._count[series] - 1)
        return np.stack([series, self._first[series] + self._count[series] - 1 - back], axis=1)

    def default_per_epoch(self, sequence: bool) -> int:
        """Windows an epoch when nothing is set: all groups, or as many as do not overlap."""
        return (
            len(self)
            if sequence
            else int(np.maximum(1, -(-self._count // self._horizon))[self._count > 0].sum())
        )


class OriginSampler(Sampler[np.ndarray]):
    """Yields (B, 2) arrays of training origins, drawn anew each epoch from (seed, epoch) alone."""

    def __init__(
        self,
        origins: TrainingOrigins,
        batch_size: int,
        per_epoch: int,
        seed: int,
        kind: str = "random",
        stride: int = 1,
        half_life: float = 0.0,
        drop_last: bool = True,
    ) -> None:
        self._origins = origins
        self._batch_size = batch_size
        self._seed = seed
        self._half_life = half_life
        self._strided = origins.strided(stride) if kind == "all" else None
        self._per_epoch = len(self._strided) if self._strided is not None else per_epoch
        self._drop_last = drop_last and self._per_epoch >= batch_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self._per_epoch, self._batch_size)
        return whole + (1 if rest and not self._drop_last else 0)

    def __iter__(self) -> Iterator[np.ndarray]:
        generator = np.random.default_rng([self._seed, self.epoch])
        if self._strided is not None:
            drawn = self._strided[generator.permutation(len(self._strided))]
        else:
            drawn = self._origins.sample(self._per_epoch, generator, self._half_life)
        for batch in range(len(self)):
            yield drawn[batch * self._batch_size : (batch + 1) * self._batch_size]


def batches_of(origins: Origins, batch_size: int) -> Iterator[np.ndarray]:
    """(B, 2) arrays of the asked origins, in order, for prediction."""
    pairs = np.stack([origins.series, origins.row], axis=1)
    for first in range(0, len(pairs), batch_size):
        yield pairs[first : first + batch_size]
