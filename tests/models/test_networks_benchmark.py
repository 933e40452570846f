"""The zoo's table: which cells of an earlier call it takes up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.networks import kept_cells

MADE = {"torch": "2.13.0", "threads": 2}


def test_only_cells_that_were_measured_alike_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, cells = tmp_path / "zoo.json", {"lstm": {"80": {"train": 1.0}}}
    assert kept_cells(file, MADE) == {}
    file.write_text(json.dumps({"made_with": MADE, "networks": cells}))
    assert kept_cells(file, MADE) == cells
    assert capsys.readouterr().err == ""
    for changed in ({"threads": 1}, {"torch": "2.14.0"}):
        assert kept_cells(file, MADE | changed) == {}
        assert str(file) in capsys.readouterr().err
