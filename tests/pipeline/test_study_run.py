"""A study as one command works on it, beside others that are killed, stand still or run out of time.

Fits are played: a job is ended by telling of it, as the schedule does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from pipeline.config import Config
from pipeline.executor import JobFailed
from pipeline.stage import Job
from pipeline.store import ArtifactStore
from pipeline.tuning import study_run
from pipeline.tuning.candidates import Candidate, Candidates
from pipeline.tuning.scores import Scores
from pipeline.tuning.storage import GRACE_SECONDS, Heart, open_storage, put_back, release_stale
from pipeline.tuning.study import DEFAULTS, begin_with
from pipeline.tuning.study_run import OUT_OF_TIME, StudyRun

FOLDS = [SimpleNamespace(name="fold0"), SimpleNamespace(name="fold1")]
EXHAUSTED = "the space has no other settings"

pytestmark = [  # as pipeline/tuning/storage.py has it, which pytest forgets
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used"),
]


class Played:
    """Candidates and scores of a member with one setting: x of `choices`, which is its score too."""

    members, folds, joint = ("toy",), FOLDS, False

    def __init__(self, choices: list[int]) -> None:
        self.choices = choices

    def drawn(self, trial: optuna.Trial) -> Candidate:
        return Candidate("toy", {"x": trial.suggest_categorical("x", self.choices)})

    def in_full(self, candidate: Candidate) -> dict[str, Any]:
        return {"x": self.choices[0], **candidate.params}

    def parameters_of(self, candidate: Candidate) -> dict[str, Any]:
        return self.in_full(candidate)

    def fold_jobs(self, candidate: Candidate, name: str) -> list[Job]:
        x = self.in_full(candidate)["x"]
        return [Job("train", f"{name}/{fold.name}", {"fold": fold.name, "x": x}) for fold in FOLDS]

    def fold(self, path: str, fold: Any) -> float:
        return 1.0


class Place:
    """Commands over the same artefacts and the same storage."""

    def __init__(self, folder: Path) -> None:
        self.store = ArtifactStore(folder / "artifacts")
        self.url = f"sqlite:///{folder / 'study.db'}"
        self.hearts: list[Heart] = []

    def command(self, choices: list[int], trials: int, pruning: str = "none") -> StudyRun:
        """One that begins now."""
        storage = open_storage(self.url)
        self.hearts.append(Heart(storage, self.store))
        tune = SimpleNamespace(trials=trials, objectives=["score"])
        config = SimpleNamespace(tune=tune, competition=SimpleNamespace(name="shops"), size="demo")
        played = Played(choices)
        return StudyRun(
            cast(Config, config),
            cast(ArtifactStore, SimpleNamespace(manifest=lambda path: SimpleNamespace(peak_memory_mib=1.0))),
            self.study(storage),
            cast(Candidates, played),
            cast(Scores, played),
            self.hearts[-1],
            pruning,
            lambda line: None,
            lambda attempt: {},
        )

    def study(self, storage: RDBStorage) -> optuna.Study:
        sampler = optuna.samplers.RandomSampler(seed=0)
        return optuna.create_study(
            storage=storage, study_name="shops-demo-toy", load_if_exists=True, sampler=sampler
        )

    def kill(self, run: StudyRun) -> None:
        """The command is gone: its lock is free, nothing of it is told any more."""
        run.heart.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(study_run, "ASKED_AGAIN", 6)  # each refusal is written to the disk
    found = Place(tmp_path)
    yield found
    for heart in found.hearts:
        heart.close()


def end(run: StudyRun, job: Job) -> None:
    """All folds of the trial that `job` begins."""
    assert run.done(job, 1.0)
    while run.ready:
        assert run.done(run.more()[0], 1.0)


def states(run: StudyRun) -> list[str]:
    """Of all trials but those that were refused as twins."""
    return [
        trial.state.name
        for trial in run.study.get_trials(deepcopy=False)
        if "same as" not in trial.user_attrs.get("reason", "")
    ]


def look_now(run: StudyRun) -> None:
    """Let the next question look for stale trials."""
    run._looked = -1e9


def exhausted(run: StudyRun) -> Job:
    """Try all settings but one, whose trial still runs; its job."""
    end(run, run.more()[0])
    [last] = run.more()
    assert run.more() == []
    assert run.stopped == EXHAUSTED
    assert not run.over()
    return last


def test_the_end_of_the_time_ends_a_study_whose_space_was_exhausted(place: Place) -> None:
    run = place.command([1, 2], trials=9)
    last = exhausted(run)
    assert run.out_of_time(last, "at the deadline")
    assert states(run) == ["COMPLETE", "FAIL", "WAITING"]
    assert run.stopped == OUT_OF_TIME
    assert run.more() == []
    assert run.over()


def test_a_study_whose_space_was_exhausted_takes_up_what_others_leave(place: Place) -> None:
    """The last trial is another command's, which is killed, and whose time is up the second time."""
    run, other = place.command([1, 2], trials=9), place.command([1, 2], trials=9)
    end(run, run.more()[0])
    [lost] = other.more()
    assert run.more() == []
    assert run.stopped == EXHAUSTED
    assert not run.over()
    place.kill(other)
    look_now(run)
    [again] = run.more()
    assert (again.path, again.settings["x"]) == (lost.path, lost.settings["x"])
    end(run, again)
    assert run.more() == []
    assert run.over()
    assert states(run) == ["COMPLETE", "FAIL", "COMPLETE"]


