"""stage=tune as a user runs it: exact counts, kills, several commands, results, and what uses them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from pipeline.executor import JobFailed
from pipeline.tuning.files import study_title, trial_name
from tests.end_to_end.command import PATIENCE, Finished, Process, Root, here
from tests.limit import within

PLUGIN = Path(__file__).with_name("toy_member.py")
FOLDS = 2


class Studies:
    """Commands that tune the toy member over one root, and what they left."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.folder = folder
        self.log = folder / "fits.log"
        self.root = Root(folder / "root", "shops")
        self.words = [
            *words,
            "stage=tune",
            f"plugins=[{PLUGIN}]",
            "members=[toy]",
            f"root={self.root.folder}",
            f"competition.folds.count={FOLDS}",
            "fit.folds=null",
            f"member.toy.log={self.log}",
            "fit.refit=none",
            "tune.trials=4",
            "tune.prune=none",
            "tune.confirm_seeds=1",
        ]

    def run(self, *words: str) -> Finished:
        finished = here(*self.words, "executor.name=inline", *words)
        assert finished.code == 0, finished.err
        return finished

    def refused(self, *words: str) -> str:
        finished = here(*self.words, "executor.name=inline", *words)
        assert finished.code == 2, finished.out + finished.err
        return finished.err.strip().splitlines()[-1]

    def start(self, *words: str) -> Process:
        return Process(*self.words, *words)

    def best(self, member: str = "toy") -> dict[str, Any]:
        file = self.root.artifacts / "tune" / member / "best.json"
        content = json.loads(file.read_text())
        assert isinstance(content, dict)
        return content

    def trials(self) -> list[dict[str, Any]]:
        content = json.loads((self.root.artifacts / "tune" / "toy" / "trials.json").read_text())
        assert isinstance(content, list)
        return content

    def study(self, name: str = "shops-demo-toy") -> optuna.Study:
        return optuna.load_study(
            study_name=name, storage=f"sqlite:///{self.root.artifacts / 'tune' / 'study.db'}"
        )

    def fits(self) -> list[tuple[str, ...]]:
        """(level, size, fold, seed) of every fit that was begun."""
        if not self.log.exists():
            return []
        return [tuple(line.split()[:4]) for line in self.log.read_text().splitlines()]

    def pids(self) -> list[int]:
        return (
            [int(line.split()[4]) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        )


@pytest.fixture
def studies(shop_words: list[str], tmp_path: Path) -> Studies:
    return Studies(shop_words, tmp_path)


def states(study: optuna.Study) -> Counter[str]:
    return Counter(trial.state.name for trial in study.get_trials(deepcopy=False))


def test_a_study_its_result_and_again(studies: Studies) -> None:
    finished = studies.run("tune.confirm_seeds=2")
    best = studies.best()
    assert (best["trials"], best["complete"], best["pruned"]) == (4, 4, 0)
    trials = {trial["number"]: trial for trial in studies.trials()}
    assert len(trials) == 4
    assert trials[0]["default"]
    assert trials[0]["params"] == {"level": 2.0, "size": 1}
    scores = {number: trial["values"][0] for number, trial in trials.items()}
    assert best["default_score"] == scores[0]
    assert best["score"] == min(scores.values())
    assert best["params"] == trials[min(scores, key=scores.__getitem__)]["params"]
    for trial in trials.values():
        assert trial["values"][0] == pytest.approx(sum(trial["folds"].values()) / FOLDS)
    # The true level is about 4.5, the default 2: the best of four is better, and the local part agrees.
    assert best["kept"]
    assert best["gain"] > best["gain_standard_error"] > 0
    assert best["local_best"] < best["local_default"]
    assert best["pairs"] == 2 * FOLDS
    assert [entry["score"] for entry in best["top"]] == sorted(scores.values())
    assert best["fold_fits"] == 4 * FOLDS
    assert "is kept: " in finished.line("toy: trial")
    # Trials are fitted with the run's seed, the confirmation with two others, each fit once.
    assert {seed for *_, seed in studies.fits()} == {"0", "1", "2"}
    assert max(Counter(studies.fits()).values()) == 1
    before = studies.fits(), (studies.root.artifacts / "tune/toy/best.json").read_bytes()
    again = studies.run("tune.confirm_seeds=2")
    assert (studies.fits(), (studies.root.artifacts / "tune/toy/best.json").read_bytes()) == before
    assert "nothing was left to do" in again.out
    # Two more; what is suggested is what one command would have suggested that is not interrupted.
    more = studies.run("tune.trials=6", "tune.confirm_seeds=2")
    assert studies.best()["trials"] == 6
    assert "6 of 6 done" in more.err
    assert set(studies.best()["importances"]) == {"level", "size"}
    assert next(iter(studies.best()["importances"])) == "level"
    assert max(Counter(studies.fits()).values()) == 1


@pytest.mark.slow
def test_interrupted_studies_suggest_what_uninterrupted_ones_do(studies: Studies, tmp_path: Path) -> None:
    words = ["fit.folds=[0]", "tune.space.toy.size=1"]
    for count in (5, 9):
        studies.run(f"tune.trials={count}", *words)
    other = Studies(studies.words[:3], tmp_path / "other")
    other.folder.mkdir()
    other.run("tune.trials=9", *words)
    assert [trial["params"] for trial in studies.trials()] == [trial["params"] for trial in other.trials()]
    assert studies.best()["score"] == other.best()["score"]
    assert studies.best()["gain"] == other.best()["gain"]


@pytest.mark.slow
def test_processes_find_what_inline_finds(studies: Studies, tmp_path: Path) -> None:
    studies.run()
    other = Studies(studies.words[:3], tmp_path / "other")
    other.folder.mkdir()
    finished = here(*other.words, "executor.name=processes", "tune.workers=1")
    assert finished.code == 0, finished.err
    times = ("seconds", "fit_seconds", "overhead_seconds", "peak_memory_mib")
    mine, theirs = (
        [{key: value for key, value in trial.items() if key not in times} for trial in one.trials()]
        for one in (studies, other)
    )
    assert mine == theirs
    for key in ("score", "gain", "gain_standard_error", "local_best", "params", "top"):
        assert studies.best()[key] == other.best()[key]


@pytest.mark.slow
def test_trials_that_lose_on_all_folds_are_pruned(studies: Studies) -> None:
    words = ["tune.prune=folds", "competition.folds.count=3"]
    studies.run(*words, "tune.trials=6")
    best = studies.best()
    assert best["trials"] == best["complete"] + best["pruned"] == 6
    pruned = [trial for trial in studies.trials() if trial["state"] == "pruned"]
    assert len(pruned) > 1
    assert {trial["reason"] for trial in pruned} == {"worse than the best on 2 of 3 folds"}
    assert best["fold_fits_saved"] == len(pruned) == best["pruned"]
    assert best["fold_fits"] == 6 * 3 - len(pruned)
    studies.run(*words, "tune.trials=8")
    assert studies.best()["trials"] == 8
    assert max(Counter(studies.fits()).values()) == 1


@pytest.mark.slow
def test_no_memory_and_no_number_are_pruned_with_a_reason(studies: Studies) -> None:
    limits = ["member.toy.out_of_memory_above=6", "member.toy.nan_above=4"]
    studies.run("tune.trials=8", "tune.sampler=random", "fit.folds=[0]", *limits)
    best = studies.best()
    assert best["trials"] == 8
    assert best["pruned"] > 1
    reasons = set()
    for trial in studies.trials():
        level = trial["params"]["level"]
        reasons.add((trial["reason"] or "").partition(":")[0])
        assert trial["state"] == ("complete" if level <= 4 else "pruned")
        if level > 6:
            assert trial["reason"] == "out of memory: MemoryError: a very large network"
        elif level > 4:
            assert trial["reason"].startswith("diverged: ")
    assert best["params"]["level"] <= 4
    assert reasons == {"", "out of memory", "diverged"}
    assert best["fold_fits_saved"] == 0, "these were not saved by pruning"


def test_input_errors_and_bugs_end_the_command(studies: Studies) -> None:
    assert "this level is no good" in studies.refused("member.toy.refused_above=2.1")
    open_trials = [trial.state for trial in studies.study().trials]
    assert TrialState.RUNNING not in open_trials
    with pytest.raises(JobFailed, match="a bug of our own"):
        studies.run("member.toy.broken_above=2.1")
    [name] = [name for name in names(studies) if name != "shops-demo-toy"]
    assert states(studies.study(name))["RUNNING"] == 0
    assert not (studies.root.artifacts / "tune/toy/best.json").exists()


@pytest.mark.slow
def test_a_fit_of_the_confirmation_that_diverges_leaves_a_result(studies: Studies) -> None:
    """With early stopping the refit, whose local score is told, needs the folds' fits."""
    early = ["fit.early_stopping=true", "fit.refit_epochs=folds", "fit.refit=all"]
    better = "tune.space.toy_of_epochs.level={low: 4, high: 5}"
    member = [f"member.toy_of_epochs.{word}" for word in (f"log={studies.log}", "diverging=fold1 1")]
    with within(PATIENCE):
        studies.run("members=[toy_of_epochs]", "tune.trials=2", better, *early, *member)
    best = studies.best("toy_of_epochs")
    assert best["complete"] == 2
    assert not best["kept"]
    assert best["reason"].endswith("/seed1/fold1: diverged: FloatingPointError: the loss is not finite")
    assert best["local_default"] is best["local_best"] is None
    assert {fold for _, _, fold, seed in studies.fits() if seed == "1"} == {"fold0", "fold1"}


def names(studies: Studies) -> list[str]:
    return optuna.get_all_study_names(f"sqlite:///{studies.root.artifacts / 'tune' / 'study.db'}")


@pytest.mark.slow
def test_a_study_of_something_else_stands_beside_the_first(studies: Studies) -> None:
    studies.run("tune.trials=2")
    first = [trial.params for trial in studies.study().trials]
    fits = {file: file.read_bytes() for file in trial_manifests(studies)}
    other = studies.run("tune.trials=2", "tune.space.toy.level={low: 4, high: 5}")
    assert "study shops-demo-toy has other data, settings or another space" in other.err
    assert [trial.params for trial in studies.study().trials] == first
    [beside] = set(names(studies)) - {"shops-demo-toy"}
    # Its trials have the same numbers and lie elsewhere, where what uses them finds them.
    assert {file: file.read_bytes() for file in fits} == fits
    own = {file.parents[2].name for file in trial_manifests(studies)} - {"toy-trial1"}
    assert own == {f"toy-trial1-{beside.removeprefix('shops-demo-toy-')}"}
    fitted = len(studies.fits())
    studies.run("stage=train", "tune.use=top2")
    assert len(studies.fits()) == fitted
    studies.run("tune.trials=3")
    assert len(studies.study().trials) == 3
    assert len(names(studies)) == 2


@pytest.mark.slow
def test_the_space_is_narrowed_and_extended(studies: Studies) -> None:
    studies.run(
        "tune.trials=7",
        "fit.folds=[0]",
        "tune.space.toy.level={low: 4, high: 5, step: 0.25}",
        "tune.space.toy.size=2",
        "tune.space.toy.windows.context={choices: [14, 28]}",
        "tune.space.toy.features.calendar={choices: [true, false]}",
        "tune.sampler=random",
    )
    drawn = [trial["params"] for trial in studies.trials() if not trial["default"]]
    assert {params["size"] for params in drawn} == {2}
    assert all(params["level"] % 0.25 == 0 and 4 <= params["level"] <= 5 for params in drawn)
    assert {params["windows"]["context"] for params in drawn} == {14, 28}
    assert {params["features"]["calendar"] for params in drawn} == {True, False}
    settings = [json.loads(file.read_text())["settings"] for file in trial_manifests(studies)]
    assert {tuple(sorted(one["features"])) for one in settings} == {("calendar", "rolling"), ("rolling",)}
    assert {one["windows"]["context"] for one in settings} == {14, 28}


def trial_manifests(studies: Studies) -> list[Path]:
    return sorted(studies.root.artifacts.glob("train/demo/toy-trial*/seed0/fold*/manifest.json"))


def test_a_small_space_ends_the_study(studies: Studies) -> None:
    space = [
        "tune.space.toy.level={choices: [4, 5]}",
        "tune.space.toy.size=1",
        "tune.trials=9",
        "fit.folds=[0]",
    ]
    finished = studies.run(*space)
    assert "no more are asked for" in finished.err
    assert sorted(trial["params"]["level"] for trial in studies.trials() if trial["state"] == "complete") == [
        2, 4, 5,
    ]  # fmt: skip
    failed = [trial["reason"] for trial in studies.trials() if trial["state"] == "fail"]
    assert failed
    assert all(reason.startswith("the same as trial") for reason in failed)
    assert studies.best()["trials"] == 3


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("tune.sampler=tpee", "did you mean 'tpe'?"),
        ("tune.prune=fold", "did you mean 'folds'?"),
        ("tune.trials=0", "tune.trials: found 0"),
        ("tune.timeout=2", "tune.timeout: found '2', expected a time with its unit"),
        ("tune.use=top0", "tune.use: found 'top0'"),
        ("tune.objectives=[parameters]", "score first"),
        ("tune.objectives=[score,parameter]", "did you mean 'parameters'?"),
        ("tune.objectives=[score,parameters]", "parameters of toy cannot be counted"),
        ("tune.space.toi.level=3", "did you mean 'toy'?"),
        ("tune.space.toy.levle=3", "did you mean 'level'"),
        ("tune.space.toy.fit.learning_rat={low: 1e-4, high: 1e-2}", "did you mean 'fit.learning_rate'"),
        ("tune.space.toy.fit.seeds={choices: [1, 2]}", "unknown setting 'fit.seeds'"),
        ("tune.space.toy.features.calender={choices: [true, false]}", "did you mean 'features.calendar'"),
        ("tune.space.toy.level={low: 5, high: 4}", "tune.space.toy.level: low 5 is above high 4"),
        ("tune.space.toy.level={low: 0, high: 4, log: true}", "expected above 0 with log"),
        ("tune.space.toy.level={low: 0, hihg: 4}", "did you mean 'high'?"),
        ("tune.space.toy.level={low: a}", "tune.space.toy.level.low: found 'a', expected a number"),
        ("tune.space.toy.level={high: inf}", "tune.space.toy.level.high: found inf, expected a number"),
        ("tune.space.toy.level={choices: []}", "expected {choices: [...]}"),
        ("tune.space.toy.level={choices: [1, x]}", "expected a number"),
        ("tune.space.toy.size={choices: [1.5]}", "expected a whole number"),
        ("tune.space.toy.sleep={low: 1}", "high is missing"),
        ("tune.space.toy.level={low: 9}", "tune.space.toy.level: low 9 is above high 8 of the member's own"),
        ("tune.space.toy.sleep={low: 0, high: 8, step: 2, log: true}", "expected above 0 with log"),
        ("tune.space.toy.windows.context={low: 7, high: 9, step: 0.5}", "expected a whole number"),
        ("tune.space.toy.windows.scaling={choices: [meen]}", "did you mean 'mean'?"),
        ("tune.space.toy.windows.context={low: 0, high: 5}", "windows.context: found 0"),
        ("tune.storage=study.db", "is no URL of a database"),
        ("tune.storage=sqlite:////nowhere/at/all/study.db", "cannot be opened"),
        ("tune.memory_mib=100 tune.sampler=random", "knows no constraints"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(studies: Studies, word: str, line: str) -> None:
    words = word.split(" tune.")
    assert line in studies.refused(words[0], *(f"tune.{more}" for more in words[1:]))
    assert studies.fits() == []


@pytest.mark.slow
def test_what_was_found_is_used(studies: Studies) -> None:
    train = ["stage=train"]
    missing = studies.refused(*train, "tune.use=best")
    assert "best.json is not there" in missing
    assert "stage=tune competition=shops size=demo members=[toy]" in missing
    studies.run()
    best = studies.best()
    fits = len(studies.fits())
    used = studies.run(*train, "tune.use=best", "stage=all")
    assert "toy: tuned: level 2 -> " in used.out
    # The best parameters under the member's own name are fits of their own, one a fold.
    assert len(studies.fits()) - fits == FOLDS
    assert studies.root.summary()["members"]["toy"]["cv_mean"] == pytest.approx(best["score"])
    top = studies.run(*train, "tune.use=top2", "stage=all")
    assert len(studies.fits()) - fits == FOLDS, "the trials' folds were fitted already"
    numbers = [entry["number"] for entry in best["top"][:2]]
    members = {"toy" if number == 0 else f"toy-trial{number}" for number in numbers}
    assert set(studies.root.summary()["members"]) == members
    assert f"toy: its 2 best trials: {numbers[0]}, {numbers[1]}" in top.out


def test_noise_is_not_kept(studies: Studies) -> None:
    """Parameters that change nothing: whatever is best among them, its gain is nil."""
    studies.run("tune.space.toy.level=2.0", "fit.folds=[0]", "tune.trials=3")
    best = studies.best()
    assert not best["kept"]
    used = studies.run("stage=train", "tune.use=best")
    assert "toy: the defaults" in used.out


@pytest.mark.slow
def test_the_truth_of_the_hold_out_chooses_nothing(
    studies: Studies, shop_words: list[str], tmp_path: Path
) -> None:
    studies.run()
    other = Studies(shop_words, tmp_path / "other")
    raw = tmp_path / "other" / "raw"
    shutil.copytree(Path(shop_words[1]).parent / "raw", raw)
    train = pd.read_csv(raw / "train.csv")
    held_out = pd.to_datetime(train["date"]) >= pd.to_datetime(train["date"]).max() - pd.Timedelta(days=9)
    train.loc[held_out & (train["open"] == 1), "sales"] = 7.0
    train.to_csv(raw / "train.csv", index=False)
    other.run(f"competition.root={raw}")
    for key in ("score", "default_score", "gain", "gain_standard_error", "kept", "params"):
        assert studies.best()[key] == other.best()[key]
    assert studies.best()["local_best"] != other.best()["local_best"]


@pytest.mark.slow
def test_a_joint_study_and_several_objectives(studies: Studies) -> None:
    joint = studies.run("members=[toy,seasonal_naive]", "tune.joint=true", "fit.folds=[0]")
    assert names(studies) == ["shops-demo-joint"]
    assert states(studies.study("shops-demo-joint"))["COMPLETE"] == 4
    assert studies.best()["trials"] + studies.best("seasonal_naive")["trials"] == 4
    assert "4 of 4 done" in joint.err
    several = studies.run(
        "tune.objectives=[score,predict_seconds]", "tune.prune=folds", "fit.folds=[0]", "tune.trials=3"
    )
    assert "no pruning, as there are 2 objectives" in several.err
    assert len(studies.study("shops-demo-toy").directions) == 2
    assert studies.best()["objectives"] == ["score", "predict_seconds"]


@pytest.mark.slow
def test_a_warm_start_from_another_competition(studies: Studies) -> None:
    studies.run("fit.folds=[0]")
    found = studies.best()
    other = studies.root.artifacts.parent / "bakeries" / "tune" / "toy"
    shutil.copytree(studies.root.artifacts / "tune" / "toy", other)
    shutil.rmtree(studies.root.artifacts / "tune")
    studies.run("tune.trials=2", "tune.warm_start=bakeries", "fit.folds=[0]")
    assert studies.trials()[1]["params"] == found["params"]
    nothing = studies.run("tune.trials=2", "tune.warm_start=butchers", "fit.folds=[0]")
    assert "butchers has no best trial to begin with" in nothing.err


@pytest.mark.slow
def test_a_timeout_leaves_a_result(studies: Studies) -> None:
    studies.run("member.toy.sleep=0.5", "tune.trials=500", "tune.timeout=10s", "fit.folds=[0]")
    best = studies.best()
    assert 1 <= best["trials"] < 20
    assert states(studies.study())["RUNNING"] == 0


@pytest.mark.slow
def test_kill_of_the_whole_command(studies: Studies) -> None:
    words = ["member.toy.sleep=0.4", "tune.workers=2", "tune.trials=6"]
    process = studies.start(*words)
    assert process.wait_for(lambda: len(studies.fits()) >= 6)
    process.kill()
    kept = {trial.number for trial in studies.study().trials if trial.state is TrialState.COMPLETE}
    assert kept
    done = sorted(studies.root.artifacts.glob("train/demo/*/seed0/fold*/manifest.json"))
    finished = studies.start(*words).end()
    assert finished.code == 0, finished.err
    assert "whose command was killed is taken up again" in finished.err
    assert studies.best()["trials"] == 6
    counted = states(studies.study())
    assert counted["COMPLETE"] == 6
    assert counted["RUNNING"] == counted["WAITING"] == 0
    assert kept <= {trial.number for trial in studies.study().trials if trial.state is TrialState.COMPLETE}
    # What was finished was not fitted again; the (at most two) fits that were running were.
    times = Counter(studies.fits())
    assert sum(count - 1 for count in times.values()) <= 2
    assert all(file.exists() for file in done)


@pytest.mark.slow
def test_kill_of_a_worker(studies: Studies) -> None:
    finished = studies.start(f"member.toy.killed={studies.folder / 'killed'}", "tune.workers=2").end()
    assert finished.code == 0, finished.err
    assert (studies.folder / "killed").exists()
    assert "was killed by signal 9" in finished.err
    assert states(studies.study()) == {"COMPLETE": 4}
    assert studies.best()["trials"] == 4


@pytest.mark.slow
def test_a_worker_that_is_killed_from_outside(studies: Studies) -> None:
    process = studies.start("member.toy.sleep=0.5", "tune.workers=2")
    assert process.wait_for(lambda: len(studies.fits()) >= 4)
    os.kill(studies.pids()[-1], signal.SIGKILL)
    finished = process.end()
    assert finished.code == 0, finished.err
    assert states(studies.study()) == {"COMPLETE": 4}
    assert sum(count - 1 for count in Counter(studies.fits()).values()) <= 1


@pytest.mark.slow
def test_two_commands_on_one_study(studies: Studies) -> None:
    words = ["member.toy.sleep=0.2", "tune.trials=9", "executor.name=inline"]
    both = [studies.start(*words), studies.start(*words)]
    for finished in [process.end() for process in both]:
        assert finished.code == 0, finished.err
    counted = states(studies.study())
    assert counted["COMPLETE"] + counted["PRUNED"] == 9
    assert set(counted) <= {"COMPLETE", "PRUNED", "FAIL"}
    assert studies.best()["trials"] == 9
    assert max(Counter(studies.fits()).values()) == 1
    owners = {
        trial.user_attrs["owner"] for trial in studies.study().trials if trial.state is TrialState.COMPLETE
    }
    assert len(owners) == 2, "one of them did everything"


@pytest.mark.slow
def test_two_commands_with_other_spaces_on_one_member(studies: Studies) -> None:
    """Each keeps its own fits, though both count their trials from 0."""
    words = ["member.toy.sleep=0.2", "executor.name=inline", "tune.space.toy.size=1"]
    spaces = [[f"tune.space.toy.level={{low: {low}, high: {low + 1}}}"] for low in (3, 5)]
    both = [studies.start(*words, *space) for space in spaces]
    for finished in [process.end() for process in both]:
        assert finished.code == 0, finished.err
    found = [studies.study(name) for name in names(studies)]
    assert len(found) == 2
    for study in found:
        trials = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
        assert len(trials) == 4
        for trial in trials[1:]:
            name = trial_name("toy", trial.number, study_title(study.study_name, "shops", "demo"))
            file = studies.root.artifacts / "train/demo" / name / "seed0/fold0/manifest.json"
            fitted = json.loads(file.read_text())["settings"]["member"]
            assert fitted["level"] == trial.user_attrs["params"]["level"]
    assert max(Counter(studies.fits()).values()) == 1
