"""The real command line, in this process or as one of its own, and what it left below its root."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import run

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 240.0  # seconds until a test gives up waiting
PROGRAM = [sys.executable, "-m", "pipeline.run"]


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def line(self, beginning: str) -> str:
        """The one line of stdout that begins so."""
        [found] = [line for line in self.out.splitlines() if line.startswith(beginning)]
        return found

    def stage(self, name: str) -> str:
        """What the line of a stage says that it did."""
        [found] = re.findall(rf"^{name} +(\d.*|nothing.*)$", self.out, re.MULTILINE)
        return str(found)


def here(*words: str) -> Finished:
    """Run a command in this process: quick, as the libraries are there already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run.main([*words])
    return Finished(code, out.getvalue(), err.getvalue())


class Process:
    """A command as a process of its own, with a process group of its own that can be killed whole."""

    def __init__(self, *words: str, folder: Path = PROJECT) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> Finished:
        """kill -9 of the command and all its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.end()

    def end(self, patience: float = PATIENCE) -> Finished:
        try:
            out, err = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return Finished(self.process.returncode, out, err)

    def wait_for(self, condition: Callable[[], Any]) -> bool:
        """Whether the condition came true before the command ended."""
        end = time.monotonic() + PATIENCE
        while self.running():
            if condition():
                return True
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.002)
        return False


def apart(*words: str, folder: Path = PROJECT, patience: float = PATIENCE) -> Finished:
    """Run a command in a process of its own."""
    return Process(*words, folder=folder).end(patience)


class Root:
    """What commands with root=FOLDER leave there."""

    def __init__(self, folder: Path, competition: str) -> None:
        self.folder = folder
        self.competition = competition
        self.artifacts = folder / "artifacts" / competition

    def copy(self, folder: Path) -> Root:
        """The same again, times included, for a test that changes it."""
        shutil.copytree(self.folder, folder)
        return Root(folder, self.competition)

    def submission(self, name: str = "") -> Path:
        return self.folder / "submissions" / "files" / f"{name or f'{self.competition}-demo'}.csv"

    def summary(self) -> dict[str, Any]:
        content = json.loads((self.artifacts / "report" / "summary.json").read_text())
        assert isinstance(content, dict)
        return content

    def files(self) -> Iterator[Path]:
        """All files of artefacts in their places."""
        for file in sorted(self.artifacts.rglob("*")):
            if file.is_file() and not file.relative_to(self.artifacts).parts[0].startswith("."):
                yield file

    def contents(self, *suffixes: str) -> dict[str, bytes]:
        """Path: bytes of the artefacts' files with these suffixes."""
        return {
            file.relative_to(self.artifacts).as_posix(): file.read_bytes()
            for file in self.files()
            if file.suffix in suffixes
        }

    def keys(self) -> dict[str, str]:
        """Path of an artefact: its key."""
        return {
            file.parent.relative_to(self.artifacts).as_posix(): json.loads(file.read_text())["key"]
            for file in self.files()
            if file.name == "manifest.json"
        }

    def times(self) -> dict[str, int]:
        """Path of an artefact's file: time of its last change, ns; without the copies in report/."""
        copies = {"report/index.html", "report/summary.json"}
        named = {file.relative_to(self.artifacts).as_posix(): file for file in self.files()}
        return {name: file.stat().st_mtime_ns for name, file in named.items() if name not in copies}

    def working(self, path: str) -> list[Path]:
        """Working folders of artefacts that are being made."""
        return [*(self.artifacts / ".work").glob(f"{path}@*")]

    def half_made(self) -> list[str]:
        """Files that no manifest vouches for, files in work outside .work, truncated submissions."""
        wrong = []
        vouched: set[Path] = set()
        for file in self.files():
            if file.name == "manifest.json":
                recorded = json.loads(file.read_text())["files"]
                for name, record in recorded.items():
                    one = file.parent / name
                    if not one.is_file() or one.stat().st_size != record["size"]:
                        wrong.append(f"{one}: not as its manifest says")
                    vouched.add(one)
                vouched.add(file)
        report = {self.artifacts / "report" / name for name in ("index.html", "summary.json")}
        # A copy that was being written when the command was killed is hidden and never the file itself.
        wrong += [
            str(file)
            for file in self.files()
            if file not in vouched | report and not file.name.startswith(".")
        ]
        for file in (self.folder / "submissions").rglob("*.csv"):
            if not file.name.startswith(".") and not file.read_text().endswith("\n"):
                wrong.append(f"{file}: no newline at its end")
        return wrong


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Artefacts whose key is another one now, or that are new."""
    return {path for path, key in after.items() if before.get(path) != key}


def stages_of(paths: Sequence[str] | set[str]) -> set[str]:
    """First part of the paths."""
    return {path.split("/")[0] for path in paths}
