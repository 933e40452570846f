"""The libraries that this project declares, and which versions of them are installed.

They are declared in one place, pyproject.toml; manifests, a pack's requirements.txt and its wheel repeat it.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

NAME = "forecast-workbench"
#: In a checkout and in a pack's `project`; where the wheel is installed there are metadata instead.
PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
#: The extra that no run reads.
DEVELOPMENT = "dev"
#: The same library under another name of distribution: one of the two is installed.
OTHER_BUILDS = {"xgboost": "xgboost-cpu"}
#: What stands among the libraries of a manifest and is none.
PYTHON = "python"


def project_version() -> str:
    """The version in pyproject.toml beside the packages, else that of the installed package."""
    project = _pyproject()
    return importlib.metadata.version(NAME) if project is None else str(project["version"])


@cache
def requirements() -> dict[str, tuple[str, ...]]:
    """What the project asks for, as pip reads it, by extra; those under '' are for everybody."""
    project = _pyproject()
    if project is not None:
        declared = {"": project.get("dependencies", []), **project.get("optional-dependencies", {})}
    else:
        declared = {"": []}
        for line in importlib.metadata.requires(NAME) or []:
            text, _, marker = line.partition(";")
            extra = re.search(r"""\bextra\s*==\s*["']([^"']+)""", marker)
            declared.setdefault(extra[1] if extra else "", []).append(text.strip())
    return {extra: tuple(texts) for extra, texts in declared.items() if extra != DEVELOPMENT}


def library_versions(*extras: str) -> dict[str, str]:
    """Versions of Python and of the libraries that results may depend on, those that are installed.

    extras: of the members that take part; one that is not ours (a plugin's) is taken for a library's name.
    """
    texts = [text for extra in ("", *extras) for text in requirements().get(extra, (extra,))]
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in texts]
    builds = [name for declared in names for name in (declared, OTHER_BUILDS.get(declared)) if name]
    found = {name: installed_version(name) for name in (PYTHON, *builds)}
    return {name: version for name, version in found.items() if version is not None}


@cache
def installed_version(name: str) -> str | None:
    """The version of a distribution, or of Python; None where it is not installed."""
    if name == PYTHON:
        return platform.python_version()
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _pyproject() -> dict[str, Any] | None:
    """The table `project`, None where there is no such file."""
    if not PYPROJECT.is_file():
        return None
    return dict(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"])
