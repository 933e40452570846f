"""submissions/files/: where submissions are, and how one gets there whole or not at all.

    <name>.csv              the latest submission of that name
    <name>/<id>/            every submission of that name: submission.csv, manifest.json, command.txt
    log.jsonl               what was made, pushed and scored, a line each; lines are only ever added
    .work/, .locks/         being made; held by who makes it

A folder is never changed once it is there. The id says what a submission is: another one has another id, the
same command that makes the same bytes has the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError
from pipeline.keys import canonical_json
from pipeline.locks import lock
from pipeline.manifest import sync_folder

CSV, MANIFEST, COMMAND = "submission.csv", "manifest.json", "command.txt"
FORMAT = 1
LETTERS = "bcdfghjkmnpqrstv"  # sixteen that make no words, and no numbers on a command line
LENGTH = 8


@dataclass(frozen=True)
class Kept:
    """One submission's folder."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def identity(self) -> str:
        return str(self.manifest["id"])

    @property
    def csv(self) -> Path:
        return self.folder / CSV


def files_folder(root: Path) -> Path:
    """Where submissions are put for the user; root: artifacts/<competition>."""
    return Path(root).absolute().parent.parent / "submissions" / "files"


def submission_id(made_of: Mapping[str, str], checksum: str) -> str:
    """made_of: keys of the artefacts that the CSV was written from; checksum: its sha256."""
    content = canonical_json({"made_of": dict(made_of), "csv": checksum})
    digits = hashlib.sha256(content.encode()).hexdigest()[:LENGTH]
    return "".join(LETTERS[int(digit, 16)] for digit in digits)


def csv_checksum(file: Path) -> str:
    """sha256 of a CSV, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def publish(file: Path, target: Path) -> Path:
    """Copy a finished submission to `target`: aside, then renamed. Nothing is done if it is there."""
    if target.exists() and target.read_bytes() == file.read_bytes():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.copyfile(file, aside)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return target


def keep(files: Path, csv: Path, manifest: Mapping[str, Any], command: str) -> Kept:
    """Put a CSV with its manifest into a folder of its own; the one that is there, if it is."""
    name, identity = manifest["name"], manifest["id"]
    target = files / name / identity
    work = files / ".work" / f"{name}@{identity}"
    with lock(files / ".locks" / f"{name}@{identity}.lock"):
        if not (target / MANIFEST).is_file():
            shutil.rmtree(work, ignore_errors=True)  # of one that was killed
            work.mkdir(parents=True)
            _write(work / COMMAND, f"{command}\n".encode())
            _write(work / MANIFEST, (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode())
            _write(work / CSV, csv.read_bytes())
            sync_folder(work)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(work, target)
            sync_folder(target.parent)
    return read_kept(target)


def read_kept(folder: Path) -> Kept:
    """The submission in `folder`. InputError where there is none, or its manifest is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no submission is there ({MANIFEST} is missing)") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / MANIFEST}: cannot be read ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or "csv" not in manifest:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise InputError(f"{folder / MANIFEST}: no manifest of a submission (format {found!r}, not {FORMAT})")
    return Kept(folder, manifest)


def all_kept(files: Path) -> list[Kept]:
    """Every submission that is there, by name and time."""
    folders = sorted(file.parent for file in files.glob(f"[!.]*/[!.]*/{MANIFEST}"))
    return sorted(map(read_kept, folders), key=lambda one: (one.name, one.manifest["made"], one.identity))


def command_line(words: Sequence[str]) -> str:
    """Words as one line that a shell understands."""
    import shlex

    return shlex.join(words)


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
