"""artifacts/<competition>/: which artefacts are there, and how one gets there whole or not at all.

    <root>/<path>/                   an artefact; readable names, the key in its manifest.json
    <root>/.work/<path>@<key8>/      being made, or left by a kill; the same job goes on in it
    <root>/.aside/<path>/<key>/      made with other settings; taken up again when they return
    <root>/.locks/<path>.lock        held by whoever makes or reads the artefact

A name that begins with a dot inside an artefact's folder is for work only and is removed at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from data.errors import InputError
from pipeline.keys import SHORT, job_key
from pipeline.locks import lock, lock_if_free
from pipeline.manifest import (
    FILE,
    Costs,
    DamagedArtifact,
    Manifest,
    check_files,
    make_manifest,
    read_manifest,
    sync_folder,
)
from pipeline.stage import Job

State = Literal["done", "stale", "missing", "damaged"]
DAMAGED = "@damaged"  # stands for the key of what is set aside and cannot be trusted


class ArtifactStore:
    """The artefacts of one competition."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._settled: dict[str, str] = {}  # path: key of what this command has made or found done
        self._checked: set[tuple[str, int]] = set()  # manifests whose files were looked at

    def folder(self, path: str) -> Path:
        """Where the artefact `path` lies.

        Raises InputError if it is not there complete, or is not the one that this command made or found.
        """
        self._required(path, self._settled.get(path))
        return self.root / path

    def manifest(self, path: str) -> Manifest | None:
        """The manifest of an artefact that can be trusted, else None."""
        try:
            return self._trusted(self.root / path)
        except DamagedArtifact:
            return None

    def damage(self, path: str) -> str:
        """What is wrong with the artefact that is there; '' if nothing is, or none is there."""
        try:
            self._trusted(self.root / path)
        except DamagedArtifact as damage:
            return str(damage)
        return ""

    def key(self, job: Job) -> str:
        """The key that the job's artefact must have. Raises InputError if an input is not there complete."""
        return job_key(job, self.input_keys(job))

    def input_keys(self, job: Job) -> dict[str, str]:
        """Keys of the job's inputs by path, as their manifests have them.

        Raises InputError if one is not there, or is not the one that this command made or found.
        """
        return {path: self._required(path, self._settled.get(path)).key for path in job.inputs}

    def require(self, path: str, key: str) -> None:
        """InputError unless the artefact is there, complete, with this key."""
        self._required(path, key)

    def state(self, job: Job) -> State:
        """done; stale: made with other settings; damaged: not to be trusted; missing, also of its inputs."""
        if self.damage(job.path):
            return "damaged"
        manifest = self.manifest(job.path)
        if manifest is None or any(self.manifest(path) is None for path in job.inputs):
            return "missing"
        return "done" if manifest.key == self.key(job) else "stale"

    def has(self, path: str, key: str) -> bool:
        """Whether the artefact is there, complete, with this key."""
        manifest = self.manifest(path)
        return manifest is not None and manifest.key == key

    def settle(self, path: str, key: str) -> None:
        """From now on this command reads `path` with this key only."""
        self._settled[path] = key

    def working_folder(self, path: str, key: str) -> Path:
        """Where the artefact is made: with what an earlier attempt at the same key left, else empty."""
        folder = self._work(path, key)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def work_done(self, path: str, key: str) -> float:
        """Seconds that earlier attempts, killed before they finished, put into the same artefact."""
        try:
            return float((self._work(path, key) / ".seconds").read_text())
        except (OSError, ValueError):
            return 0.0

    def note_work(self, path: str, key: str, seconds: float) -> None:
        """Remember that this much work lies in the working folder."""
        (self._work(path, key) / ".seconds").write_text(f"{seconds:.1f}")

    def commit(self, job: Job, key: str, input_keys: dict[str, str], costs: Costs) -> None:
        """The working folder is complete: write its manifest and put it in its place."""
        folder = self._work(job.path, key)
        for entry in [*folder.rglob(".*")]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        make_manifest(job, key, input_keys, costs, folder).write(folder)
        self._place(folder, job.path)

    def take_up(self, path: str, key: str) -> bool:
        """Put a finished artefact with this key in its place, if one lies aside or was just being placed.

        The caller holds the lock of `path`.
        """
        for folder in (self._work(path, key), self._aside(path, key)):
            try:
                manifest = self._trusted(folder)
            except DamagedArtifact:
                # In a working folder this means that its manifest is older than its files: go on working.
                (folder / FILE).unlink(missing_ok=True)
                continue
            if manifest is not None and manifest.key == key:
                self._place(folder, path)
                return True
        return False

    def lies_aside(self, path: str, key: str) -> bool:
        """Whether `take_up` is worth a try."""
        return any((folder / FILE).exists() for folder in (self._work(path, key), self._aside(path, key)))

    def lock(
        self,
        path: str,
        shared: bool = False,
        deadline: float | None = None,
        on_wait: Callable[[str], None] = lambda holder: None,
    ) -> AbstractContextManager[None]:
        """Hold the artefact, against other processes, to make it or (shared) to read it; see `locks.lock`."""
        return lock(self._lock_file(path), shared, deadline, on_wait)

    def lock_if_free(self, path: str) -> AbstractContextManager[bool]:
        """Hold the artefact if no other process does."""
        return lock_if_free(self._lock_file(path))

    def _place(self, folder: Path, path: str) -> None:
        """Rename `folder` to the artefact `path`; what is there goes aside first."""
        target = self.root / path
        self._refuse_nesting(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            self._set_aside(path)
        os.rename(folder, target)
        sync_folder(target.parent)
        sync_folder(folder.parent)

    def _set_aside(self, path: str) -> None:
        try:
            manifest = self._trusted(self.root / path)
        except DamagedArtifact:
            manifest = None
        aside = self._aside(path, DAMAGED if manifest is None else manifest.key)
        if aside.exists():  # the same bytes, or an older ruin
            shutil.rmtree(aside)
        aside.parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.root / path, aside)
        sync_folder(aside.parent)

    def _refuse_nesting(self, target: Path) -> None:
        for parent in target.parents:
            if parent == self.root:
                break
            assert not (parent / FILE).exists(), f"artefact {target} lies inside the artefact {parent}"
        inside = [file for file in target.rglob(FILE) if file.parent != target]
        assert not inside, f"artefact {target} would hold other artefacts: {inside[0].parent}"

    def _trusted(self, folder: Path) -> Manifest | None:
        """Sizes are compared every time, checksums (where times differ) once a manifest."""
        manifest = read_manifest(folder)
        if manifest is None:
            return None
        mark = (str(folder), (folder / FILE).stat().st_mtime_ns)
        check_files(folder, manifest, checksums=mark not in self._checked)
        self._checked.add(mark)
        return manifest

    def _required(self, path: str, key: str | None) -> Manifest:
        """The manifest of an artefact that must be there complete, with this key where one is given."""
        manifest = self.manifest(path)
        if manifest is None:
            raise self._absent(path)
        if key is not None and manifest.key != key:
            raise InputError(
                f"{self.root / path}: another run with other settings has replaced this artefact while this "
                "run was going; run the same command again when the other one has finished"
            )
        return manifest

    def _absent(self, path: str) -> InputError:
        damage = self.damage(path)
        found = f"the artefact is damaged ({damage})" if damage else "the artefact is not there"
        return InputError(f"{self.root / path}: {found}; stage=all makes all that is needed")

    def _work(self, path: str, key: str) -> Path:
        return self.root / ".work" / f"{path}@{key[:SHORT]}"

    def _aside(self, path: str, key: str) -> Path:
        return self.root / ".aside" / path / key

    def _lock_file(self, path: str) -> Path:
        return self.root / ".locks" / f"{path}.lock"
