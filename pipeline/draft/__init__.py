"""`new=NAME`: profile a competition's files and draft its YAML, every guess with its reason.

Nothing is asked. What the files cannot tell (the metric, mostly) is guessed all the same and marked, so
that the draft runs as it stands and a newcomer mends it by reading it.
"""

from __future__ import annotations

import re
from pathlib import Path

from data.errors import InputError
from data.tables import read_path
from pipeline.config_folders import shown
from pipeline.draft.guess import guess
from pipeline.draft.guesses import Guesses
from pipeline.draft.tables import DraftTables
from pipeline.draft.write import draft_text
from pipeline.help import PROGRAM


def draft_competition(name: str, train: Path, test: Path | None, sample: Path | None, out: Path) -> str:
    """Write <out>/competition/<name>.yaml from the files; the text to print.

    Raises InputError for a name that cannot name a file, a missing or broken file, a draft that is
    already there, and files in which no target or time can be found.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InputError(f"new={name}: found {name!r}, expected letters, digits, - and _ (it names a file)")
    file = out / "competition" / f"{name}.yaml"
    if file.exists():
        raise InputError(
            f"new={name}: {shown(file)} is there already; remove it, or choose another name or out="
        )
    tables = _read(train, test, sample)
    guesses = guess(name, tables)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".yaml.tmp")
    aside.write_text(draft_text(guesses, tables), encoding="utf-8")
    aside.replace(file)
    _check(name, out, file)
    return _message(name, out, file, guesses)


def _read(train: Path, test: Path | None, sample: Path | None) -> DraftTables:
    paths = {"train": train, "test": test, "sample": sample}
    for key, path in paths.items():
        if path is not None and not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise InputError(f"{key}={path}: the file {what}")
    frames = {key: None if path is None else read_path(path) for key, path in paths.items()}
    assert frames["train"] is not None
    return DraftTables(frames["train"], frames["test"], frames["sample"], paths)


def _check(name: str, out: Path, file: Path) -> None:
    """The draft must compose as any other competition does; one that does not stays, to be mended."""
    from pipeline.compose import compose

    try:
        compose([f"competition={name}"], [str(out)])
    except InputError as error:
        raise InputError(f"{shown(file)} was drafted but needs mending before it runs: {error}") from error


def _message(name: str, out: Path, file: Path, guesses: Guesses) -> str:
    lines = [f"drafted {shown(file)}", *(f"  {line}" for line in guesses.summary())]
    lines += [
        "read it: every guess has its reason beside it; the metric above all is yours to set",
        "then run:",
        f"  {PROGRAM} --config-dir {shown(out)} competition={name}",
    ]
    return "\n".join(lines)
