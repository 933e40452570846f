"""The only place that cuts windows: whole batches by one gather from resident tensors.

A window of a horizon task shows up to `context` rows before its origin and the `horizon` rows from it on;
a window of a sequence task is a whole group with origin 0. Nothing is cut before it is asked for, so that a
data set whose windows would not fit in memory costs only its rows.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.batch import SequenceBatch
from data.inputs import Inputs
from data.scaling import location_and_scale
from data.transfer import sent, with_known


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

        #: Missing values are filled when a window is cut: the arrays are the members' as they stand.
        self._missing = bool(np.isnan(inputs.real).any())
        self._real = _Runs(resident(inputs.real), rows)
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
        self._fitted_series = resident(inputs.fitted_series)
        self._groups = _reach_groups(inputs)
        self._targets_of_groups = [resident(np.array(targets)) for *_, targets in self._groups.scaled]
        self._category_groups = [
            (index, reach) for index, reach in enumerate(inputs.category_reach) if reach is not None
        ]
        self._steps = torch.arange(inputs.schema.length, device=self.device)

    def with_unjudged(self, weight: float) -> WindowDataset:
        """The same windows; asked rows that are not judged, though their target is known, weigh `weight`.

        For the loss of a fit: location and scale are still found from judged rows alone.
        """
        inputs = self.inputs
        unjudged = (inputs.weight == 0) & inputs.asked & inputs.observed.all(1)
        other = copy.copy(self)
        table = torch.from_numpy(np.where(unjudged, np.float32(weight), inputs.weight)).to(self.device)
        other._weight = _Runs(table, inputs.schema.length)
        return other

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

        numbers = np.stack([start, series_index, length_array, origin_array]).astype(np.int64, copy=False)
        start_tensor, series, length, origin = sent(torch.from_numpy(numbers), self.device).unbind()
        with_known(length, length_array)
        with_known(origin, origin_array)
        index = start_tensor[:, None] + self._steps[None, :]  # (B, L)
        used = None if full else self._steps[None, :] < length[:, None]
        target = self._target.cut(start_tensor)  # (B, L, K)
        counted = None if schema.context == 0 else self._counted_before(start_tensor, origin, place)
        location, scale = self._location_and_scale(target, counted, place)
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
            series=self._fitted_series.index_select(0, series),
            time=time if used is None else time * used,
            length=length,
            origin=origin,
            asked=asked,
            weight=weight,
            row_id=index.masked_fill_(~asked, -1),
            location=location,
            scale=scale,
            target=scaled,
            counted=None if counted is None else counted.all(-1),
        )

    def _counted_before(self, start: Tensor, origin: Tensor, place: int | None) -> Tensor:
        """(B, L, K) bool: rows before the origin where the target is known and judged."""
        counted = self._counted.cut(start)
        if place is not None:
            counted[:, place:] = False
        else:
            counted &= (self._steps[None, :] < origin[:, None])[:, :, None]
        return counted

    def _location_and_scale(
        self, target: Tensor, counted: Tensor | None, place: int | None
    ) -> tuple[Tensor, Tensor]:
        """(B, K) each, of targets (B, L, K); counted as `_counted_before`, None in a sequence task."""
        if self.scaling == "constant":
            return self._location.expand(len(target), -1), self._scale.expand(len(target), -1)
        if counted is None:  # of a sequence task, which has no rows before its origin
            counted = torch.zeros_like(target, dtype=torch.bool)
        return location_and_scale(self.scaling, target[:, :place], counted[:, :place])

    def _scale_columns(
        self, real: Tensor, location: Tensor, scale: Tensor, origin: Tensor, place: int | None
    ) -> None:
        """Bring columns in units of a target, or with units of their own, to the window's scale, in place."""
        for (unit, first, last, _), targets in zip(self._groups.scaled, self._targets_of_groups, strict=True):
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
        if self._missing:
            torch.nan_to_num_(real, nan=0.0)

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
    block a window instead of a row a step. The last L rows of the table are padding, so that every run is
    inside; what a run reads beyond its window is blanked by the caller.
    """

    def __init__(self, table: Tensor, rows: int) -> None:
        assert len(table) > rows, "the table has no padding"
        self.shape = (rows, *table.shape[1:])
        columns = table[0].numel()
        self.table = table
        self._view = table.as_strided((len(table) - rows, rows * columns), (columns, 1))

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
