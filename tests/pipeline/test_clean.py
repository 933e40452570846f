"""stage=clean: lists what is not needed, removes it when asked to, and leaves all else alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pipeline.clean import half_written_files
from tests.end_to_end.command import here

WORDS = ["competition=ventilator", "stage=clean"]


def pid_of_the_dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_nothing_there(tmp_path: Path) -> None:
    finished = here(*WORDS, f"root={tmp_path}")
    assert finished.code == 0
    assert finished.out == "ventilator: nothing that is not needed\n"
    assert not list(tmp_path.iterdir()), "a look must leave nothing behind"


def test_listed_then_removed_and_artefacts_stay(tmp_path: Path) -> None:
    words = [
        "competition=ventilator",
        f"root={tmp_path}",
        "executor.name=inline",
        "competition.reader_settings.train_breaths=30",
        "competition.reader_settings.test_breaths=10",
        "stage=prepare",
    ]
    assert here(*words).code == 0
    assert here(*words, "competition.folds.seed=1").code == 0
    root = tmp_path / "artifacts" / "ventilator"
    dead, alive = f".index.html.{pid_of_the_dead()}.partial", ".index.html.1.partial"
    (root / "report").mkdir()
    for name in (dead, alive):
        (root / "report" / name).write_text("half")
    kept = {file: file.read_bytes() for file in (root / "prepare").rglob("*") if file.is_file()}
    assert kept

    listed = here(*WORDS, f"root={tmp_path}")
    assert re.search(
        r"\d artefacts?, [\d.]+ MiB set aside: taken up again if the setting returns", listed.out
    )
    assert dead in listed.out
    assert alive not in listed.out, "its command may be at work"
    assert listed.out.splitlines()[-1] == "nothing was removed; clean.remove=true removes all of it"
    assert (root / "report" / dead).exists()

    removed = here(*WORDS, f"root={tmp_path}", "clean.remove=true")
    assert removed.code == 0
    assert removed.out.startswith("removed ")
    assert not (root / "report" / dead).exists()
    assert (root / "report" / alive).exists()
    assert {file: file.read_bytes() for file in kept} == kept
    assert here(*WORDS, f"root={tmp_path}").out == "ventilator: nothing that is not needed\n"


def test_other_names_are_no_half_written_files(tmp_path: Path) -> None:
    for name in ("a.partial", ".a.partial", f".a.{pid_of_the_dead()}.part", "notes.txt"):
        (tmp_path / name).write_text("")
    assert half_written_files([tmp_path]) == []
