"""The report stage on small hand-made runs of both tasks: what the page and summary.json must hold."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from data.competition import Competition, Folds, Local, Metric, Post, Submission
from data.predictions import prediction_table, save_predictions
from data.scoring import asked_of
from data.split import horizon_of, make_split, save_split
from models.interpretation import Interpretation
from pipeline.competition_file import save_competition
from pipeline.config import Config
from pipeline.libraries import library_versions
from pipeline.manifest import Costs
from pipeline.report.compare import paired
from pipeline.report.gain import gain, gain_words
from pipeline.report.page import page
from pipeline.report.svg import Chart, Line, Scale
from pipeline.report.text import decimals_for, number, shorten
from pipeline.stage import Job, JobContext, Stage
from pipeline.stages.baseline import Baseline
from pipeline.stages.blend import Blend
from pipeline.stages.features import parts_of
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.stages.report import Report, published
from pipeline.stages.submit import Submit
from pipeline.stages.train import Train
from pipeline.store import ArtifactStore
from tests.panels import HORIZON, make_panel

MEMBERS = {"trees": "lightgbm", "net_<one>": "lstm", "naive": "lightgbm"}  # name: kind
NOISE = {"trees": 5.0, "net_<one>": 8.0, "naive": 60.0, "group_median": 40.0}
TASKS = ("sequence", "horizon")


class Run:
    """A run whose fits are made up: truth plus noise, written as the train stage would."""

    blenders: ClassVar[list[str]] = []  # empty: all that the configuration has

    def __init__(self, root: Path, task: str, members: dict[str, str] = MEMBERS, **changes: Any) -> None:
        competition, panel = make_panel(task, series=24)
        competition.title = "Toy <b>title</b>"
        competition.metric = changes.pop("metric", [Metric("mae"), Metric("rmse")])
        competition.submission = Submission(row_id="id")
        competition.baselines = {"group_median": {"by": ["series"] if task == "horizon" else ["region"]}}
        competition.post = [Post("clip", {"low": 0.0})]
        if task == "horizon":
            competition.folds = Folds("rolling", count=2, step=1)
            competition.local = Local("horizon")
            panel = _long(competition)
        else:
            competition.folds = Folds("grouped", count=3)
            competition.local = Local("groups", share=0.2)
        for name, value in changes.items():
            setattr(competition, name, value)
        self.competition, self.panel = competition, panel
        self.config = Config(
            competition=competition,
            size="quick",
            members=list(members),
            member={
                **{name: {"kind": kind} for name, kind in members.items()},
                "group_median": {"kind": "group_median"},
            },
            root=str(root),
        )
        self.config.blend.names = self.blenders or self.config.blend.names
        self.store = ArtifactStore(root / "artifacts" / competition.name)

    def do(self, stage: Stage, jobs: list[Job] | None = None) -> list[Job]:
        """Run a stage's own code on all its jobs."""
        jobs = stage.jobs(self.config, self.store) if jobs is None else jobs
        for job in jobs:
            self._commit(job, lambda context, job=job: stage.run(job, context))
        return jobs

    def prepare(self) -> None:
        """The artefact of the prepare stage."""

        def write(context: JobContext) -> None:
            split = make_split(self.competition, self.panel)
            self.panel.save(context.folder / "panel")
            save_split(split, context.folder)
            save_competition(self.competition, context.folder)
            meta = {
                "horizon": horizon_of(self.competition, self.panel),
                "rows": self.panel.rows,
                "series": self.panel.series,
                "asked": int(self.panel.test.sum()),
                "train_rows": int((self.panel.present & ~self.panel.test).sum()),
                "folds": [fold.label for fold in split.folds],
                "local": split.local.label if split.local else "none",
                "notes": ["price: 12 rows without a value (first: train.csv: row <3>)"],
            }
            (context.folder / "meta.json").write_text(json.dumps(meta))

        self._commit(Job("prepare", PREPARE, {"seed": 0}), write)
        self.prepared = Prepared(self.store.folder(PREPARE))

    def fit(self, stage: Stage) -> None:
        """Made-up fits of all jobs of `stage` (train or baseline)."""
        for job in stage.jobs(self.config, self.store):
            self._commit(job, lambda context, job=job: self._fit(job, context.folder))

    def _fit(self, job: Job, folder: Path) -> None:
        name = job.path.split("/")[-3]
        prepared, generator = self.prepared, np.random.default_rng(sum(job.path.encode()))
        fold = next(part for part in parts_of(prepared) if part.name == job.settings["fold"])
        asked = {"oof": fold.asked, "test": prepared.split.test.asked}
        if prepared.split.local is not None:
            asked["local"] = prepared.split.local.asked
        for part in job.settings["predict"]:
            rows = asked_of(prepared.panel, [(fold.index, asked[part])], prepared.horizon)
            value = np.nan_to_num(rows.truth, nan=50.0) + generator.normal(0, NOISE[name], rows.truth.shape)
            save_predictions(prediction_table(rows.row_id, rows.origin, value), folder / f"{part}.parquet")
        costs = {"fit_seconds": 1.5, "predict_seconds": 0.25, "peak_memory_mib": 123.0}
        parameters = 4321 if job.settings["kind"] == "lstm" else None
        (folder / "fit.json").write_text(json.dumps({**costs, "parameters": parameters}))
        if job.settings["kind"] == "lstm":
            log = {"epoch": [0, 1, 2], "train_loss": [3.0, 2.0, 1.5], "inner_loss": [3.1, 2.6, 2.7]}
            pd.DataFrame({**log, "learning_rate": 1e-3, "seconds": 0.5}).to_csv(
                folder / "log.csv", index=False
            )
        elif name == "trees":
            Interpretation({"gain": {"price<": 0.75, "promotion": 0.25}}).save(folder)

    def _commit(self, job: Job, write: Any) -> None:
        input_keys = self.store.input_keys(job)
        key = self.store.key(job)
        folder = self.store.working_folder(job.path, key)
        inputs = {path: self.store.root / path for path in job.inputs}
        write(JobContext(folder, inputs, self.store.root, lambda share, text: None))
        self.store.commit(job, key, input_keys, Costs("2020-01-01", "2020-01-01", 2.5, 456.0))

    def all(self) -> Run:
        """From prepare to report."""
        self.prepare()
        self.fit(Baseline())
        self.fit(Train())
        for stage in (Blend(), Submit(), Report()):
            self.do(stage)
        return self

    @property
    def folder(self) -> Path:
        return self.store.root / "report"

    def page(self) -> Page:
        return Page.of((self.folder / "index.html").read_text(encoding="utf-8"))

    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text(), parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise AssertionError(f"summary.json has {name}, which is no JSON")


