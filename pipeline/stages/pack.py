"""pack: no artefacts; a folder for the user, from those of a submission (pipeline/submitting/pack.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pipeline.config import Config
from pipeline.stage import STAGES, StageWithoutJobs
from pipeline.store import ArtifactStore


@STAGES.register("pack")
class Pack(StageWithoutJobs):
    """submissions/packs/<name>: what forecasts other test rows without a network."""

    name: ClassVar[str] = "pack"


def pack_lines(config: Config) -> Iterator[str]:
    """Write it; what the command prints."""
    from pipeline.submitting.pack import pack

    root = Path(config.root) / "artifacts" / config.competition.name
    yield from pack(config, ArtifactStore(root))
