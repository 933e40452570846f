"""The packages depend on each other one way: data <- features, models, submissions; all <- pipeline."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "data": {"data"},
    "features": {"data", "features"},
    "models": {"data", "models"},
    "submissions": {"data", "submissions"},
    "pipeline": {"data", "features", "models", "submissions", "pipeline"},
}


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Line and package of every import of ours, also of those inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            names = [node.module or ""]
        for name in names:
            package = name.partition(".")[0]
            if package in {*MAY_IMPORT, "tests", "benchmarks"}:
                yield node.lineno, package


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        for line, other in imported(file):
            assert other in MAY_IMPORT[package], f"{file.relative_to(ROOT)}:{line} imports {other}"
