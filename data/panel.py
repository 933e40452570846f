"""Flat rows with series offsets: the one table that features, windows and folds read.

Rows of all series stand one after the other, sorted by series and time; train rows and test rows of a
series are neighbours. Gaps in a regular calendar are filled with rows that are not `present`. There is
never a dense series x time block, so the memory is that of the rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from data.expression import Masks


@dataclass(frozen=True)
class Panel:
    """R rows of S series. Row number in the panel = `row_id` everywhere in the project.

    `frame` holds raw covariates by name: reals as float (NaN where missing), categoricals as integer codes
    (0 = missing or not seen in the training file). `target` is raw (original units), NaN where it is
    missing or asked; test truth is never in here.
    """

    offsets: np.ndarray  # (S + 1,) int64: rows of series s are offsets[s]:offsets[s + 1]
    series_name: np.ndarray  # (S,) str
    time: np.ndarray  # (R,) int64 steps of the frequency; position in the group where time is irregular
    timestamp: np.ndarray | None  # (R,) datetime64[ns], None where time is no date
    frame: pd.DataFrame  # (R, columns) covariates that change with time
    static: pd.DataFrame  # (S, columns) static metadata, same coding
    categories: dict[str, list[str]]  # column: values by code - 1
    target: np.ndarray  # (R, K) float64
    target_name: tuple[str, ...]
    weight: np.ndarray  # (R,) float32; 0: predicted but not judged
    present: np.ndarray  # (R,) bool: False for rows inserted into gaps
    test: np.ndarray  # (R,) bool: rows of the test file
    official_id: np.ndarray  # (R,) str: the competition's id of a row, '' where it has none
    file_row: np.ndarray | None = None  # (R,) int64 row of its own file, from 0; -1 in gaps; None: not kept
    masks: Masks = field(default_factory=dict)  # expression: (R,) bool, those that post-processing needs
    notes: tuple[str, ...] = ()  # what was handled and should be reported (unseen categories, ...)
    # (S,) int64 number of each series in the panel that models were fitted on, -1 of one that it does not
    # have; None: that panel is this one
    fitted_series: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """R."""
        return int(self.offsets[-1])

    @property
    def series(self) -> int:
        """S."""
        return len(self.offsets) - 1

    def series_of_row(self) -> np.ndarray:
        """(R,) int64: the series of each row."""
        return np.repeat(np.arange(self.series), np.diff(self.offsets))

    def series_when_fitted(self) -> np.ndarray:
        """(S,) int64: the number that all that was learnt of each series goes by; -1: nothing was learnt.

        Series are numbered in the order of their names, so one that comes or goes moves all behind it.
        """
        return np.arange(self.series) if self.fitted_series is None else self.fitted_series

    def save(self, folder: Path) -> None:
        """Write the panel into `folder` (parquet for tables, npz for arrays, JSON for names)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.to_parquet(folder / "frame.parquet", index=False)
        self.static.to_parquet(folder / "static.parquet", index=False)
        arrays = {
            "offsets": self.offsets,
            "time": self.time,
            "target": self.target,
            "weight": self.weight,
            "present": self.present,
            "test": self.test,
        }
        if self.file_row is not None:
            arrays["file_row"] = self.file_row
        if self.fitted_series is not None:
            arrays["fitted_series"] = self.fitted_series
        if self.timestamp is not None:
            arrays["timestamp"] = self.timestamp.astype("datetime64[ns]").astype(np.int64)
        np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
        pd.DataFrame({"official_id": self.official_id.astype(str)}).to_parquet(folder / "official_id.parquet")
        if self.masks:
            pd.DataFrame(self.masks).to_parquet(folder / "masks.parquet", index=False)
        names = {
            "series_name": [str(name) for name in self.series_name],
            "categories": self.categories,
            "target_name": list(self.target_name),
            "notes": list(self.notes),
        }
        (folder / "names.json").write_text(json.dumps(names))

    @classmethod
    def load(cls, folder: Path) -> Panel:
        """The panel that `save` wrote."""
        names = json.loads((folder / "names.json").read_text())
        with np.load(folder / "arrays.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        timestamp = arrays.pop("timestamp", None)
        masks_file = folder / "masks.parquet"
        masks = pd.read_parquet(masks_file) if masks_file.exists() else pd.DataFrame()
        return cls(
            series_name=np.array(names["series_name"], dtype=object),
            timestamp=None if timestamp is None else timestamp.astype("datetime64[ns]"),
            frame=pd.read_parquet(folder / "frame.parquet"),
            static=pd.read_parquet(folder / "static.parquet"),
            categories=names["categories"],
            target_name=tuple(names["target_name"]),
            official_id=pd.read_parquet(folder / "official_id.parquet")["official_id"].to_numpy(dtype=object),
            masks={name: masks[name].to_numpy(dtype=bool) for name in masks.columns},
            notes=tuple(names["notes"]),
            **arrays,
        )
