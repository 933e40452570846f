"""What members look at: means over fits, the file in the artefact, and the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from data.batch import SequenceBatch
from models.interpretation import FILE, Curve, Interpretation, Looked, mean_of
from models.layers.selectable import STEP
from models.members.neural import WINDOWS_INTERPRETED, NeuralMember
from models.network import Network
from models.networks.recurrent import LSTMNetwork
from pipeline.report.sections.attention import season_of
from tests.end_to_end.command import Root, here
from tests.end_to_end.shops import write_competition
from tests.members import fit_task, make_toy, small_settings
from tests.pipeline.test_report import Page, Run

LOOKED = [
    Interpretation(
        {"known": {"price<": 0.5, "promotion": 0.5}, "static": {"region": 1.0}},
        {"lag": Curve([0, 1, 2], [0.5, 0.3, 0.2]), "position": Curve([-2, -1, 0], [0.2, 0.3, 0.5])},
    ),
    Interpretation(
        {"known": {"price<": 0.9, "holiday": 0.1}, "static": {"region": 1.0}},
        {"lag": Curve([1, 2, 3], [0.5, 0.4, 0.1])},
    ),
]


def test_mean_of_fits() -> None:
    mean = mean_of(LOOKED)
    assert mean.variables["known"] == pytest.approx({"price<": 0.7, "promotion": 0.25, "holiday": 0.05})
    assert mean.variables["static"] == {"region": 1.0}
    assert mean.attention["lag"].at == [0, 1, 2, 3]
    assert mean.attention["lag"].mean == pytest.approx([0.5, 0.4, 0.3, 0.1])
    assert mean.attention["position"] == LOOKED[0].attention["position"]
    assert mean_of([]) == Interpretation()


def test_sums_of_rows_and_pairs() -> None:
    looked = Looked()
    assert looked.means() is None
    weight = torch.tensor([[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    looked.add_variables("known", ("a", "b"), weight[:2], torch.tensor([1.0, 3.0]))
    looked.add_variables("known", ("a", "b"), weight[2:], torch.tensor([0.0]))
    attention = torch.tensor([[[0.1, 0.9], [0.4, 0.6]]])
    looked.add_attention("lag", attention, torch.tensor([[0, -1], [1, 0]]), torch.tensor([[2.0], [1.0]]))
    looked.add_attention("lag", attention[:, :1], torch.tensor([[7, 8]]), torch.tensor([[1.0, 0.0]]))
    found = looked.means()
    assert found is not None
    assert found.variables["known"] == pytest.approx({"a": 0.5, "b": 0.5})
    assert found.attention["lag"].at == [-1, 0, 1, 7]
    assert found.attention["lag"].mean == pytest.approx([0.9, (2 * 0.1 + 0.6) / 3, 0.4, 0.1])


def test_file_and_back(tmp_path: Path) -> None:
    assert Interpretation.load(tmp_path) is None
    LOOKED[0].save(tmp_path)
    assert Interpretation.load(tmp_path) == LOOKED[0]


@pytest.mark.parametrize(
    ("seasonality", "last", "expected"),
    [((24, 168), 200, 24), ((7, 365), 90, 7), ((24,), 12, 0), ((), 50, 0), ((1,), 50, 0), ((2, 50), 400, 50)],
)
def test_season_that_is_marked(seasonality: Sequence[int], last: int, expected: int) -> None:
    """The shortest one inside the curve whose marks do not hide it."""
    assert season_of(seasonality, Curve(list(range(last + 1)), [0.0] * (last + 1))) == expected


@pytest.mark.parametrize("task", ["sequence", "horizon"])
def test_a_fold_is_interpreted_over_validation_windows_the_same_every_time(task: str, tmp_path: Path) -> None:
    toy = make_toy(task)
    member = NeuralMember("tft_hybrid", small_settings("tft_hybrid"))
    job = fit_task(toy, tmp_path)
    member.fit(job)
    first, again = member.interpretation(job), member.interpretation(job)
    assert first is not None
    assert first == again
    horizon = task == "horizon"
    assert set(first.variables) == {"static", "known"} | ({"past"} if horizon else set())
    assert STEP in first.variables["known"]
    assert sum(first.variables["known"].values()) == pytest.approx(1.0)
    assert (min(first.attention["position"].at) < 0) == horizon
    assert (min(first.attention["lag"].at) < 0) == (not horizon)  # where the future is given, it is looked at
    refit = fit_task(toy, tmp_path, fold=toy.split.test)
    assert member.interpretation(refit) is None


def test_no_more_windows_than_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spread evenly over those asked, and not one more; a network that cannot tell is not run at all."""
    toy = make_toy("sequence")
    member = NeuralMember("tft_hybrid", small_settings("tft_hybrid"))
    job = fit_task(toy, tmp_path / "tft")
    member.fit(job)
    asked = len(job.fold.asked.row)
    assert 2 < asked < WINDOWS_INTERPRETED
    series: list[int] = []

    def spy(network: Network, batch: SequenceBatch, looked: Looked) -> None:
        assert not network.training
        assert batch.target is None
        assert not torch.is_grad_enabled()
        series.extend(batch.series.tolist())

    kind = "models.networks.tft_hybrid.TFTHybrid.interpret"
    monkeypatch.setattr(kind, spy)
    assert member.interpretation(job) is None
    assert len(series) == asked
    series.clear()
    monkeypatch.setattr("models.members.neural.WINDOWS_INTERPRETED", 2)
    member.interpretation(job)
    assert len(series) == 2
    assert LSTMNetwork.interpret is Network.interpret
    assert NeuralMember("lstm", {}).interpretation(fit_task(toy, tmp_path / "nothing is there")) is None


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """stage=all of the retail competition with a member of each kind that tells what it looks at."""
    words = write_competition(tmp_path_factory.mktemp("shops"))
    root = tmp_path_factory.mktemp("root")
    members = ["members=[lightgbm,tft_hybrid]"]
    own = ["member.tft_hybrid.width=8", "member.tft_hybrid.heads=2", "member.tft_hybrid.static_state=both"]
    finished = here(*words, *members, *own, "fit.max_epochs=1", "executor.name=inline", f"root={root}")
    assert finished.code == 0, finished.err
    return Root(root, "shops")


