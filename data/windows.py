"""The only place that cuts windows: whole batches by one gather from resident tensors.

A window of a horizon task shows up to `context` rows before its origin and the `horizon` rows from it on;
a window of a sequence task is a whole group with origin 0. Training origins are never listed: a flat
number is turned into (series, row) by a search in cumulative counts, so that a data set whose windows
would not fit in memory costs only its rows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from data.batch import SequenceBatch
from data.folds import Origins
from data.inputs import Inputs
from data.scaling import location_and_scale


class WindowDataset(Dataset[SequenceBatch]):
    """Cuts batches: `dataset[origins]` with `origins` an (B, 2) int64 array of (series, origin row).

    scaling: see `data.scaling`; `auto` is `constant` in sequence tasks and `standard` in horizon tasks.
    with_target: False leaves `target` None, as when the truth is not known.
    """

    def __init__(
        self,
        inputs: Inputs,
        scaling: str = "auto",
        device: torch.device | str = "cpu",
        with_target: bool = True,
    ) -> None:
        self.schema = inputs.schema
        self.inputs = inputs
        self._end = inputs.offsets[1:]
        self.with_target = with_target
        self.device = torch.device(device)
        sequence = inputs.schema.context == 0
        self.scaling = ("constant" if sequence else "standard") if scaling == "auto" else scaling
        if sequence and self.scaling not in ("constant", "none"):
            raise ValueError(
                f"windows.scaling={scaling} needs rows before the origin; a sequence task has none"
            )

        rows = inputs.schema.length

        def resident(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        real = inputs.real
        self._level_nan = bool(np.isnan(real[:, inputs.known :]).any())
        if np.isnan(real[:, : inputs.known]).any():
            real = real.copy()
            real[:, : inputs.known][np.isnan(real[:, : inputs.known])] = 0.0
        self._real = _Runs(resident(real), rows)
        self._category = _Runs(resident(inputs.category), rows)
        self._static_real = resident(inputs.static_real)
        self._static_category = resident(inputs.static_category)
        self._target = _Runs(resident(inputs.target), rows)
        self._observed = _Runs(resident(inputs.observed), rows)
        self._counted = _Runs(resident(inputs.observed & (inputs.weight > 0)[:, None]), rows)
        # A row whose target is not known is not judged; with several targets it counts when all are known.
        self._all_observed = bool(inputs.observed[inputs.weight > 0].all())
        self._weight = _Runs(resident(inputs.weight), rows)
        self._asked = _Runs(resident(inputs.asked), rows)
        self._time = _Runs(resident(inputs.time), rows)
        self._location = resident(inputs.location)
        self._scale = resident(inputs.scale)
        self._seen = resident(inputs.seen)
        self._groups = _reach_groups(inputs)
        self._category_groups = [
            (index, reach) for index, reach in enumerate(inputs.category_reach) if reach is not None
        ]
        self._steps = torch.arange(inputs.schema.length, device=self.device)

    def until(self, end: np.ndarray) -> WindowDataset:
        """The same windows of the same tensors, without rows at or after `end` (S,): those are padding.

        For fitting: a series too short for a whole horizon before its `train_end` still gives a window.
        """
        other = copy.copy(self)
        other._end = np.minimum(end, self.inputs.offsets[1:])
        return other

    def __getitem__(self, origins: np.ndarray) -> SequenceBatch:
        series_index = np.asarray(origins[:, 0])
        origin_row = np.asarray(origins[:, 1])
        schema = self.schema
        start = np.maximum(self.inputs.offsets[series_index], origin_row - schema.context)
        end = np.minimum(self._end[series_index], origin_row + schema.horizon)
        length_array, origin_array = end - start, origin_row - start
        rows = schema.length
        full = bool((length_array == rows).all())
        place = int(origin_array[0]) if bool((origin_array == origin_array[0]).all()) else None

        start_tensor = torch.from_numpy(start).to(self.device)
        series = torch.from_numpy(series_index.astype(np.int64)).to(self.device)
        length = torch.from_numpy(length_array).to(self.device)
        origin = torch.from_numpy(origin_array).to(self.device)
        index = start_tensor[:, None] + self._steps[None, :]  # (B, L)
        used = None if full else self._steps[None, :] < length[:, None]
        target = self._target.cut(start_tensor)  # (B, L, K)
        location, scale = self._location_and_scale(target, start_tensor, origin, place)
        real = self._real.cut(start_tensor)
        self._scale_columns(real, location, scale, origin, place)
        self._blank(real, origin, place)
        category = self._category.cut(start_tensor)
        for column, reach in self._category_groups:
            category[:, :, column] *= self._shown(origin, reach)
        asked = self._asked.cut(start_tensor)
        if place is None:
            asked &= self._steps[None, :] >= origin[:, None]
        else:
            asked[:, :place] = False
        weight = self._weight.cut(start_tensor)
        if used is not None:
            real *= used[:, :, None]
            category *= used[:, :, None]
            asked &= used
        weight *= asked
        time = self._time.cut(start_tensor)
        scaled: Tensor | None = None
        if self.with_target:
            scaled = (target - location[:, None, :]) / scale[:, None, :]
            if not self._all_observed or used is not None:
                known = self._observed.cut(start_tensor)
                scaled *= known
                weight = weight * known.all(-1)
            if used is not None:
                scaled *= used[:, :, None]
        return SequenceBatch(
            real=real,
            category=category,
            static_real=self._static_real.index_select(0, series),
            static_category=self._static_category.index_select(0, series),
            series=torch.where(self._seen.index_select(0, series), series, -1),
            time=time if used is None else time * used,
            length=length,
            origin=origin,
            asked=asked,
            weight=weight,
            row_id=index.masked_fill_(~asked, -1),
            location=location,
            scale=scale,
            target=scaled,
        )

    def _location_and_scale(
        self, target: Tensor, start: Tensor, origin: Tensor, place: int | None
    ) -> tuple[Tensor, Tensor]:
        if self.scaling == "constant":
            return self._location.expand(len(start), -1), self._scale.expand(len(start), -1)
        counted = self._counted.cut(start)
        if place is not None:
            return location_and_scale(self.scaling, target[:, :place], counted[:, :place])
        counted &= (self._steps[None, :] < origin[:, None])[:, :, None]
        return location_and_scale(self.scaling, target, counted)

    def _scale_columns(
        self, real: Tensor, location: Tensor, scale: Tensor, origin: Tensor, place: int | None
    ) -> None:
        """Bring columns in units of a target, or with units of their own, to the window's scale, in place."""
        for unit, first, last, targets in self._groups.scaled:
            block = real[:, :, first:last]
            if unit == "own":
                before = block[:, :place] if place is not None else block
                counted = torch.isfinite(before)
                if place is None:
                    counted = counted & (self._steps[None, :] < origin[:, None])[:, :, None]
                own_location, own_scale = location_and_scale("standard", before, counted)
                block.sub_(own_location[:, None, :]).div_(own_scale[:, None, :])
                continue
            if unit == "level":
                block.sub_(location[:, None, targets])
            block.div_(scale[:, None, targets])
        if self._level_nan:
            past = real[:, :, self.inputs.known :]
            past.copy_(torch.nan_to_num(past, nan=0.0))

    def _blank(self, real: Tensor, origin: Tensor, place: int | None) -> None:
        """Zero, in place, every past column on the steps of the horizon that its reach does not cover."""
        for reach, first, last in self._groups.reach:
            if place is not None:
                real[:, place + reach :, first:last] = 0.0
            else:
                real[:, :, first:last] *= self._shown(origin, reach)[:, :, None]

    def _shown(self, origin: Tensor, reach: int) -> Tensor:
        """(B, L) bool: rows t with t - reach before the origin."""
        return self._steps[None, :] - reach < origin[:, None]

    def memory(self) -> int:
        """Bytes of the resident tensors."""
        tables = [value.table if isinstance(value, _Runs) else value for value in vars(self).values()]
        return sum(table.numel() * table.element_size() for table in tables if isinstance(table, Tensor))