def _long(competition: Competition) -> Any:
    """A panel whose series are long enough for two cut-offs, a hold-out and the test rows."""
    _, panel = make_panel("horizon", series=24, seed=3, equal=True, gaps=False)
    assert np.diff(panel.offsets).min() > 4 * HORIZON
    return panel


class QuickRun(Run):
    """With blenders that take no time, for tests of other things."""

    blenders: ClassVar[list[str]] = ["mean", "best"]


VOID = {"meta", "link", "br", "wbr", "line", "rect", "circle", "path"}


@dataclass
class Page(HTMLParser):
    """What a parsed page holds; every element that is opened is closed."""

    links: list[str] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    anchors: set[str] = field(default_factory=set)
    text: str = ""
    source: str = ""
    open: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, source: str) -> Page:
        found = cls(source=source)
        HTMLParser.__init__(found)
        found.feed(source)
        found.close()
        assert found.open == []
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attrs:
            assert not name.startswith("on"), f"<{tag} {name}> is a script"
            if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
                self.links.append(value or "")
            if name == "id":
                self.anchors.add(value or "")
        if tag not in ("meta", "link", "br", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module", params=TASKS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp(request.param), request.param).all()


def test_page_is_self_contained_and_small(run: Run) -> None:
    found = run.page()
    for link in found.links:
        assert link.startswith("#") or link == "data:,", f"the page refers to {link}"
        assert link == "data:," or link[1:] in found.anchors
    assert "script" not in found.tags
    assert "url(" not in found.source
    assert "@import" not in found.source
    assert not re.search(r"https?://", found.source)
    assert len(found.source.encode()) < 3_000_000


def test_page_names_everything_and_escapes_it(run: Run) -> None:
    found = run.page()
    for name in [
        *MEMBERS,
        "group_median",
        "mean",
        "median",
        "convex",
        "Toy <b>title</b>",
        "price<",
        "row <3>",
    ]:
        assert name in found.text.replace("\u200b", ""), f"{name} is not on the page"
    assert "<b>title" not in found.source
    assert run.summary()["command"] in found.text
    assert run.summary()["submission"]["path"] in found.text
    anchors = {"leaderboard", "forecasts", "errors", "weights", "correlation", "learning", "importance"}
    assert anchors | {"folds", "costs", "data", "settings", "reading"} <= found.anchors
    assert not re.search(r"\bnan\b|\binf\b|None", found.text)


def test_forecasts_are_named_by_how_good_they_are(run: Run) -> None:
    """Of few forecasts all are shown, the best first; of many the best, typical and worst ones."""
    badges = re.findall(r'<span class="badge (best|typical|worst)">', run.page().source)
    if "the best first" in run.page().text:
        assert 1 < len(badges) <= 6
        assert badges == ["best", *["typical"] * (len(badges) - 2), "worst"]
    else:
        assert sorted(badges) == ["best"] * 2 + ["typical"] * 2 + ["worst"] * 2


def test_every_drawing_has_finite_numbers(run: Run) -> None:
    drawings = re.findall(r"<svg.*?</svg>", run.page().source, flags=re.S)
    assert len(drawings) > 15
    for drawing in drawings:
        numbers = re.findall(r'\b(?:x|y|x1|x2|y1|y2|cx|cy|r|width|height|d)="([^"]*)"', drawing)
        assert numbers
        assert not any("nan" in value or "inf" in value for value in numbers)
        assert all(float(value) >= 0 for value in re.findall(r'\b(?:width|height)="([^"]*)"', drawing))


def test_both_themes_have_contrast(run: Run) -> None:
    """WCAG 2: 4.5 for text, 3 for lines and dots, against the page and the boxes on it."""
    style = re.search(r"<style>(.*?)</style>", run.page().source, flags=re.S)
    assert style is not None
    themes = re.findall(r":root \{(.*?)\}", style.group(1), flags=re.S)
    assert len(themes) == 2
    for theme in themes:
        colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", theme))
        for ground in ("page", "raised"):
            for name in ("text", "soft", "accent", "warn"):
                assert _contrast(colour[name], colour[ground]) >= 4.5, (name, ground)
            for name in ("blend", "truth", "baseline", "history", "neutral", *(f"m{n}" for n in range(8))):
                assert _contrast(colour[name], colour[ground]) >= 3, (name, ground)


def _contrast(first: str, second: str) -> float:
    high, low = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_summary_is_complete_and_typed(run: Run) -> None:
    summary = run.summary()
    assert (summary["competition"], summary["size"], summary["metric"]) == (
        run.competition.name,
        "quick",
        "mae",
    )
    folds = [fold.name for fold in run.prepared.split.folds]
    assert set(summary["members"]) == set(MEMBERS)
    for name, member in summary["members"].items():
        assert list(member["folds"]) == folds
        assert member["cv_mean"] == pytest.approx(np.mean(list(member["folds"].values())))
        assert member["cv_std"] == pytest.approx(np.std(list(member["folds"].values()), ddof=1))
        assert isinstance(member["local"], float)
        assert member["seconds"] == pytest.approx(2.5 * len(list(run.store.root.glob(f"train/*/{name}/*/*"))))
        assert member["parameters"] == (4321 if name == "net_<one>" else None)
    scores = json.loads((run.store.folder("blend/quick") / "scores.json").read_text())
    assert summary["blend"]["name"] == scores["chosen"]
    assert summary["blend"]["cv_mean"] == pytest.approx(scores["post"]["cv"])
    assert list(summary["local_score"]) == ["mae", "rmse"]
    assert summary["local_score"]["mae"] == pytest.approx(scores["post"]["local"]["mae"])
    assert summary["baselines"] == {"group_median": pytest.approx(scores["baselines"]["group_median"]["mae"])}
    file = Path(run.config.root) / summary["submission"]["path"]
    assert len(pd.read_csv(file)) == summary["submission"]["rows"] == int(run.panel.test.sum())
    assert set(summary["stage_seconds"]) == {"prepare", "baseline", "train", "blend", "submit", "report"}
    assert all(isinstance(seconds, float) for seconds in summary["stage_seconds"].values())
    assert summary["peak_memory_mib"] == 456.0
    assert summary["versions"] == library_versions()
    assert summary["seeds"] == [0]


def test_latest_copy_follows_the_size(run: Run) -> None:
    own = run.store.folder("report/quick")
    assert (run.folder / "index.html").read_bytes() == (own / "report.html").read_bytes()
    (run.folder / "index.html").write_text("another size's")
    assert published(run.config, run.store) == run.folder / "index.html"
    assert (run.folder / "index.html").read_bytes() == (own / "report.html").read_bytes()
    assert [path.name for path in run.folder.iterdir() if path.name.startswith(".")] == []


def test_timings_and_command_are_not_in_the_key(run: Run) -> None:
    [job] = Report().jobs(run.config, run.store)
    assert run.store.state(job) == "done"
    assert not {"command", "stage_seconds", "peak_memory_mib"} & set(job.settings)


def test_forecasts_leave_out_rows_that_are_not_judged(run: Run) -> None:
    assert (run.panel.weight <= 0).any()
    assert 'class="shade"' in run.page().source


def test_details_of_the_command_are_told(tmp_path: Path) -> None:
    run = QuickRun(tmp_path, "sequence")
    run.prepare()
    run.fit(Baseline())
    run.fit(Train())
    run.do(Blend())
    run.do(Submit())
    [job] = Report().jobs(run.config, run.store)
    details = {
        "command": ["python", "-m", "x", "members=[a, b]"],
        "stage_seconds": {"train": 77.0},
        "peak_memory_mib": 999.0,
    }
    run.do(Report(), [Job(job.stage, job.path, job.settings, job.inputs, job.version, "", details)])
    summary = run.summary()
    assert summary["command"] == "python -m x 'members=[a, b]'"
    assert summary["stage_seconds"]["train"] == 77.0
    assert summary["peak_memory_mib"] == 999.0


def test_without_a_complete_member_the_baseline_is_reported(tmp_path: Path) -> None:
    run = Run(tmp_path, "horizon")
    run.prepare()
    run.fit(Baseline())
    run.do(Submit())
    run.do(Report())
    summary, found = run.summary(), run.page()
    assert summary["blend"] is None
    assert summary["members"] == {}
    assert summary["submission"]["baseline"] == "group_median"
    # Clipped at 0, as it was submitted.
    assert summary["local_score"]["mae"] <= summary["baselines"]["group_median"]
    assert "No member was complete" in found.text
    assert {"forecasts", "errors"} <= found.anchors


@pytest.mark.parametrize("task", TASKS)
def test_one_member_one_fold_no_hold_out(task: str, tmp_path: Path) -> None:
    run = Run(tmp_path, task, {"trees": "lightgbm"}, local=Local("none"), post=[])
    run.config.fit.folds = [0]
    run.all()
    summary, found = run.summary(), run.page()
    assert summary["local_score"] == {}
    assert summary["baselines"] == {}
    assert summary["members"]["trees"]["local"] is None
    assert list(summary["members"]["trees"]["folds"]) == ["fold0"]
    assert "in cross-validation" in found.text
    assert "out-of-fold rows" in found.text


def test_a_score_that_should_be_high(tmp_path: Path) -> None:
    run = QuickRun(tmp_path, "sequence", metric=[Metric("r2")])
    run.all()
    assert run.summary()["greater_is_better"] is True
    names = re.findall(r'<tr[^>]*><th scope="row">.*?class="name">(.*?)</span>', run.page().source)
    assert names.index("trees") < names.index("naive")
    assert "higher is better" in run.page().text


def test_baselines_are_held_against_the_blend_before_post_processing(tmp_path: Path) -> None:
    """A step that makes anybody's forecast better is no merit of the models."""
    run = QuickRun(tmp_path, "sequence", post=[Post("clip", {"low": 60.0, "high": 61.0})])
    run.all()
    summary, found = run.summary(), run.page()
    scores = json.loads((run.store.folder("blend/quick") / "scores.json").read_text())
    before, after = scores["local"]["mae"], scores["post"]["local"]["mae"]
    [baseline] = summary["baselines"].values()
    assert after > 2 * before, "this step makes it much worse"
    words = gain_words(gain(before, baseline, False), False)
    assert f"{words} than the best simple baseline, both before post-processing" in found.text
    assert "Against simple baselines, before post-processing" in found.text
    assert gain_words(gain(after, baseline, False), False) not in found.text


def test_paired_over_folds() -> None:
    first, second = np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.7, 3.6])
    result = paired(first, second, greater_is_better=False)
    assert result is not None
    # scipy.stats.ttest_rel(second, first).confidence_interval() by hand: t(0.975, 2) = 4.302653
    assert result.mean == pytest.approx(0.6)
    assert result.high - result.mean == pytest.approx(4.302653 * 0.1 / np.sqrt(3), rel=1e-6)
    assert (result.better, result.count, result.clear) == (3, 3, True)
    turned = paired(first, second, greater_is_better=True)
    assert turned is not None
    assert turned.mean == pytest.approx(-0.6)
    assert paired(first[:1], second[:1], False) is None
    assert paired(first, np.array([np.nan, np.nan, 1.0]), False) is None