def test_a_run_writes_what_was_looked_at(shops: Root) -> None:
    train = shops.artifacts / "train" / "demo"
    found = {file.parent.relative_to(train).as_posix() for file in train.rglob(FILE)}
    assert {name for name in found if name.startswith("tft_hybrid")} == {"tft_hybrid/seed0/fold0"}
    assert "lightgbm/seed0/fold0" in found
    content = json.loads((train / "tft_hybrid/seed0/fold0" / FILE).read_text())
    variables = content["variables"]
    assert set(variables) == {"static", "past", "known"}
    assert list(variables["static"]) == ["region"]
    # A rolling mean that ends a row ago is known on the first step alone, sales on none.
    assert {"customers", "past.sales"} <= set(variables["past"])
    assert {"open", "promotion", STEP} <= set(variables["known"])
    assert not {"customers", "past.sales"} & set(variables["known"])
    rolling = [name for name in variables["known"] if "lag_1" in name]
    assert rolling
    assert all(0 < variables["known"][name] < 0.1 for name in rolling)
    assert content["attention"]["position"]["at"] == list(range(-28, 10))
    assert content["attention"]["lag"]["at"] == list(range(28 + 10))


def test_the_page_of_a_run_shows_it(shops: Root) -> None:
    page = Page.of((shops.artifacts / "report" / "index.html").read_text(encoding="utf-8"))
    assert {"importance", "attention"} <= page.anchors
    for words in (
        "tft_hybrid, known inputs",
        "tft_hybrid, past inputs",
        "tft_hybrid, by lag",
        "tft_hybrid, by place",
        "share of the gain",
        "multiples of the season of 7 rows",
        STEP,
    ):
        assert words in page.text, words
    assert "tft_hybrid, static inputs" not in page.text  # there is but one


@pytest.mark.parametrize("task", ["sequence", "horizon"])
def test_section_of_made_up_fits(task: str, tmp_path: Path) -> None:
    """Names are escaped, groups stand apart, the mean is over all fits."""
    run = Run(tmp_path, task)
    run.all()
    folders = sorted(run.store.root.glob("train/quick/net_<one>/*/fold*"))
    assert len(folders) > 1
    for number, folder in enumerate(folders):
        LOOKED[number % 2].save(folder)
    from pipeline.report.page import page
    from pipeline.report.read_material import read_material
    from pipeline.stage import JobContext
    from pipeline.stages.report import Report

    [job] = Report().jobs(run.config, run.store)
    inputs = {path: run.store.root / path for path in job.inputs}
    context = JobContext(run.folder, inputs, run.store.root, lambda share, text: None)
    found = Page.of(page(read_material(job, context)))
    assert {"importance", "attention"} <= found.anchors
    assert "price<" in found.text
    assert "net_<one>, known inputs" in found.text
    assert "net_<one>, by lag" in found.text
    assert ("the vertical line is the origin" in found.text) == (task == "horizon")
