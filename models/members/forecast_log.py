"""Forecasts of single series that are done, on disk one by one: a killed job goes on where it was."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

_DIGEST = 16
_REASON = 160  # bytes; what is longer is cut


class LocalForecast(NamedTuple):
    """What was forecast from one history."""

    value: np.ndarray  # (horizon, 1 + Q) the point, then quantiles; transformed units
    reason: str = ""  # why it is no forecast of the model but the seasonal naive one


class ForecastLog:
    """An append-only file of forecasts by the content that they were made from.

    Since the key is the history itself, a forecast is never taken for another's. A record that a kill left
    unfinished at the end of the file is cut off.
    """

    def __init__(self, file: Path, about: str, horizon: int, outputs: int) -> None:
        """about: whatever else the forecasts depend on (settings, versions)."""
        self._file, self._about, self._shape = file, about, (horizon, outputs)
        self._record = np.dtype(
            [("key", f"V{_DIGEST}"), ("reason", f"S{_REASON}"), ("value", np.float64, self._shape)]
        )
        self._known: dict[bytes, LocalForecast] = {}
        if not file.exists():
            return
        whole = file.stat().st_size // self._record.itemsize
        with file.open("r+b") as stream:
            stream.truncate(whole * self._record.itemsize)
        for record in np.fromfile(file, dtype=self._record):
            reason = record["reason"].decode(errors="ignore")
            self._known[record["key"].tobytes()] = LocalForecast(record["value"].copy(), reason)

    def key(self, history: np.ndarray) -> bytes:
        """The key of a history under these settings."""
        content = f"{self._about} {self._shape} ".encode() + np.ascontiguousarray(history).tobytes()
        return hashlib.blake2b(content, digest_size=_DIGEST).digest()

    def get(self, key: bytes) -> LocalForecast | None:
        """The forecast that was made before, None if there is none."""
        return self._known.get(key)

    def add(self, key: bytes, forecast: LocalForecast) -> None:
        """Keep a forecast, on disk at once; its reason in one line, cut where it is too long."""
        reason = " ".join(forecast.reason.split()).encode()[:_REASON]
        forecast = LocalForecast(forecast.value, reason.decode(errors="ignore"))
        record = np.zeros(1, dtype=self._record)
        record["key"] = np.frombuffer(key, dtype=f"V{_DIGEST}")
        record["reason"] = reason
        record["value"] = forecast.value
        with self._file.open("ab") as stream:
            stream.write(record.tobytes())
        self._known[key] = forecast
