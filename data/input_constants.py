"""What `build_inputs` learns from a fold's training rows, so that other rows can be scaled by it later.

Which values a category has, the scale of each known column, which columns have an indicator of missing
values: with these, inputs of new rows have the columns and units that a fitted model expects, whatever the
new rows are like.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.errors import InputError
from data.input_scaling import Scaler

NAMES = "names"  # the entry of the file that lists what the others are


@dataclass(frozen=True)
class InputConstants:
    """By column name, of one fold."""

    columns: tuple[str, ...] = ()  # names of all real columns, in order
    scaler: Mapping[str, Scaler] = field(default_factory=dict)  # known columns of unit `plain`
    missing: tuple[str, ...] = ()  # columns beside which an indicator of missing values stands, in order
    category: Mapping[str, np.ndarray] = field(default_factory=dict)  # (size,) bool: codes that were seen
    static_real: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # centre and spread
    static_missing: tuple[str, ...] = ()  # static reals with an indicator
    static_category: Mapping[str, np.ndarray] = field(default_factory=dict)
    location: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))  # (K,) of targets
    scale: np.ndarray = field(default_factory=lambda: np.ones(0, dtype=np.float32))  # (K,)

    def check(self, columns: Sequence[str], categories: Mapping[str, int]) -> None:
        """InputError unless these are the columns that were fitted on. categories: name: size."""
        for names, fitted in ((columns, self.columns), (categories, self.category)):
            new = [name for name in names if name not in fitted]
            gone = [name for name in fitted if name not in names]
            if new or gone:
                what = f"column {new[0]!r} was not there" if new else f"column {gone[0]!r} is missing"
                raise InputError(f"input columns are not those that the models were fitted on: {what}")
        for name, size in categories.items():
            fitted_size = len(self.category[name])
            if size != fitted_size:
                raise InputError(
                    f"column {name!r} has {size} categories; the models were fitted on {fitted_size}"
                )

    def save(self, file: Path) -> None:
        """Write an npz file."""
        arrays: dict[str, np.ndarray] = {"location": self.location, "scale": self.scale}
        for name, scaler in self.scaler.items():
            for key, value in scaler.parameters.items():
                arrays[f"scaler/{key}/{name}"] = value
        for name, seen in self.category.items():
            arrays[f"category/{name}"] = seen
        for name, seen in self.static_category.items():
            arrays[f"static_category/{name}"] = seen
        for name, pair in self.static_real.items():
            arrays[f"static_real/{name}"] = np.array(pair, dtype=np.float64)
        # Numbered, as names of columns are no names of files.
        names = {
            "arrays": list(arrays),
            "scaler": {name: scaler.kind for name, scaler in self.scaler.items()},
            "columns": list(self.columns),
            "missing": list(self.missing),
            "static_missing": list(self.static_missing),
        }
        stored = {str(number): value for number, value in enumerate(arrays.values())}
        with file.open("wb") as stream:
            np.savez(stream, **stored, **{NAMES: np.array(json.dumps(names))})  # type: ignore[arg-type]

    @classmethod
    def load(cls, file: Path) -> InputConstants:
        """What `save` wrote."""
        with np.load(file) as stored:
            names = json.loads(str(stored[NAMES]))
            arrays = {name: stored[str(number)] for number, name in enumerate(names["arrays"])}

        def below(group: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(f"{group}/"): value
                for name, value in arrays.items()
                if name.startswith(f"{group}/")
            }

        scaler = {}
        for name, kind in names["scaler"].items():
            own = [(key.partition("/"), value) for key, value in below("scaler").items()]
            scaler[name] = Scaler(kind, {key: value for (key, _, column), value in own if column == name})
        return cls(
            columns=tuple(names["columns"]),
            scaler=scaler,
            missing=tuple(names["missing"]),
            category=below("category"),
            static_real={
                name: (float(pair[0]), float(pair[1])) for name, pair in below("static_real").items()
            },
            static_missing=tuple(names["static_missing"]),
            static_category=below("static_category"),
            location=arrays["location"],
            scale=arrays["scale"],
        )