class _Runs:
    """A resident table (R, ...) from which runs of L neighbouring rows are copied whole.

    The view (R, L * columns) overlaps itself, so that picking windows is one index_select that copies a
    block a window instead of a row a step. L rows of zeros behind the last one keep every run inside;
    what a run reads beyond its window is padding and is blanked by the caller.
    """

    def __init__(self, table: Tensor, rows: int) -> None:
        self.shape = (rows, *table.shape[1:])
        columns = table[0].numel()
        self.table = torch.cat([table, table.new_zeros(rows, *table.shape[1:])])
        self._view = self.table.as_strided((len(table), rows * columns), (columns, 1))

    def cut(self, start: Tensor) -> Tensor:
        """(B, L, ...) rows start[b]:start[b] + L."""
        return self._view.index_select(0, start).view(len(start), *self.shape)


class _Groups:
    """Runs of neighbouring columns that are treated alike."""

    def __init__(self) -> None:
        self.reach: list[tuple[int, int, int]] = []  # reach, first, last
        self.scaled: list[tuple[str, int, int, list[int]]] = []  # unit, first, last, targets


def _reach_groups(inputs: Inputs) -> _Groups:
    groups = _Groups()
    for index, column in enumerate(inputs.column):
        if column.reach is not None:
            if groups.reach and groups.reach[-1][0] == column.reach:
                reach, first, _ = groups.reach[-1]
                groups.reach[-1] = (reach, first, index + 1)
            else:
                groups.reach.append((column.reach, index, index + 1))
        if column.unit != "plain":
            last = groups.scaled[-1] if groups.scaled else None
            if last is not None and last[0] == column.unit and last[2] == index:
                groups.scaled[-1] = (last[0], last[1], index + 1, [*last[3], column.target])
            else:
                groups.scaled.append((column.unit, index, index + 1, [column.target]))
    return groups


class TrainingOrigins:
    """The origins that a fold may train on, as an arithmetic range: nothing is listed.

    In horizon tasks an origin has at least `min_context` rows before it and its horizon inside the
    training part (a series too short for that gives one window with what it has). In sequence tasks every
    training group is one window.
    """

    def __init__(self, inputs: Inputs, train_end: np.ndarray, min_context: int = 1) -> None:
        begin = inputs.offsets[:-1]
        horizon = inputs.schema.horizon
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
