"""Which libraries manifests, packs and wheels name: all that pyproject.toml declares and members need."""

from __future__ import annotations

import importlib.metadata
import re
import zipfile
from pathlib import Path

import pytest

from models.members.base import MEMBERS
from models.members.catalogue import extras_of
from pipeline import libraries
from pipeline.libraries import library_versions, requirements
from pipeline.submitting.rebuild import _differences
from pipeline.submitting.wheel import write_wheel
from tests.submitting.kept import kept_submission


def test_all_that_is_imported_to_forecast_has_a_version() -> None:
    found = library_versions()
    for name in (
        "omegaconf",
        "hydra-core",
        "holidays",
        "scipy",
        "numba",
        "safetensors",
        "pytorch-forecasting",
    ):
        assert found[name] == importlib.metadata.version(name)
    declared = {re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requirements()[""]}
    assert found.keys() == {"python", *declared}
    assert not {"xgboost", "xgboost-cpu", "statsforecast", "ray", "pytest"} & set(found)


def test_what_members_need_besides_stands_there_under_the_name_it_is_installed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = {"xgboost-cpu": "3.0", "statsforecast": "2.1", "numpy": "2.0", "python": "3.11"}
    monkeypatch.setattr(libraries, "installed_version", there.get)
    assert library_versions() == {"python": "3.11", "numpy": "2.0"}
    assert library_versions(*extras_of("xgboost")) == {"python": "3.11", "numpy": "2.0", "xgboost-cpu": "3.0"}
    assert library_versions(*extras_of("arima"), "a_plugin_s")["statsforecast"] == "2.1"
    assert extras_of("lightgbm") == extras_of("lstm") == []
    needed = {extra for kind in MEMBERS.names() for extra in extras_of(kind)}
    assert needed <= set(requirements())


def test_a_wheel_requires_what_the_project_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is installed there is no pyproject.toml: its metadata say the same."""
    declared = requirements()
    assert any(text.startswith("omegaconf") for text in declared[""])
    wheel = write_wheel(tmp_path / "project", tmp_path / "wheel", "1.2")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    installed = importlib.metadata.Distribution.at(tmp_path / "site" / "forecast_workbench-1.2.dist-info")
    assert installed.version == "1.2"
    assert set(installed.metadata.get_all("Provides-Extra") or []) == {*declared} - {""}
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: installed.requires)
    monkeypatch.setattr(libraries, "PYPROJECT", tmp_path / "pyproject.toml")
    assert requirements.__wrapped__() == declared


@pytest.mark.parametrize("name", ["scipy", "holidays", "xgboost-cpu"])
def test_a_rebuild_says_that_a_library_has_changed(name: str, tmp_path: Path) -> None:
    then = {**library_versions("xgboost"), name: "0.0.1"}
    kept = kept_submission(
        tmp_path, "one", {"a": 1.0}, libraries=then, code={"sources": "0", "commit": None, "version": "1"}
    )
    said = [line for line in _differences(kept.manifest) if "this project" not in line]
    now = libraries.installed_version(name) or "not installed"
    assert said == [f"{name} 0.0.1, now {now}"]
