"""`list=KIND`: the names that can be used on the command line, each with a line of what it is."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError, unknown
from data.registry import load_plugins
from pipeline import names
from pipeline.config_folders import ConfigFolders, shown

Row = tuple[str, ...]
_WIDTH = 100


def listing(kind: str, config_dirs: Sequence[str] = (), plugins: Sequence[str] = (), root: str = ".") -> str:
    """The table of one kind, or of the kinds if `kind` is empty. InputError for an unknown kind."""
    folders = ConfigFolders(config_dirs)
    kinds = _kinds(folders, root)
    if not kind:
        return _table(("list=", "what"), [(name, words) for name, (words, _) in kinds.items()])
    if kind not in kinds:
        raise unknown("kind", kind, kinds, "list")
    load_plugins(plugins)
    header, rows = kinds[kind][1]()
    return _table(header, rows) if rows else f"there are no {kind} yet"


def what_it_is(name: str, entry: Any) -> str:
    """A line about something registered: the docstring of its file where that has its name, else its own."""
    module = sys.modules.get(getattr(entry, "__module__", ""))
    if module is not None and module.__name__.rpartition(".")[2] == name and module.__doc__:
        return _sentence(module.__doc__).removeprefix(f"{name}: ")
    return _sentence(entry.__doc__ or "")


def _sentence(text: str) -> str:
    """The first sentence of a docstring's first paragraph, cut where it is very long."""
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    sentence = (
        re.split(r"(?<=[.]) (?=[A-Z])", paragraph, maxsplit=1)[0] if len(paragraph) > _WIDTH else paragraph
    )
    return sentence if len(sentence) <= _WIDTH else sentence[: _WIDTH - 3].rsplit(" ", 1)[0] + "..."


def _kinds(folders: ConfigFolders, root: str) -> dict[str, tuple[str, Callable[[], tuple[Row, list[Row]]]]]:
    kinds: dict[str, tuple[str, Callable[[], tuple[Row, list[Row]]]]] = {
        "members": ("what can be fitted: members=[NAME]", lambda: _members(folders)),
        "competitions": ("competition=NAME", lambda: _competitions(folders, root)),
        "stages": ("stage=NAME", _stages),
        "sizes": ("size=NAME", lambda: (("size", "what"), _files(folders, "size"))),
        "suites": ("of probes: probe=NAME", lambda: (("suite", "what"), _files(folders, "probe"))),
    }
    words = {
        "networks": "neural networks, each a member under its name",
        "mixers": "building blocks of a stack: member.stack.mixers=[NAME]",
        "blenders": "blend.names=[NAME]",
        "features": "feature families: competition.features.NAME",
        "metrics": "competition.metric=[{name: NAME}]",
        "splitters": "competition.folds.kind=NAME",
        "heads": "what a network's outputs mean: fit.head=NAME",
        "losses": "fit.loss=NAME",
        "posts": "competition.post=[{kind: NAME}]",
        "probes": "synthetic tasks that measure a member's memory: probe.names=[NAME]",
        "executors": "where jobs run: executor=NAME",
        "readers": "competition.reader=NAME: for what YAML cannot say",
    }
    for kind, text in words.items():
        kinds[kind] = (text, lambda kind=kind: _registered(kind))  # type: ignore[misc]
    return dict(sorted(kinds.items()))


def _registered(kind: str) -> tuple[Row, list[Row]]:
    entries = names.registry(kind).items() if names.is_there(kind) else []
    return (kind.removesuffix("es" if kind == "losses" else "s"), "what"), [
        (name, what_it_is(name, entry)) for name, entry in entries
    ]


def _members(folders: ConfigFolders) -> tuple[Row, list[Row]]:
    rows: dict[str, Row] = {}
    for kind in ("networks", "members"):
        for name, entry in names.registry(kind).items() if names.is_there(kind) else ():
            rows[name] = (name, what_it_is(name, entry))
    for name, file in folders.choices("member").items():
        content = _content(file)
        rows[name] = (name, f"{content.get('kind', name)} with the settings of {shown(file)}")
    return ("member", "what"), [rows[name] for name in sorted(rows)]


def _competitions(folders: ConfigFolders, root: str) -> tuple[Row, list[Row]]:
    from data.tables import find_table

    rows: list[Row] = []
    for name, file in folders.choices("competition").items():
        content = _content(file)
        folder = Path(content.get("root") or Path(root) / "data" / "files" / "raw" / name)
        files = content.get("files") or {}
        train = files.get("train", "train.csv") if isinstance(files, dict) else "train.csv"
        if folder.is_dir() and find_table(folder, str(train)) is not None:
            state = f"files in {shown(folder)}"
        else:
            state = f"no files in {shown(folder)}"
            if content.get("reader"):
                state += f" (read by {content['reader']!r})"
        rows.append((name, str(content.get("title") or _comment(file)), state))
    return ("competition", "what", "files"), rows


def _stages() -> tuple[Row, list[Row]]:
    from pipeline.stage import STAGES

    rows = [(name, what_it_is(name, STAGES.get(name))) for name in names.stage_names() if name != "all"]
    return ("stage", "what"), [("all", "every stage that a submission needs, in order"), *rows]


def _files(folders: ConfigFolders, group: str) -> list[Row]:
    return [(name, _comment(file)) for name, file in folders.choices(group).items()]


def _comment(file: Path) -> str:
    """The first comment of a YAML file that is no directive."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ").strip()
    return ""


def _content(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{shown(file)}: not valid YAML: {str(error).splitlines()[0]}") from error
    return content if isinstance(content, dict) else {}


def _table(header: Row, rows: list[Row]) -> str:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, tuple("-" * len(cell) for cell in header), *rows]
    ]
    return "\n".join(lines)