def test_words_for_numbers() -> None:
    assert gain(0.8, 1.0, False) == pytest.approx(0.2)
    assert gain_words(gain(0.8, 1.0, False), False) == "20.0 % better"
    assert gain_words(gain(1.2, 1.0, False), False) == "20.0 % worse"
    assert gain(0.9, 0.5, True) == pytest.approx(0.4)
    assert gain(None, 1.0, False) is None
    assert decimals_for([0.1234, 12.0, None]) == 4
    assert number(-1234.5, 1) == "\N{MINUS SIGN}1,234.5"
    assert number(float("nan"), 1) == "\N{EN DASH}"
    assert len(shorten("a" * 30, 10)) == 10


def test_scale_has_round_ticks_inside_its_range() -> None:
    assert Scale(0.0, 10.0, 0, 100).ticks(4) == [0, 2.5, 5.0, 7.5, 10.0]
    assert Scale(0.013, 4.1, 0, 100, log=True)(4.1) == 100
    assert all(0.013 <= tick <= 4.1 for tick in Scale(0.013, 4.1, 0, 100, log=True).ticks(4))
    assert Scale(3.0, 3.0, 0, 100)(3.0) == 50


def test_a_line_breaks_where_nothing_is_known() -> None:
    line = Line(np.arange(5.0), np.array([1.0, 2.0, np.nan, 3.0, 4.0]), "m0")
    drawing = Chart([line], "broken").svg()
    [path] = re.findall(r'class="line m0" d="([^"]*)"', drawing)
    assert path.count("M") == 2
    assert Chart([Line(np.arange(2.0), np.full(2, np.nan), "m0")], "nothing").svg() == ""


def test_page_is_the_same_every_time(run: Run) -> None:
    from pipeline.report.read_material import read_material

    [job] = Report().jobs(run.config, run.store)
    inputs = {path: run.store.root / path for path in job.inputs}
    context = JobContext(run.folder, inputs, run.store.root, lambda share, text: None)
    assert page(read_material(job, context)) == page(read_material(job, context))
