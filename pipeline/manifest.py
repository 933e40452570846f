"""The manifest of an artefact: what it was made of, with what, and which files belong to it.

It is written last, so that its existence means complete. It is trusted only as far as the files still match
it: sizes are compared always, checksums wherever a file's time of change is not the recorded one (a copied
or edited file), so that looking costs next to nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.keys import plain
from pipeline.libraries import library_versions
from pipeline.stage import Job

FILE = "manifest.json"
FORMAT = 1


class DamagedArtifact(Exception):
    """The manifest cannot be read or does not match the files; the text says how."""


@dataclass(frozen=True)
class FileRecord:
    """One file of an artefact."""

    size: int  # bytes
    checksum: str  # blake2b, 128 bits, hexadecimal
    modified: int  # time of the last change, nanoseconds


@dataclass(frozen=True)
class Manifest:
    """What manifest.json holds."""

    key: str
    stage: str
    version: int
    settings: dict[str, Any]
    inputs: dict[str, str]  # path of an input artefact: its key
    started: str  # UTC, ISO 8601
    finished: str
    seconds: float  # work in all attempts
    peak_memory_mib: float  # of the process, in the last attempt
    libraries: dict[str, str]
    files: dict[str, FileRecord]  # by path below the artefact's folder
    group: str | None = None  # jobs of one group cost about the same
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Into `folder`, so that it is there whole or not at all, also after a power cut."""
        aside = folder / f".{FILE}"
        with aside.open("w", encoding="utf-8") as stream:
            json.dump(asdict(self), stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, folder / FILE)
        sync_folder(folder)


@dataclass(frozen=True)
class Costs:
    """What making an artefact took."""

    started: str
    finished: str
    seconds: float
    peak_memory_mib: float


def make_manifest(job: Job, key: str, input_keys: dict[str, str], costs: Costs, folder: Path) -> Manifest:
    """The manifest of what lies in `folder`; everything in it is on the disk when this returns."""
    return Manifest(
        key=key,
        stage=job.stage,
        version=job.version,
        settings=plain(job.settings),
        inputs=dict(input_keys),
        started=costs.started,
        finished=costs.finished,
        seconds=round(costs.seconds, 3),
        peak_memory_mib=round(costs.peak_memory_mib, 1),
        libraries=library_versions(*job.details.get("extras", ())),
        files={name: _record(folder / name) for name in _stored_files(folder)},
        group=job.details.get("group"),
    )


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in `folder`, None where there is none. Raises DamagedArtifact for one that is broken."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        files = {name: FileRecord(**record) for name, record in content.pop("files").items()}
        manifest = Manifest(**content, files=files)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedArtifact(f"{FILE} cannot be read ({error})") from error
    if manifest.format != FORMAT:
        raise DamagedArtifact(f"{FILE} has format {manifest.format}, expected {FORMAT}")
    return manifest


def check_files(folder: Path, manifest: Manifest, checksums: bool = True) -> None:
    """DamagedArtifact for the first file that is missing, or of another size or content than recorded."""
    for name, record in manifest.files.items():
        try:
            status = (folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise DamagedArtifact(f"{name} is missing") from None
        if status.st_size != record.size:
            raise DamagedArtifact(f"{name} has {status.st_size} bytes, expected {record.size}")
        untouched = status.st_mtime_ns == record.modified or not checksums
        if not untouched and _checksum(folder / name) != record.checksum:
            raise DamagedArtifact(f"{name} has another checksum than when it was written")


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stored_files(folder: Path) -> Iterator[str]:
    """Every file below `folder` but the manifest, sorted; files and folders are synced on the way."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            file = Path(place) / name
            if file == folder / FILE:
                continue
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            yield file.relative_to(folder).as_posix()
        sync_folder(Path(place))


def _record(file: Path) -> FileRecord:
    status = file.stat()
    return FileRecord(status.st_size, _checksum(file), status.st_mtime_ns)


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
