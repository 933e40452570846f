"""The log as a table for people: a submission a line, with its scores side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.submitting.find import find_kept
from pipeline.submitting.log import FILE, MADE, PUBLIC, PUSHED, Event, add_event, events

HEADINGS = ("made (UTC)", "submission", "metric", "cv", "local", "public", "pushed (UTC)")


@dataclass
class Line:
    """What the log tells of one submission."""

    made: Event
    public: float | None = None  # the one that was entered last
    pushed: str | None = None
    all_public: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.made['name']}/{self.made['id']}"


def log_lines(files: Path) -> list[Line]:
    """A line for each submission that was made, the oldest first."""
    found: dict[tuple[str, str], Line] = {}
    for event in events(files):
        key = (event["name"], event["id"])
        if event["event"] == MADE:
            found.setdefault(key, Line(event))
        elif key in found and event["event"] == PUBLIC:
            found[key].public = event["score"]
            found[key].all_public.append(event["score"])
        elif key in found and event["event"] == PUSHED:
            found[key].pushed = event["time"]
    return list(found.values())


def enter_public_score(files: Path, word: str, score: float) -> str:
    """Note the public score of a submission; what to say. InputError for one that is not there."""
    kept = find_kept(files, word, "submit.name")
    add_event(files, PUBLIC, {"name": kept.name, "id": kept.identity, "score": score})
    return f"public score of {kept.name}/{kept.identity}: {score:g}"


def table_lines(files: Path) -> Iterator[str]:
    """The table, or one line where there is nothing yet."""
    lines = log_lines(files)
    if not lines:
        yield f"no submissions in {files} yet: stage=submit makes one"
        return
    rows = [HEADINGS, *map(_cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        cells = [
            cell.rjust(width) if heading in ("cv", "local", "public") else cell.ljust(width)
            for cell, width, heading in zip(row, widths, HEADINGS, strict=True)
        ]
        yield "  ".join(cells).rstrip()
    yield f"log: {files / FILE}"


def _cells(line: Line) -> tuple[str, ...]:
    made = line.made
    return (
        _time(made["time"]),
        line.name,
        str(made.get("metric") or ""),
        _number(made.get("cv")),
        _number(made.get("local")),
        _number(line.public),
        _time(line.pushed) if line.pushed else "",
    )


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.5g}"


def _time(text: str) -> str:
    return text[:16].replace("T", " ")
