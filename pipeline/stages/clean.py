"""clean: no artefacts; lists what no artefact needs any more, and removes it where it is asked to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pipeline.clean import Kind, Leftover, half_written_files, leftovers, remove_leftovers
from pipeline.config import Config
from pipeline.report.text import plural
from pipeline.stage import STAGES, StageWithoutJobs
from pipeline.store import ArtifactStore

SHOWN = 10  # of the largest
WORDS: dict[Kind, str] = {
    "aside": "set aside: taken up again if the setting returns",
    "unfinished": "unfinished: goes on where it stopped if the run does",
    "damaged": "damaged: files were changed or lost",
}


@STAGES.register("clean")
class Clean(StageWithoutJobs):
    """Artefacts set aside, unfinished work, ruins and half-written files; clean.remove=true removes them."""

    name: ClassVar[str] = "clean"


def clean_lines(config: Config) -> Iterator[str]:
    """What the command prints. Artefacts that stand in their places are never touched."""
    root = Path(config.root)
    total = 0
    for name in (config.competition.name, "probe"):
        folder = root / "artifacts" / name
        if not folder.is_dir():
            continue
        store = ArtifactStore(folder)
        found = leftovers(store)
        if config.clean.remove:
            found = remove_leftovers(store, found)
        total += len(found)
        yield from _told(folder, found, config.clean.remove)
    files = half_written_files([root / "artifacts" / config.competition.name, root / "submissions"])
    for file in files:
        yield f"half written by a command that is gone: {file}"
        if config.clean.remove:
            file.unlink(missing_ok=True)
    total += len(files)
    if not total:
        yield f"{config.competition.name}: nothing that is not needed"
    elif not config.clean.remove:
        yield "nothing was removed; clean.remove=true removes all of it"


def _told(folder: Path, found: list[Leftover], removed: bool) -> Iterator[str]:
    kinds = Counter(leftover.kind for leftover in found)
    for kind, words in WORDS.items():
        if kinds[kind]:
            size = sum(leftover.size for leftover in found if leftover.kind == kind)
            what = f"{plural(kinds[kind], 'artefact')}, {_mib(size)} MiB"
            yield f"{'removed ' if removed else ''}{folder}: {what} {words}"
    for leftover in found[:SHOWN]:
        yield f"  {_mib(leftover.size):>10} MiB  {leftover.kind:<10}  {leftover.path}  ({leftover.key[:8]})"
    if len(found) > SHOWN:
        yield f"  and {len(found) - SHOWN} smaller ones"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}"
