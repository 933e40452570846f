"""The user's own metric: a function f(truth, prediction, weight) -> float in a Python file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data.errors import InputError, unknown
from data.metrics.base import LOSS_HINTS, METRICS, Metric, UndefinedScore, require_choice
from data.metrics.table import MetricTable


@METRICS.register("python")
@dataclass(frozen=True)
class UserFunction(Metric):
    """Your own function, as `python:my/metric.py:function`: f(truth, prediction, weight) -> float.

    It gets the rows of weight above 0 in original units: (N,) arrays for one target, (N, K) for several.
    The path is relative to the working directory. Set `maximize: true` where greater is better, and
    `loss` to the training loss that suits it.
    """

    function: str
    maximize: bool = False
    loss: str = "l1"
    name: ClassVar[str] = "python"
    loss_hint: ClassVar[str] = "l1"
    _path: ClassVar[Path]  # set on the object, like those above
    _call: ClassVar[Callable[..., Any]]

    def __post_init__(self) -> None:
        require_choice(self, "loss", self.loss, LOSS_HINTS)
        if not isinstance(self.maximize, bool):
            raise InputError(f"metric 'python': maximize is {self.maximize!r}, expected true or false")
        path, call = _load(self.function)
        # Class attributes elsewhere; here they come from the settings. The dataclass is frozen.
        for attribute, value in (
            ("greater_is_better", self.maximize),
            ("loss_hint", self.loss),
            ("_path", path),
            ("_call", call),
        ):
            object.__setattr__(self, attribute, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # The loaded function belongs to no importable module, so a worker process loads it again,
        # perhaps from another working directory.
        function = f"{self._path}:{self.function.rpartition(':')[2]}"
        return type(self), (function, self.maximize, self.loss)

    def compute(self, table: MetricTable) -> float:
        truth, prediction = table.truth, table.prediction
        if truth.shape[1] == 1:
            truth, prediction = truth[:, 0], prediction[:, 0]
        try:
            value = self._call(truth.copy(), prediction.copy(), table.weight.copy())
        except Exception as error:
            raise InputError(f"metric {self.function}: {_describe(error, self._path)}") from error
        try:
            number = float(np.asarray(value).reshape(()))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"metric {self.function} returned {str(value)[:80]!r}, expected one number"
            ) from error
        if not np.isfinite(number):
            raise UndefinedScore(f"metric {self.function} returned {number}, expected a finite number")
        return number


def _load(reference: Any) -> tuple[Path, Callable[..., Any]]:
    """The absolute path and the function that FILE.py:FUNCTION names; InputError where there is none."""
    file, colon, name = str(reference).rpartition(":")
    if not colon or not name.isidentifier():
        raise InputError(f"metric 'python': function is {str(reference)!r}, expected FILE.py:FUNCTION")
    path = Path(file).expanduser().resolve()
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"metric 'python': {file} is not a Python file that exists (looked in {Path.cwd()})")
    module_name = f"user_metric_{path.stem}_{zlib.crc32(str(path).encode()):x}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses in the file look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise InputError(f"metric 'python': {file} cannot be loaded: {_describe(error, path)}") from error
    functions = {key: value for key, value in vars(module).items() if callable(value) and key[0] != "_"}
    if name not in functions:
        raise unknown("function", name, functions, str(file))
    found: Callable[..., Any] = functions[name]
    return path, found


def _describe(error: Exception, path: Path) -> str:
    """The error and the last line of the user's own file that led to it (a SyntaxError says its line)."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = f"line {frames[-1].lineno} of {path.name}: " if frames else ""
    return f"{line}{type(error).__name__}: {error}"
