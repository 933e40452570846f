"""What may be thrown away: artefacts set aside, unfinished work, ruins. Never an artefact in its place."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.disk import folder_size
from pipeline.keys import LENGTH, SHORT
from pipeline.store import DAMAGED, ArtifactStore

_WORK = re.compile(rf"(?P<path>.+)@(?P<key>[0-9a-f]{{{SHORT}}})")
_PARTIAL = re.compile(r"\..+\.(?P<pid>\d+)\.partial")
_ASIDE = re.compile(rf"(?P<path>.+)/(?P<key>[0-9a-f]{{{LENGTH}}}|{DAMAGED})")


Kind = Literal["aside", "unfinished", "damaged"]


@dataclass(frozen=True)
class Leftover:
    """One folder that no artefact needs."""

    kind: Kind
    path: str  # of the artefact that it is, or was to become
    key: str
    folder: Path
    size: int  # bytes


def leftovers(store: ArtifactStore) -> list[Leftover]:
    """All of them, the largest first."""
    found = []
    for area, pattern in ((".work", _WORK), (".aside", _ASIDE)):
        for folder, path, key in _matching(store.root / area, store.root / area, pattern):
            kind: Kind = "unfinished" if area == ".work" else "aside"
            found.append(
                Leftover("damaged" if key == DAMAGED else kind, path, key, folder, folder_size(folder))
            )
    return sorted(found, key=lambda leftover: (-leftover.size, leftover.folder))


def remove_leftovers(store: ArtifactStore, chosen: Iterable[Leftover]) -> list[Leftover]:
    """Remove them but those that a run holds at this moment; returns what was removed."""
    removed = []
    for leftover in chosen:
        with store.lock_if_free(leftover.path) as held:
            if held:
                shutil.rmtree(leftover.folder)
                removed.append(leftover)
    return removed


def half_written_files(folders: Iterable[Path]) -> list[Path]:
    """Files named .NAME.PID.partial at any depth below the folders, whose process is gone."""
    files = (file for folder in folders if folder.is_dir() for file in sorted(folder.rglob(".*.partial")))
    return [
        file for file in files if (match := _PARTIAL.fullmatch(file.name)) and not _runs(int(match["pid"]))
    ]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _matching(folder: Path, area: Path, pattern: re.Pattern[str]) -> list[tuple[Path, str, str]]:
    """Folders whose path below `area` has the pattern; what lies inside one of them is not looked at."""
    found = []
    for child in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = pattern.fullmatch(child.relative_to(area).as_posix())
        if match:
            found.append((child, match["path"], match["key"]))
        elif child.is_dir():
            found += _matching(child, area, pattern)
    return found
