"""memory.json: how far back the member of a fit uses the data, beside the fit's predictions.

Measured of networks, on windows of the first fold's validation part, by the first seed's fit. A measure that
fails costs neither the fit nor the run: what went wrong stands in the file, at the end of the stage, and in
the report.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from models.members.base import FitTask, Member
from models.members.neural import NeuralMember
from models.memory.fitted_member import memory_of_fit

FILE = "memory.json"

#: Parameters times rows that are run through, at most: some seconds on one core.
WORK = 6e10


def has_memory(kind: type[Member]) -> bool:
    """Whether there is something to measure: trees and local statistics have no windows."""
    return issubclass(kind, NeuralMember)


def measure_memory(member: Member, task: FitTask) -> None:
    """Write memory.json into the folder of a finished fit; what goes wrong is written there, not raised."""

    def measure() -> dict[str, Any]:
        memory = memory_of_fit(member, task, work=WORK)
        assert memory is not None, "only a network's fold is measured, and a fold asks something"
        return memory.to_json()

    write_memory(measure, task.folder)


def write_memory(measure: Callable[[], dict[str, Any]], folder: Path) -> None:
    """Write what `measure` gives (JSON-ready), or what went wrong, as memory.json into `folder`."""
    try:
        text = json.dumps(measure(), indent=1, allow_nan=False)
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        lines = traceback.format_exc().splitlines()
        text = json.dumps({"error": words, "traceback": lines}, indent=1)
    (folder / FILE).write_text(text, encoding="utf-8")


def read_memory(folder: Path) -> dict[str, Any] | None:
    """What `measure_memory` wrote; None where nothing was measured."""
    file = folder / FILE
    if not file.exists():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def failed_measures(folders: Iterable[Path]) -> list[str]:
    """One line for each fit whose memory could not be measured."""
    found = []
    for folder in folders:
        content = read_memory(folder)
        if content is not None and "error" in content:
            found.append(
                f"memory of {'/'.join(folder.parts[-3:])} could not be measured ({content['error']})"
            )
    return found