def test_a_study_whose_space_was_exhausted_begins_no_new_trial(place: Place) -> None:
    run = place.command([1, 2], trials=9)
    last = exhausted(run)
    count = len(run.study.trials)
    assert run.more() == run.more() == []
    assert len(run.study.trials) == count
    end(run, last)
    assert run.over()
    assert all(trial.state is not TrialState.RUNNING for trial in run.study.trials)


def age(place: Place, run: StudyRun, number: int) -> None:
    """Let a trial have begun a long time ago."""
    with sqlalchemy.create_engine(place.url).begin() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE trials SET datetime_start = :then WHERE number = :number"),
            {"then": datetime.now() - timedelta(seconds=2 * GRACE_SECONDS), "number": number},
        )


def test_a_trial_whose_command_died_before_its_first_heartbeat_is_taken_up_again(place: Place) -> None:
    run = place.command([1, 2, 3], trials=1)
    lost = run.study.ask()
    look_now(run)
    assert run.more() == [], "its command may be about to call it its own"
    assert not run.over()
    age(place, run, lost.number)
    look_now(run)
    end(run, run.more()[0])
    assert run.over()
    assert states(run) == ["FAIL", "COMPLETE"]


def test_a_trial_that_was_put_back_belongs_to_no_command_until_one_begins_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command looks for stale trials when it is taken, before its new owner has said so."""
    killed, run, other = (place.command([1, 2, 3], trials=1) for _ in range(3))
    killed.more()
    place.kill(killed)
    begin = run.heart.begin

    def begin_late(study: optuna.Study, trial: optuna.Trial) -> None:
        assert release_stale(other.study, other.heart) == 0
        begin(study, trial)

    monkeypatch.setattr(run.heart, "begin", begin_late)
    look_now(run)
    end(run, run.more()[0])
    assert run.over()
    assert states(run) == ["FAIL", "COMPLETE"]


@pytest.mark.parametrize("when", ["begin", "_twin"])
def test_a_trial_that_another_command_ended_while_it_was_begun_is_not_run(
    place: Place, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    run, other = place.command([1, 2, 3], trials=1), place.command([1, 2, 3], trials=1)
    obj, taken = (run.heart if when == "begin" else run), []
    method = getattr(obj, when)

    def late(*given: Any) -> Any:
        if not taken:
            [trial] = other.study.get_trials(states=(TrialState.RUNNING,))
            put_back(other.study, trial, "it looked abandoned")
            taken.append(trial.number)
        return method(*given)

    monkeypatch.setattr(obj, when, late)
    assert run.more() == []
    assert run.heart._trials == set()
    end(run, run.more()[0])
    assert states(run) == ["FAIL", "COMPLETE"]


def begun_with(run: StudyRun, params: dict[str, Any], source: str) -> list[str]:
    """States of all trials after the study was begun with a candidate."""
    begin_with(run.study, run.candidates, Candidate("toy", params), source)
    return [trial.state.name for trial in run.study.get_trials(deepcopy=False)]


def test_defaults_that_failed_are_tried_again(place: Place) -> None:
    run = place.command([1, 2], trials=1)
    assert begun_with(run, {}, DEFAULTS) == ["WAITING"]
    [job] = run.more()
    assert job.path == "toy/fold0"
    assert run.failed(job, JobFailed(job.path, "ZeroDivisionError: a bug of our own"))
    assert run.over()
    mended = place.command([1, 2], trials=1)
    assert begun_with(mended, {}, DEFAULTS) == begun_with(mended, {}, DEFAULTS) == ["FAIL", "WAITING"]
    [job] = mended.more()
    assert job.path == "toy/fold0"
    end(mended, job)
    assert begun_with(mended, {}, DEFAULTS) == ["FAIL", "COMPLETE"]


def test_defaults_that_were_put_back_wait_once(place: Place) -> None:
    run = place.command([1, 2], trials=1)
    begun_with(run, {}, DEFAULTS)
    assert run.out_of_time(run.more()[0], "at the deadline")
    assert begun_with(run, {}, DEFAULTS) == ["FAIL", "WAITING"]


def test_what_is_given_twice_is_refused_once(place: Place) -> None:
    """A warm start that says what the defaults are: it failed as their twin, and would do so again."""
    run = place.command([1, 2], trials=3)
    begun_with(run, {}, DEFAULTS)
    assert begun_with(run, {"x": 1}, "warm-other") == ["WAITING", "WAITING"]
    end(run, run.more()[0])
    end(run, run.more()[0])
    refused = begun_with(run, {"x": 1}, "warm-other")
    assert refused[:2] == ["COMPLETE", "FAIL"]
    assert "WAITING" not in refused


def test_what_is_given_beyond_the_trials_asked_for_waits_for_a_command_that_asks_for_more(
    place: Place,
) -> None:
    run = place.command([1, 2], trials=1)
    begun_with(run, {}, DEFAULTS)
    begun_with(run, {"x": 2}, "warm-other")
    end(run, run.more()[0])
    assert run.more() == []
    assert run.over()
    assert states(run) == ["COMPLETE", "WAITING"]
    more = place.command([1, 2], trials=2)
    end(more, more.more()[0])
    assert states(more) == ["COMPLETE", "COMPLETE"]


def stand_still(place: Place) -> None:
    """As after a suspension: every command's last heartbeats are long ago."""
    with sqlalchemy.create_engine(place.url).begin() as connection:
        then = f"-{2 * GRACE_SECONDS} seconds"
        connection.execute(
            sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = datetime('now', :then)"), {"then": then}
        )


