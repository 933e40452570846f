"""Studies on the report's page, and in its key."""

from __future__ import annotations

import json
import re

import pytest

from data.errors import InputError
from pipeline.report.axis import Axis, in_view
from pipeline.report.studies import read_studies, studies_there
from pipeline.stages.report import Report
from tests.pipeline.made_up_studies import KEPT, NOISE, made_up_study
from tests.pipeline.test_report import MEMBERS, Page, QuickRun, Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return QuickRun(tmp_path_factory.mktemp("studies"), "sequence").all()


@pytest.fixture
def without_studies(run: Run) -> Run:
    """The same run; what a test before it left of studies is gone."""
    for file in (run.store.root / "tune").rglob("*.json"):
        file.unlink()
    run.config.tune.objectives = ["score"]
    return run


def page(run: Run) -> Page:
    run.do(Report())
    return run.page()


def test_a_study_that_comes_or_grows_makes_the_report_anew(without_studies: Run) -> None:
    run = without_studies
    run.do(Report())

    def state() -> str:
        [job] = Report().jobs(run.config, run.store)
        return run.store.state(job)

    assert state() == "done"
    assert "tuning" not in run.page().anchors
    made_up_study(run.config, run.store.root, ["net_<one>"])
    assert state() != "done"
    assert "tuning" in page(run).anchors
    assert state() == "done"
    made_up_study(run.config, run.store.root, ["net_<one>"], trials=13)
    assert state() != "done"


def test_what_a_study_found_is_shown(without_studies: Run) -> None:
    run = without_studies
    made_up_study(run.config, run.store.root, ["net_<one>"])
    found = page(run)
    best = json.loads((run.store.root / "tune" / "net_<one>" / "best.json").read_text())
    assert f"trial {best['trial']} is kept" in found.text
    assert "gains 0.25 ± 0.0625" in found.text
    assert "12 trials, 10 complete, 2 pruned" in found.text
    # Epochs and scores of single trials are not a reason each.
    assert "after epoch 2 of 20 (1); out of memory (1)" in found.text
    assert "1 trial far worse than the axes show" in found.text
    assert "tune.use=best" in found.text
    for title in ("History", "What matters", "Parallel coordinates", "hidden", "fit.learning_rate"):
        assert title in found.text
    history = re.search(r'<svg[^>]*aria-label="score of the trials.*?</svg>', found.source, flags=re.S)
    assert history is not None
    assert history.group().count('class="pruned"') == 2
    assert history.group().count('class="ring') == 1  # the defaults
    # A dot for each complete trial but the defaults; the one beyond the axis is an arrow.
    assert history.group().count("<circle") + history.group().count('<path class="dot') == 10
    lines = re.search(r'<svg[^>]*aria-label="parallel coordinates.*?</svg>', found.source, flags=re.S)
    assert lines is not None
    assert len(re.findall(r'<path class="line [^"]*"', lines.group())) == 10
    assert not re.search(r'="[^"]*\b(nan|inf)\b', "".join(re.findall("<svg.*?</svg>", found.source, re.S)))


def test_noise_is_not_sold(without_studies: Run) -> None:
    run = without_studies
    made_up_study(run.config, run.store.root, ["net_<one>"], NOISE)
    text = page(run).text
    assert "the defaults are kept, for trial" in text
    assert "tune.use=best" not in text
    assert "tune.use=top5" in text


def test_a_joint_study_is_one(without_studies: Run) -> None:
    run = without_studies
    made_up_study(run.config, run.store.root, ["net_<one>", "trees"], KEPT, 14)
    [study] = read_studies(run.store.root, studies_there(run.store.root))
    assert study.joint
    assert len(study.trials) == 14
    assert {trial.member for trial in study.trials} == {"net_<one>", "trees"}
    own = study.of("trees")
    assert len(own.trials) == 7
    assert set(own.parameters()) <= {"hidden", "fit.learning_rate", "cell"}
    found = page(run)
    assert found.source.count("score of the trials of") == 1
    assert found.source.count('aria-label="parallel coordinates') == 2
    assert "Joint study: net_<one> and trees" in found.text


def test_two_objectives_have_a_front(without_studies: Run) -> None:
    run = without_studies
    made_up_study(run.config, run.store.root, ["net_<one>"], objectives=("score", "parameters"))
    [study] = read_studies(run.store.root, studies_there(run.store.root))
    front = study.front()
    values = {trial.number: trial.values for trial in study.complete}
    for number, (score, parameters) in values.items():
        better = [one for one in values.values() if one[0] < score and one[1] < parameters]
        assert (number in {trial.number for trial in front}) <= (not better)
    # The score falls as the parameters rise: all are on it, but for the trial that is far worse.
    assert {trial.number for trial in front} == set(values) - {3}
    text = page(run).text
    assert "Score and parameters" in text
    assert "no trial is better in both objectives" in text
    assert "What matters" not in text


def test_what_was_found_and_is_not_used_is_advised(without_studies: Run) -> None:
    run = without_studies
    made_up_study(run.config, run.store.root, ["net_<one>"])
    assert "with what tuning found" in page(run).text
    best = run.store.root / "tune" / "net_<one>" / "best.json"
    content = json.loads(best.read_text())
    best.write_text(json.dumps({**content, "kept": False}))
    assert "with what tuning found" not in page(run).text


def test_a_broken_file_is_named(without_studies: Run) -> None:
    run = without_studies
    made_up_study(run.config, run.store.root, ["net_<one>"])
    file = run.store.root / "tune" / "net_<one>" / "best.json"
    file.write_text("{")
    with pytest.raises(InputError, match=r"best\.json: cannot be read"):
        read_studies(run.store.root, studies_there(run.store.root))
    file.write_text("{}")
    with pytest.raises(InputError, match="study is missing"):
        read_studies(run.store.root, studies_there(run.store.root))


def test_axes_take_numbers_and_names() -> None:
    numbers = Axis.over([1, 2, 4], 0.0, 30.0)
    assert (numbers(1), numbers(4)) == (0.0, 30.0)
    assert numbers(2) == pytest.approx(10.0)
    rates = Axis.over([1e-4, 1e-2, 1.0], 0.0, 10.0)
    assert rates(1e-2) == pytest.approx(5.0)
    names = Axis.over([True, None, [1, 2]], 0.0, 30.0)
    assert [text for _, text in names.ticks()] == ["[1, 2]", "null", "true"]
    assert names([1, 2]) < names(None) < names(True)
    assert Axis.over(["only"], 0.0, 10.0)("only") == pytest.approx(5.0)


def test_far_worse_scores_do_not_squeeze_the_others() -> None:
    scores = [1.0, 1.1, 1.2, 1.3, 1.4, 90.0]
    low, high = in_view(scores, greater_is_better=False)
    assert low == 1.0
    assert 1.4 < high < 90
    assert in_view([-score for score in scores], greater_is_better=True) == (-high, -low)
    assert in_view([1.0, 2.0, 3.0], greater_is_better=False) == (1.0, 3.0)


def test_members_of_the_run_need_not_be_those_of_studies(without_studies: Run) -> None:
    run = without_studies
    run.config.member["other"] = {"kind": "lstm"}
    made_up_study(run.config, run.store.root, ["other"])
    assert "other" not in MEMBERS
    assert "other: trial" in page(run).text.replace("\n", " ")
