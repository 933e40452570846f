"""stage=all as a user sees it; a second run does nothing; a changed setting reruns what depends on it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.command import Finished, Root, changed, here, stages_of
from tests.end_to_end.conftest import Done

STAGES = ["prepare", "baseline", "features", "check", "train", "blend", "submit", "report"]
#: What the summary has at least, and of what kind.
SUMMARY = {
    "competition": str,
    "size": str,
    "metric": str,
    "members": dict,
    "blend": dict,
    "baselines": dict,
    "local_score": dict,
    "submission": dict,
    "stage_seconds": dict,
    "peak_memory_mib": float,
}


def again(done: Done, root: Root, *words: str) -> Finished:
    """The command once more, on `root`, with these words too."""
    finished = here(*done.words, f"root={root.folder}", "executor.name=inline", *words)
    assert finished.code == 0, finished.err
    return finished


@pytest.fixture
def copy(shops: Done, tmp_path: Path) -> Root:
    return shops.root.copy(tmp_path / "copy")


def test_submission_has_the_samples_rows_in_its_order(breaths: Done, shops: Done) -> None:
    sample = pd.read_csv(
        breaths.root.folder / "data" / "files" / "interim" / "ventilator-60-20-0" / "sample_submission.csv"
    )
    submission = pd.read_csv(breaths.root.submission())
    assert list(submission) == ["id", "pressure"]
    assert len(submission) == 1600
    assert submission["id"].equals(sample["id"])
    assert submission["pressure"].notna().all()
    test = pd.read_csv(Path(shops.words[1]).parent / "raw" / "test.csv")
    submission = pd.read_csv(shops.root.submission())
    assert list(submission) == ["id", "sales"]
    assert submission["id"].equals(test["id"])
    assert (submission["sales"][test["open"] == 0] == 0).all()
    assert (submission["sales"][test["open"] == 1] > 0).all()


@pytest.mark.parametrize("name", ["breaths", "shops"])
def test_summary_has_what_programs_read(name: str, request: pytest.FixtureRequest) -> None:
    done: Done = request.getfixturevalue(name)
    summary = done.root.summary()
    for key, kind in SUMMARY.items():
        assert isinstance(summary[key], kind), key
    assert summary["competition"] == done.root.competition
    assert summary["size"] == "demo"
    members = {"breaths": {"lightgbm", "bilstm"}, "shops": {"seasonal_naive", "lightgbm", "bilstm"}}
    assert set(summary["members"]) == members[name]
    for member in summary["members"].values():
        assert {"cv_mean", "cv_std", "folds", "local", "seconds", "parameters"} <= set(member)
        assert len(member["folds"]) == (2 if name == "breaths" else 1)
        assert member["cv_mean"] == pytest.approx(sum(member["folds"].values()) / len(member["folds"]))
        assert member["local"] > 0
        assert member["seconds"] > 0
    assert summary["members"]["lightgbm"]["parameters"] is None
    assert summary["members"]["bilstm"]["parameters"] > 0
    assert summary["blend"]["name"] in ("mean", "best", "convex", "by_group")
    assert summary["blend"]["cv_mean"] > 0
    assert next(iter(summary["local_score"])) == summary["metric"]
    assert all(value > 0 for value in summary["baselines"].values())
    file = done.root.folder / summary["submission"]["path"]
    assert file == done.root.submission()
    assert summary["submission"]["rows"] == len(pd.read_csv(file))
    assert set(summary["stage_seconds"]) >= set(STAGES)
    assert summary["peak_memory_mib"] > 100


def test_report_is_one_page_that_needs_nothing_else(breaths: Done) -> None:
    page = (breaths.root.artifacts / "report" / "index.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)
    for name in ("lightgbm", "bilstm", "group_median"):
        assert name in page
    assert page == (breaths.root.artifacts / "report" / "demo" / "report.html").read_text()


def test_what_the_command_says(breaths: Done) -> None:
    said = breaths.finished
    lines = said.out.splitlines()
    assert lines[0] == (
        "ventilator, stage all, size demo: lightgbm, bilstm; artefacts in artifacts/ventilator"
    )
    assert re.findall(r"^(\w+) +\d+ of \d+ ran, ", said.out, re.MULTILINE) == STAGES
    assert "a valid submission from the baseline: submissions/files/ventilator-baseline-" in said.out
    assert said.line("submission:") == "submission: submissions/files/ventilator-demo.csv (1,600 rows)"
    assert said.line("report:").split() == ["report:", "artifacts/ventilator/report/index.html"]
    assert len(lines) < 30
    noise = [line for line in said.err.splitlines() if not re.match(rf"({'|'.join(STAGES)}): ", line)]
    assert noise == [], "libraries' warnings, or lines that do not say of which stage they are"
    assert not re.search("warn", said.out + said.err, re.IGNORECASE)


def test_second_run_does_nothing_and_says_so(shops: Done, copy: Root) -> None:
    before = copy.times()
    submission = copy.submission().stat().st_mtime_ns
    finished = again(shops, copy)
    assert copy.times() == before
    assert copy.submission().stat().st_mtime_ns == submission
    for stage in STAGES:
        assert re.fullmatch(r"\d+ already done, 0\.\d s", finished.stage(stage)), stage
    assert "nothing was left to do" in finished.line("total")
    assert finished.err == ""
    assert finished.out.splitlines()[-9:-3] == shops.finished.out.splitlines()[-9:-3]


def test_removed_submission_is_there_again(shops: Done, copy: Root) -> None:
    content = copy.submission().read_bytes()
    copy.submission().unlink()
    again(shops, copy)
    assert copy.submission().read_bytes() == content


def test_one_stage_alone_on_a_fresh_folder(shops: Done, tmp_path: Path) -> None:
    root = Root(tmp_path, "shops")
    finished = again(shops, root, "stage=train", "members=[lightgbm]")
    assert stages_of(set(root.keys())) == {"prepare", "features", "train"}
    assert [line.split()[0] for line in finished.out.splitlines()[1:] if line[0] != " "] == [
        "prepare",
        "features",
        "train",
        "total",
    ]
    assert {path for path in dict(root.keys()) if path.startswith("train")} == {
        f"train/demo/lightgbm/seed0/{fit}" for fit in ("fold0", "local", "all")
    }
    assert root.half_made() == []


#: A changed setting: the stages of the artefacts that it makes anew; for `train`, of which members.
CHANGES = [
    ("submit.post=false", {"submit", "report"}, set()),
    ("submit.name=other", {"submit", "report"}, set()),
    (
        "competition.post=[{kind: clip, settings: {low: 1}},"
        " {kind: zero_where, settings: {where: 'open == 0'}}]",
        {"blend", "submit", "report"},
        set(),
    ),
    ("competition.submission.decimals=1", {"submit", "report"}, set()),
    ("blend.names=[mean]", {"blend", "submit", "report"}, set()),
    ("competition.metric=[{name: rmsle}, {name: mae}]", {"blend", "submit", "report"}, set()),
    ("fit.max_epochs=1", {"train", "blend", "submit", "report"}, {"bilstm"}),
    ("member.bilstm.hidden=4", {"train", "blend", "submit", "report"}, {"bilstm"}),
    ("member.lightgbm.rounds=5", {"train", "blend", "submit", "report"}, {"lightgbm"}),
    (
        "competition.features.rolling.windows=[14]",
        {"features", "check", "train", "blend", "submit", "report"},
        {"lightgbm", "bilstm"},
    ),
]


#: Those that differ in what they show; the others are tried among the slow tests.
FIRST = ("submit.post=false", "blend.names=[mean]", "member.lightgbm.rounds=5")


@pytest.mark.parametrize(
    ("word", "stages", "members"),
    [
        pytest.param(*change, id=change[0], marks=() if change[0] in FIRST else pytest.mark.slow)
        for change in CHANGES
    ],
)
def test_changed_setting_reruns_exactly_what_depends_on_it(
    word: str, stages: set[str], members: set[str], shops: Done, copy: Root
) -> None:
    before = copy.keys()
    content = copy.contents(".parquet", ".csv")
    times = copy.times()
    finished = again(shops, copy, word)
    anew = changed(before, copy.keys())
    assert stages_of(anew) == stages
    assert {path.split("/")[2] for path in anew if path.startswith("train/")} == members
    features = {path for path in anew if path.startswith("features/")}
    assert features == ({"features/rolling"} if "features" in stages else set())
    for path, time in times.items():
        artefact = max((one for one in before if path.startswith(f"{one}/")), key=len)
        assert (copy.times().get(path) == time) == (artefact not in anew), path
    assert copy.half_made() == []
    for stage in set(STAGES) - stages:
        assert "already done" in finished.stage(stage)

    back = again(shops, copy)
    assert copy.keys() == before
    assert copy.contents(".parquet", ".csv") == content
    assert copy.times() == times
    for stage in stages:
        assert "taken up again" in back.stage(stage), stage
        assert "ran" not in back.stage(stage), stage


def test_latest_report_is_that_of_the_latest_run(shops: Done, copy: Root) -> None:
    first = copy.summary()
    again(shops, copy, "submit.post=false")
    assert copy.summary() != first
    again(shops, copy)
    assert copy.summary()["local_score"] == first["local_score"]
    assert copy.summary()["blend"] == first["blend"]
