"""benchmarks/probes.py from made-up cells: what stands beside what, and by how much it differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.probes import (
    PROTOCOL,
    SUITE,
    beside,
    beside_lines,
    difference,
    figures,
    main,
    protocol_lines,
)
from data.probes.copy import CONVERGED
from pipeline.compose import compose
from pipeline.probing.rows import labelled, suite_of
from pipeline.probing.table import summed_up


def cell(member: str, probe: str, length: int, error: float | None, accuracy: float | None = None) -> Any:
    converged = accuracy is not None and accuracy >= CONVERGED
    return {
        "member": member,
        "probe": probe,
        "length": length,
        "seed": 0,
        "solved": converged if probe == PROTOCOL else error is not None and error < 1e-3,
        "steps": 100,
        "seconds": 2.0,
        "error": error,
        "accuracy": accuracy,
        "parameters": 70_000,
        "ended": "steps",
        "kept": 100,
        "chance": {"error": 0.02, "accuracy": 0.125, "present": None},
    }


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    cells = [
        cell("lstm", "adding", 600, 0.082),
        cell("lstm", "adding", 400, 0.1),
        cell("plstm", "adding", 600, 5e-4),
        cell("lstm", "copy", 1000, 0.0205, 0.126),
        cell("tcn", "adding", 600, 1.16e-4),
        cell("gru", "adding", 600, None),
        cell("tcn", "copy", 1000, 1e-5, 0.9),
        cell("gru", "copy", 500, 0.02, 0.15),
        cell("lstm", "copy", 50, 0.02, 0.999),
        cell("lstm", PROTOCOL, 50, 0.02, 0.9991),
        cell("plstm", PROTOCOL, 50, 0.02, 0.5),
        cell("plstm", PROTOCOL, 100, None),
    ]
    members = {name: name for name in ("tcn", "lstm", "gru", "plstm")}
    return {"suite": SUITE, "members": members, **summed_up(cells), "not_applicable": {}}


@pytest.fixture(scope="module")
def pairs(summary: dict[str, Any]) -> list[dict[str, Any]]:
    probes = {
        label: probe for label, (_, probe) in labelled(compose(["stage=probe", f"probe={SUITE}"])).items()
    }
    return beside(summary, probes)


def test_a_figure_stands_beside_the_same_network_length_and_metric(pairs: list[dict[str, Any]]) -> None:
    found = {(p["probe"], p["member"], p["length"], p["metric"]): difference(p) for p in pairs}
    assert found == {
        ("adding", "lstm", 600, "error"): "2 times less than theirs",
        ("adding", "tcn", 600, "error"): "2 times theirs",
        ("adding", "gru", 600, "error"): "ours diverged",
        ("copy", "tcn", 1000, "error"): "3.5 times less than theirs",
        ("copy", "tcn", 1000, "accuracy"): "-0.100",
        ("copy", "lstm", 1000, "error"): "the same within 5 %",
        ("copy", "lstm", 1000, "accuracy"): "as they say",
        ("copy", "gru", 500, "accuracy"): "as they say",
        ("copy", "lstm", 50, "accuracy"): "0.799 above their bound",
    }


def test_the_tables(summary: dict[str, Any], pairs: list[dict[str, Any]]) -> None:
    [line] = [line for line in beside_lines(pairs) if line.startswith("adding, tcn")]
    assert line.split() == [
        "adding,",
        "tcn",
        "600",
        "error",
        "5.8e-05",
        "70,000",
        "0.000116",
        "70,000",
        "2",
        "times",
        "theirs",
    ]
    lines = list(protocol_lines(summary))
    assert ["T", "50", "100"] in [line.split() for line in lines]
    assert ["lstm", "0.9991", "100%", "-"] in [line.split() for line in lines]
    assert ["plstm", "0.5000", "0%", "diverged", "0%"] in [line.split() for line in lines]
    assert ["plstm", "less", "theirs", "-0.4990", "-"] in [line.split() for line in lines]
    assert not [line for line in lines if line.startswith("lstm less")]
    assert list(protocol_lines({"cells": []})) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--words", "probe.sedes=1"], "did you mean 'probe.seeds'"),
        (["--budget", "soon"], "budget: found 'soon'"),
        (["--json", "no/such/folder/x.json"], "there is no folder no/such/folder"),
    ],
)
def test_what_is_wrong_is_said_before_hours_of_training(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.argv", ["probes", "--root", str(tmp_path), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_json(summary: dict[str, Any], pairs: list[dict[str, Any]]) -> None:
    written = json.loads(json.dumps(figures(summary, pairs), allow_nan=False))
    assert written["t50"]["plstm"] == {"adding": 600, PROTOCOL: 0}
    assert written["t50"]["lstm"]["adding"] == 0
    keys = {"member", "probe", "length", "parameters", "success_rate", "error", "chance", "seconds"}
    assert all(keys <= set(cell) for cell in written["cells"])


def test_the_suite_has_the_rows_and_the_published_lengths() -> None:
    config = compose(["stage=probe", f"probe={SUITE}"])
    labels = labelled(config)
    assert set(labels) == {"adding", "copy", PROTOCOL}
    assert {"lstm", "chrono_lstm", "gru", "plstm", "tcn"} <= set(config.probe.members or [])
    further = compose(["stage=probe", f"probe={SUITE}", "members=[rnn,janet,chrono_plstm]"])
    for tried in suite_of(further).values():
        assert [row.kind for row in tried.rows] == ["rnn", "janet", "plstm"]
    for label in ("adding", "copy"):
        published = {one.length for one in labels[label][1].published if one.metric == "error"}
        assert published <= set(config.probe.own[label]["lengths"])