def test_a_command_that_stood_still_goes_on_with_its_trials(place: Place) -> None:
    run = place.command([1, 2, 3], trials=1)
    [job] = run.more()
    stand_still(place)
    look_now(run)
    assert run.more() == []
    end(run, job)
    assert states(run) == ["COMPLETE"]


def test_a_command_that_was_taken_for_dead_takes_its_trial_back(place: Place) -> None:
    """It is begun again by the command in which its second fold still runs."""
    run, other = (place.command([1, 2, 3], trials=1, pruning="folds") for _ in range(2))
    assert run.done(run.more()[0], 1.0)
    [second] = run.more()
    stand_still(place)
    assert release_stale(other.study, other.heart) == 1
    assert run.more() == []
    assert states(run) == ["FAIL", "RUNNING"]
    end(run, second)
    assert run.over()
    assert states(run) == ["FAIL", "COMPLETE"]


def test_a_command_whose_trial_was_taken_over_goes_on_without_it(place: Place) -> None:
    run, other = (place.command([1, 2, 3], trials=1, pruning="folds") for _ in range(2))
    [first] = run.more()
    stand_still(place)
    look_now(other)
    [again] = other.more()
    assert again.path == first.path
    end(run, first)
    end(other, again)
    assert run.over()
    assert states(run) == ["FAIL", "COMPLETE"]


def test_a_storage_that_is_busy_does_not_stop_the_heart(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = place.command([1, 2, 3], trials=1)
    run.more()

    def busy(trial_id: int) -> None:
        raise StorageInternalError("database is locked")

    monkeypatch.setattr(run.heart._storage, "record_heartbeat", busy)
    run.heart.beat()
