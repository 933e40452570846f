"""The page of a suite and what is measured of its trained networks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from data.probes.base import PROBES, make_probe
from data.probes.judged import Published
from models.forecaster import Forecaster
from models.memory.summary import memory_of
from pipeline.member_memory import WORK
from pipeline.probing.cell import Cell, Look
from pipeline.probing.cell_memory import WINDOWS
from pipeline.probing.probe_section import example, length_ticks
from pipeline.probing.published_figures import ours
from pipeline.probing.suite_material import SuiteMaterial
from pipeline.probing.suite_page import suite_page
from pipeline.probing.table import summed_up
from pipeline.report.text import rounded
from tests.end_to_end.command import here
from tests.pipeline.test_report import Page

TINY = [
    "stage=probe",
    "probe.names=[first_plus_last,adding]",
    "probe.lengths=[4,12]",
    "probe.seeds=2",
    "probe.own={first_plus_last: {lengths: [4], seeds: 1}}",
    "probe.steps=10",
    "probe.look_every=5",
    "probe.validation=20",
    "probe.test=50",
    "members=[lstm,plstm,tcn,lightgbm]",
    "member.lstm.hidden=4",
    "member.plstm.hidden=4",
    "member.tcn.hidden=4",
    "executor.name=inline",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite")
    finished = here(*TINY, f"root={root}")
    assert finished.code == 0, finished.err
    assert str(root / "artifacts/probe/default/index.html") in finished.out
    return root / "artifacts" / "probe"


def content(root: Path, path: str) -> dict[str, Any]:
    found = json.loads((root / path).read_text())
    assert isinstance(found, dict)
    return found


def test_one_cell_of_each_row_and_probe_is_measured(root: Path) -> None:
    found = {
        file.parent.relative_to(root / "memory/default").as_posix() for file in root.rglob("memory.json")
    }
    assert found == {
        f"{probe}/{row}" for probe in ("first_plus_last", "adding") for row in ("lstm", "plstm", "tcn")
    }
    for row in ("lstm", "plstm", "tcn"):
        errors = [
            content(root, f"cells/default/adding/12/{row}/seed{seed}/cell.json")["error"] for seed in (0, 1)
        ]
        settings = content(root, f"memory/default/adding/{row}/manifest.json")["settings"]
        assert settings["length"] == 12
        assert settings["seed"] == errors.index(min(errors))


def test_it_is_what_the_measure_says(root: Path) -> None:
    found = content(root, "memory/default/adding/plstm/memory.json")
    seed = content(root, "memory/default/adding/plstm/manifest.json")["settings"]["seed"]
    forecaster = Forecaster.load(root / f"cells/default/adding/12/plstm/seed{seed}")
    batch = make_probe("adding").test_batch(12, WINDOWS, seed)
    memory = memory_of(forecaster, [batch], WINDOWS, seed=seed, work=WORK)
    assert found["gradient"]["total"] == pytest.approx(memory.gradient.total.tolist())
    layers = found["from_start"]
    assert len(layers) == len(memory.retention)
    for layer in layers:
        assert layer["kept"][0] == layer["exponential"][0] == layer["power_law"][0] == 1.0
        assert all(low <= high + 1e-9 for low, high in zip(layer["kept"], layer["power_law"], strict=True))
    lstm = content(root, "memory/default/adding/lstm/memory.json")["from_start"]
    assert lstm
    assert all(layer["power_law"] is None for layer in lstm)
    assert content(root, "memory/default/adding/tcn/memory.json")["from_start"] == []


def test_the_page_is_self_contained_and_says_what_the_summary_says(root: Path) -> None:
    source = (root / "default/index.html").read_text(encoding="utf-8")
    found = Page.of(source)
    for link in found.links:
        assert link == "data:," or link.removeprefix("#") in found.anchors
    assert "script" not in found.tags
    assert not re.search(r"https?://|url\(|@import", source)
    assert not re.search(r"\bnan\b|\binf\b|None", found.text)
    for drawing in re.findall(r"<svg.*?</svg>", source, flags=re.S):
        assert not re.search(r"nan|inf[^o]", drawing), drawing[:300]
    assert {"t50", "probe-first_plus_last", "probe-adding", "memory", "reading"} <= found.anchors
    summary = content(root, "default/summary.json")
    for cell in summary["cells"]:
        assert f"{cell['parameters']:,}" in found.text
        assert rounded(cell["error"]) in found.text
    assert summary["members"] == {"lstm": "lstm", "plstm": "plstm", "tcn": "tcn", "lightgbm": "lightgbm"}
    for words in (
        "stage=probe 'probe.names=[first_plus_last,adding]'",
        "adding is solved by nobody",
        "lightgbm: not applicable, it is no network",
        "600 was not tried",
        "no such row",
        "Bai, Kolter and Koltun 2018",
        "What either end does",
        "< 4",
        "What the trained networks keep",
        "power law without resets",
        "0.167",
    ):
        assert words in found.text, words
    drawn = source.count('class="line baseline"')
    assert drawn == 2 + 2 + 2 + 3, "chance in legends, successes, errors by length and learning curves"


def test_kept_cells_are_not_measured_again(root: Path) -> None:
    again = here(*TINY, f"root={root.parents[1]}")
    assert "6 already done" in again.stage("probe_memory")
    assert "1 already done" in again.stage("probe ")
    fewer = here(*TINY, "probe.lengths=[4]", f"root={root.parents[1]}")
    assert "3 of 6 ran" in fewer.stage("probe_memory"), "the longest length of adding is another one"


def test_a_measure_that_fails_is_told_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **more: Any) -> None:
        raise ValueError("no <gates>")

    monkeypatch.setattr("pipeline.probing.cell_memory.from_start", fail)
    suite = [word for word in TINY if not word.startswith("probe.own")]
    words = [*suite, "members=[lstm]", "probe.names=[adding]", "probe.lengths=[4]", "probe.seeds=1"]
    finished = here(*words, f"root={tmp_path}")
    assert finished.code == 0, finished.err
    assert "could not be measured (ValueError: no <gates>)" in finished.out
    found = Page.of((tmp_path / "artifacts/probe/default/index.html").read_text())
    assert "Could not be measured: lstm on adding: ValueError: no <gates>." in found.text


def test_a_cell_that_diverged_is_json_and_has_a_page() -> None:
    cell = Cell(ended="diverged", steps=3, looks=[Look(1, 0.5, None), Look(2, float("inf"), None)])
    assert json.loads(json.dumps(cell.to_json(), allow_nan=False))["looks"] == [
        [1, 0.5, None],
        [2, None, None],
    ]
    found = Page.of(suite_page(made_up([{**cell.to_json(), **whose("lstm", 10, 0)}])))
    assert "diverged" in found.text
    assert "memory" not in found.anchors


def whose(member: str, length: int, seed: int) -> dict[str, Any]:
    chance = {"error": 1 / 6, "accuracy": None, "present": None}
    return {"member": member, "probe": "adding", "length": length, "seed": seed, "chance": chance}


def made_up(
    cells: list[dict[str, Any]], planned: dict[Any, int] | None = None, probe: str = "adding"
) -> SuiteMaterial:
    members = dict.fromkeys((cell["member"] for cell in cells), "lstm")
    summary = {"suite": "<s>", "members": members, **summed_up(cells, planned), "not_applicable": {}}
    return SuiteMaterial("<s>", "a command", summary, cells, {probe: make_probe(probe)}, {})


def solved(member: str, length: int, error: float, is_solved: bool = True) -> dict[str, Any]:
    cell = Cell(
        ended="solved" if is_solved else "steps",
        solved=is_solved,
        steps=100,
        kept=50,
        seconds=2.0,
        parameters=7_000,
        error=error,
        error_deviation=0.0,
        looks=[Look(50, error, None)],
    )
    return {**cell.to_json(), **whose(member, length, 0)}


@pytest.mark.parametrize("name", PROBES.names())
def test_every_probe_shows_an_example(name: str) -> None:
    for config in PROBES.get(name).variants():
        probe = PROBES.get(name)(config)
        shown = Page.of(example(probe)).text
        assert "target" in shown
        assert f"at length {probe.example}" in shown


def test_ours_beside_published() -> None:
    cells = [
        solved("big", 600, 0.25, False),
        solved("big", 50, 1e-4),
        solved("lstm", 50, 2e-4),
        solved("lstm", 600, 0.125, False),
    ]
    material = made_up(cells)
    of = Published("lstm", 600, "error", 0.164, "source")
    assert ours(material, "adding", of) == "0.125", "its own name stands above its kind"
    assert ours(made_up(cells[:2]), "adding", of) == '0.25 <span class="kind">big</span>', "of that kind"
    assert ours(made_up(cells[:2]), "adding", of._replace(model="gru")) == "no such row"
    assert ours(material, "adding", of._replace(length=601)) == "601 was not tried"
    assert ours(material, "adding", of._replace(length=None)) == "0.125 at 600"
    assert ours(material, "adding", of._replace(metric="accuracy")) == "\N{EN DASH}"
    assert ours(material, "adding", of._replace(metric="longest length remembered")) == "50"
    assert ours(material, "adding", of._replace(metric="shortest length forgotten")) == "600"
    assert ours(made_up(cells[1:3]), "adding", of._replace(metric="shortest length forgotten")) == "&gt; 50"


def test_who_errs_half_as_much_as_the_last_row_allows_has_not_forgotten() -> None:
    """On x[0] + x[-1] the last number alone leaves an error of 1; to solve it is another matter."""
    cells = [
        {**solved("lstm", length, error, False), "probe": "first_plus_last", "seed": seed}
        | {"chance": {"error": 2.0, "accuracy": None, "present": 1.0}}
        for length, errors in ((10, (0.3, 0.2, 0.9)), (68, (0.4, 0.9, 1.0)))
        for seed, error in enumerate(errors)
    ]
    material = made_up(cells, probe="first_plus_last")
    longest, shortest = make_probe("first_plus_last").published[:2]
    assert ours(material, "first_plus_last", longest) == "10"
    assert ours(material, "first_plus_last", shortest) == "68"
    assert material.t50("first_plus_last", "lstm") == 0


def test_what_either_end_does_stands_under_its_name() -> None:
    """Forgotten the first number: its error is that of the best constant, the last is known."""
    ends = {"change_first": 0.0, "change_last": 0.5, "blinding_first": 0.285, "blinding_last": 0.001}
    page = Page.of(suite_page(made_up([{**solved("a", 10, 1.0, False), **ends}]))).text
    assert "First enlargedLast enlargedFirst aloneLast alonea100.0 %50.0 %0.2850.001" in page


def test_who_remembers_longest_and_what_is_missing() -> None:
    cells = [solved("a", 10, 1e-4), solved("a", 20, 1e-4), solved("b", 10, 1e-4), solved("b", 20, 0.1, False)]
    planned = {("a", "adding", 10): 1, ("a", "adding", 20): 2, ("b", "adding", 10): 1, ("b", "adding", 20): 2}
    found = Page.of(suite_page(made_up(cells, {**planned, ("b", "adding", 40): 1})))
    assert "adding is solved up to 20, the longest that was tried, by a." in found.text
    assert "3 cells of the suite not there yet" in found.text
    assert "1 seed to come" in found.text
    assert "<s>" in found.text
    assert "<s>" not in found.source
    assert "No cell is finished" in Page.of(suite_page(made_up([]))).text


def test_labels_of_lengths_do_not_touch() -> None:
    ticks = [text for _, text in length_ticks([2, 10, 30, 50, 68, 69, 100, 200, 400])]
    assert ticks == ["2", "10", "30", "50", "100", "200", "400"], "on a logarithmic axis"
    assert [text for _, text in length_ticks([50, 100, 101, 102, 200])] == ["50", "102", "200"]
    assert length_ticks([25]) == [(25.0, "25")]
