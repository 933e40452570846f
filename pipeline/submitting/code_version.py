"""Which code made a submission: version, commit where it is a checkout, and a hash of all sources."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.libraries import project_version

PROJECT = Path(__file__).resolve().parents[2]
#: The packages of the project, as pyproject.toml has them.
PACKAGES = ("pipeline", "features", "models", "data", "submissions")
SUFFIXES = (".py", ".yaml", ".css", ".html")


@cache
def code_version() -> dict[str, Any]:
    """version; commit (None outside of a checkout); changed: tracked files differ; sources: a hash."""
    commit = _git("rev-parse", "HEAD") if (PROJECT / ".git").exists() else None
    changed = bool(_git("status", "--porcelain", "--untracked-files=no")) if commit else None
    return {
        "version": project_version(),
        "commit": commit or None,
        "changed": changed,
        "sources": sources_hash(),
    }


def source_files() -> list[Path]:
    """Every file of the project's packages that a run may read, sorted; data files are none of them."""
    files = [file for package in PACKAGES for file in (PROJECT / package).rglob("*")]
    own = [PROJECT / folder for folder in ("data/files", "submissions/files", "submissions/packs")]
    return sorted(
        file
        for file in files
        if file.is_file()
        and file.suffix in SUFFIXES
        and not any(file.is_relative_to(folder) for folder in own)
    )


def sources_hash() -> str:
    """Of names and contents of all source files."""
    found = hashlib.sha256()
    for file in source_files():
        content = file.read_bytes()
        found.update(f"{file.relative_to(PROJECT).as_posix()}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()[:32]


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
