"""submissions/files/log.jsonl: what became of submissions, a line each.

Lines are only ever added, by one write under a lock, so that commands that run at once lose none of each
other's. A line that a kill or a full disk cut short is passed over, and the next one begins below it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.locks import lock

FILE = "log.jsonl"
#: What a line may tell of: it was made; its public score; the beginning and the end of an upload.
MADE, PUBLIC, PUSHING, PUSHED, REFUSED = "made", "public", "pushing", "pushed", "refused"

Event = dict[str, Any]


def add_event(
    files: Path, event: str, content: Mapping[str, Any], unless: Callable[[list[Event]], bool] | None = None
) -> bool:
    """Add a line, unless that is so of the lines that are there; whether it was added."""
    files.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"event": event, "time": now, **content}, allow_nan=False) + "\n"
    file = files / FILE
    with lock(files / ".locks" / f"{FILE}.lock"):
        if unless is not None and unless(events(files)):
            return False
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            cut_short = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            left = (b"\n" if cut_short else b"") + line.encode()
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return True


def events(files: Path) -> list[Event]:
    """All lines, the oldest first."""
    try:
        text = (files / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # cut short
        if isinstance(event, dict) and {"event", "name", "id"} <= set(event):
            found.append(event)
    return found


def of_submission(found: list[Event], name: str, identity: str) -> list[Event]:
    """Those that tell of one submission."""
    return [event for event in found if event["name"] == name and event["id"] == identity]
