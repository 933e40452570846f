"""The key of an artefact: a hash of everything that its content depends on.

Two jobs with the same key make the same bytes, so an artefact whose manifest has the wanted key need not be
made again, wherever and whenever it was made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.stage import Job

LENGTH = 32  # hexadecimal digits: 128 bits
SHORT = 8  # digits in folder names that people read


def job_key(job: Job, input_keys: Mapping[str, str]) -> str:
    """Hash of the canonical JSON of stage, version, settings and the inputs' keys by path."""
    content = {
        "stage": job.stage,
        "version": job.version,
        "settings": plain(job.settings),
        "inputs": {path: input_keys[path] for path in job.inputs},
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:LENGTH]


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def plain(value: Any, where: str = "settings") -> Any:
    """`value` as what JSON gives back: dicts with text keys, lists, text, numbers, booleans and null.

    So a stage sees the same settings under every executor. Raises TypeError, naming the place, for what
    JSON cannot say.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if type(value) in (int, float):  # a numpy number would be written in more than one way
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where}: key {key!r} is no text, so it cannot be part of an artefact's key")
        return {key: plain(entry, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [plain(entry, f"{where}.{index}") for index, entry in enumerate(value)]
    raise TypeError(f"{where}: {value!r} is of type {type(value).__name__}, which JSON cannot say")
