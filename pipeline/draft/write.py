"""The commented YAML of a draft."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any

import yaml

from pipeline.draft.guesses import Guesses
from pipeline.draft.roles import ROLES
from pipeline.draft.tables import DraftTables
from pipeline.help import PROGRAM

_WIDTH = 106


def draft_text(guesses: Guesses, tables: DraftTables) -> str:
    """The YAML, in the order of data/competition.py; reasons stand above their keys."""
    lines = [
        f"# Drafted by `{PROGRAM} new={guesses.name}` from the files below:",
        "# every line is a guess with its reason above it, and what else was considered.",
        "# All keys and their meaning: data/competition.py. A key that is misspelt is refused by name.",
        f"name: {_flow(guesses.name)}",
        f"title: {_flow(guesses.name)}",
        *_entry(guesses, "task"),
        *_files(tables, guesses.value("solution")),
    ]
    keys = (
        "row_id",
        "row_id_separator",
        "series",
        "time",
        "date_format",
        "frequency",
        "target",
        "missing_target",
    )
    for key in (*keys, "derive"):
        lines += _entry(guesses, key)
    lines += _columns(guesses)
    for key in (
        "horizon",
        "seasonality",
        "target_transform",
        "metric",
        "judged",
        "folds",
        "local",
        "submission",
    ):
        lines += _entry(guesses, key)
    for key in ("post", "features", "baselines"):
        lines += _entry(guesses, key)
    return "\n".join(lines) + "\n"


def _entry(guesses: Guesses, key: str) -> list[str]:
    if key not in guesses.entries:
        return []
    value, reason = guesses.entries[key]
    return [*_comment(reason), f"{key}: {_flow(value)}"]


def _files(tables: DraftTables, has_truth: bool) -> list[str]:
    train = tables.paths["train"]
    assert train is not None
    root = train.resolve().parent
    lines = [f"root: {_flow(str(root))}  # null: data/files/raw/<name> below the output folder", "files:"]
    for key in ("train", "test", "sample"):
        path = tables.paths[key]
        lines.append(f"  {key}: {_flow(None if path is None else _relative(path, root))}")
    test = tables.paths["test"]
    if has_truth and test is not None:
        lines.append(f"  solution: {_flow(_relative(test, root))}  # it holds the target; no model sees it")
    return lines


def _relative(path: Path, root: Path) -> str:
    """The path from the folder of the training file."""
    return os.path.relpath(path.resolve(), root)


def _columns(guesses: Guesses) -> list[str]:
    columns, reasons = guesses.value("columns"), guesses.value("columns.reasons")
    lines = [
        "# Roles. static: one value a series; known: in the future too; past: observed until the origin.",
        "# A column that no model should read goes to `ignored`.",
        "columns:",
    ]
    for role in ROLES:
        if columns[role]:
            for name in columns[role]:
                if name in reasons:
                    lines += _comment(f"{name}: {reasons[name]}", "  ")
            lines.append(f"  {role}: {_flow(columns[role])}")
    return lines if len(lines) > 3 else [*lines[:2], "columns: {}"]


def _comment(text: str, indent: str = "") -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, _WIDTH - len(indent))] if text else []


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=100_000, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
