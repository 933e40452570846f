"""Studies in parts: spaces, samplers, pruners, what a failure means, what is kept; epochs; a real server."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from data.competition import Competition
from data.errors import InputError
from pipeline.config import Config
from pipeline.executor import JobFailed
from pipeline.runner import budget_of
from pipeline.store import ArtifactStore
from pipeline.tuning.candidates import Candidates
from pipeline.tuning.confirmation import Verdict
from pipeline.tuning.failures import reason_of
from pipeline.tuning.files import BEST
from pipeline.tuning.result import ranked, write_json
from pipeline.tuning.samplers import SAMPLERS, make_pruner, make_sampler
from pipeline.tuning.settings import merged, nested
from pipeline.tuning.space import NoRange, Space, check_ranges, own_parameters
from pipeline.tuning.storage import check_url, open_storage, shown_url
from pipeline.tuning.study import MEMBER, PARAMS, PEAK, open_study
from pipeline.tuning.use import changed, with_tuned


def drawn(space: Space, count: int = 20) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


def test_a_space_is_the_networks_own_unless_it_is_narrowed() -> None:
    plain = drawn(Space("bilstm", {}))
    assert {params["hidden"] for params in plain} == {32, 64, 128, 256}
    assert set(plain[0]) == own_parameters("bilstm")
    narrow = {
        "hidden": {"choices": [16, 32]},
        "layers": {"high": 2},
        "dropout": 0.1,
        "chrono": {"choices": [0]},
    }
    for params in drawn(Space("bilstm", narrow)):
        assert params["hidden"] in (16, 32)
        assert params["layers"] in (1, 2)
        assert params["dropout"] == 0.1
        assert params["chrono"] == 0
    numbers = {params["hidden"] for params in drawn(Space("bilstm", {"hidden": {"low": 8, "high": 11}}))}
    assert numbers == {8, 9, 10, 11}


def test_a_space_is_extended_by_other_settings() -> None:
    given = {
        "static_width": {"low": 4, "high": 6},
        "fit": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
        "windows.scaling": {"choices": ["mean", "standard"]},
        "features.calendar": False,
    }
    for params in drawn(Space("bilstm", given)):
        assert params["static_width"] in (4, 5, 6)
        assert 1e-4 <= params["fit"]["learning_rate"] <= 1e-2
        assert params["windows"]["scaling"] in ("mean", "standard")
        assert params["features"] == {"calendar": False}


def test_a_setting_that_is_no_whole_number_has_steps_between_whole_limits() -> None:
    space = Space("bilstm", {"fit.warmup": {"low": 0, "high": 1, "step": 0.25}, "hidden": 8})
    assert {params["fit"]["warmup"] for params in drawn(space, 60)} == {0.0, 0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("bilstm", {"hidden": {"low": 512}}, "hidden: low 512 is above high 256 of the member's own search"),
        ("bilstm", {"layers": {"high": 0}}, "layers: low 1 of the member's own search is above high 0"),
        ("bilstm", {"dropout": {"log": True}}, "dropout: found low 0, expected above 0 with log: true"),
        ("bilstm", {"layers": {"low": 1.5}}, "layers: found low 1.5, expected a whole number"),
        ("bilstm", {"layers": {"step": 0.5}}, "layers: found step 0.5, expected a whole number"),
        ("bilstm", {"layer_norm": {"low": 0}}, "chooses from False, True, expected {choices: [...]}"),
        ("ets", {"model": {"low": 1}}, "model: the member's own search chooses from ZZZ, AZA, ZNZ, expected"),
        ("lightgbm", {"leaves": {"step": 8}}, "leaves: the member's own search has log: true"),
        ("lightgbm", {"l2": {"step": 0.5}}, "with which there is no step; add log: false"),
        ("lightgbm", {"l2": {"low": -1}}, "l2: found low -1, expected above 0 with log: true"),
    ],
)
def test_limits_are_checked_with_those_of_the_members_own_search(
    kind: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(NoRange) as refused:
        check_ranges(kind, given)
    assert words in str(refused.value)
    assert refused.value.key == next(iter(given))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("bilstm", {}),
        ("bilstm", {"hidden": {"low": 128}, "layers": {"high": 2}, "dropout": {"step": 0.1}}),
        ("bilstm", {"hidden": {"low": 300, "high": 400, "step": 50}, "layer_norm": True}),
        ("lightgbm", {"leaves": {"low": 16, "high": 64, "log": False, "step": 8}, "l2": {"log": False}}),
        ("seasonal_linear", {"period": {"low": 7, "high": 14}}),
    ],
)
def test_limits_that_make_a_range_can_be_drawn(kind: str, given: dict[str, Any]) -> None:
    check_ranges(kind, given)
    assert drawn(Space(kind, given))


def test_settings_that_are_not_in_the_space_stand_where_they_are_nearest() -> None:
    space = Space("bilstm", {"fit.learning_rate": {"low": 1e-3, "high": 1e-2}}, "bilstm.")
    settings = {"hidden": 48, "layers": 9, "dropout": 0.2, "chrono": -1, "fit": {"learning_rate": 0.5}}
    params = space.parameters_of(settings)
    assert params["bilstm.hidden"] in (32, 64)
    assert params["bilstm.layers"] == 4
    assert params["bilstm.dropout"] == 0.2
    assert params["bilstm.chrono"] == -1
    assert params["bilstm.fit.learning_rate"] == 1e-2
    trial = optuna.create_study().ask()
    fixed = optuna.trial.FixedTrial(params)
    assert nested({"hidden": space.suggest(fixed)["hidden"]}) == {"hidden": params["bilstm.hidden"]}
    assert trial.number == 0


def test_params_stand_above_settings() -> None:
    settings = {"kind": "lstm", "hidden": 8, "fit": {"clip": 2.0, "max_epochs": 3}}
    params = {"hidden": 16, "fit": {"max_epochs": 5}, "features": {"lags": False}}
    assert merged(settings, params) == {
        "kind": "lstm",
        "hidden": 16,
        "fit": {"clip": 2.0, "max_epochs": 5},
        "features": {"lags": False},
    }
    assert changed(settings, params) == ["hidden 8 -> 16", "fit.max_epochs 3 -> 5", "features.lags False"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_suggested_depends_on_the_trials_and_the_seed_alone(name: str) -> None:
    def asked(pieces: list[int], seed: int = 1) -> list[float]:
        """Suggestions when the sampler is made anew after so many trials each."""
        study = optuna.create_study()
        values = []
        for count in pieces:
            study.sampler = make_sampler(name, seed, None)
            for _ in range(count):
                trial = study.ask()
                x = trial.suggest_float("x", 0, 1)
                values.append(x)
                study.tell(trial, (x - 0.3) ** 2)
        return values

    if name == "cmaes":
        pytest.importorskip("cmaes")
    assert asked([12]) == asked([3, 9])
    assert asked([12]) != asked([12], seed=2)


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_what_learns_from_trials_ends_nearer_than_chance(name: str) -> None:
    if name == "cmaes":
        pytest.importorskip("cmaes")

    def last(name: str, seed: int) -> float:
        """Mean loss of the last ten of forty trials on a bowl of two parameters."""
        study = optuna.create_study(sampler=make_sampler(name, seed, None))
        losses = []
        for _ in range(40):
            trial = study.ask()
            x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 1e-4, 1, log=True)
            losses.append((x - 0.3) ** 2 + (math.log10(y) + 2) ** 2 / 16)
            study.tell(trial, losses[-1])
        return sum(losses[-10:]) / 10

    for seed in range(3):
        assert last(name, seed) < 0.6 * last("random", seed)


def test_samplers_refuse_what_they_cannot() -> None:
    with pytest.raises(InputError, match="did you mean 'nsgaii'"):
        make_sampler("nsga", 0, None)
    with pytest.raises(InputError, match="knows no constraints"):
        make_sampler("random", 0, lambda trial: (0.0,))
    message = "has one objective" if importlib.util.find_spec("cmaes") else "pip install cmaes"
    with pytest.raises(InputError, match=message):
        make_sampler("cmaes", 0, None, objectives=2)


@pytest.mark.parametrize("folds", [3, 4, 8])
def test_a_trial_that_loses_on_all_folds_is_pruned_before_the_last(folds: int) -> None:
    study = optuna.create_study(pruner=make_pruner("folds", folds, 1))
    best = study.ask()
    for fold in range(1, folds + 1):
        best.report(float(fold), fold)
    study.tell(best, 1.0)

    def pruned_after(values: list[float]) -> int | None:
        trial = study.ask()
        for fold, value in enumerate(values, start=1):
            trial.report(value, fold)
            if trial.should_prune():
                return fold
        return None

    worse = pruned_after([fold + 1.0 for fold in range(1, folds + 1)])
    assert worse is not None
    assert worse < folds
    assert pruned_after([fold - 0.5 for fold in range(1, folds + 1)]) is None
    mixed = [fold + (0.1 if fold % 2 else -0.2) for fold in range(1, folds + 1)]
    assert pruned_after(mixed) is None


def test_epochs_are_pruned_by_hyperband() -> None:
    study = optuna.create_study(pruner=make_pruner("epochs", 3, 3))
    ended = []
    for number in range(30):
        trial = study.ask()
        epoch = 0
        for epoch in (1, 2, 3):
            trial.report(number + 1.0 / epoch, epoch)  # each one is worse than those before
            if epoch < 3 and trial.should_prune():
                break
        ended.append(epoch)
        study.tell(
            trial, None if epoch < 3 else float(number), state=None if epoch == 3 else TrialState.PRUNED
        )
    assert ended[0] == 3
    assert sum(epoch < 3 for epoch in ended) > 20


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("MemoryError: ", "out of memory"),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB", "out of memory"),
        ("torch.OutOfMemoryError: CUDA out of memory.", "out of memory"),
        ("RuntimeError: CUDA out of memory. Tried", "out of memory"),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", "out of memory"),
        (
            "its worker was killed by signal 9 (SIGKILL; perhaps ...), 3 times",
            "out of memory, or killed by hand",
        ),
        ("TrainingDiverged: lstm: the loss is not finite at epoch 0, step 3", "diverged"),
        ("IncompletePredictions: x: the prediction of row 3 is not finite (9 rows)", "diverged"),
        ("TrialPruned: 0.5 after epoch 1 of 3", "0.5 after epoch 1 of 3"),
        ("IncompletePredictions: x: row 3 is missing", None),
        ("ZeroDivisionError: a bug", None),
        ("its worker ended with exit code 1, 3 times", None),
    ],
)
def test_what_a_failure_says_of_the_settings(reason: str, words: str | None) -> None:
    found = reason_of(JobFailed("train/x", reason))
    assert (found is None) == (words is None)
    assert words is None or str(found).startswith(words)


def test_noise_is_not_kept() -> None:
    assert Verdict(0.2, 0.1, 4, None, None).kept
    assert not Verdict(0.1, 0.1, 4, None, None).kept
    assert not Verdict(-0.2, 0.1, 4, None, None).kept
    assert not Verdict(0.2, None, 1, None, None).kept
    assert not Verdict(None, None, 0, None, None).kept


def trial_of(values: list[float], x: float, **attributes: Any) -> optuna.trial.FrozenTrial:
    attributes = {MEMBER: "a", PARAMS: {"x": x}, **attributes}
    return create_trial(
        values=values,
        params={"x": x},
        distributions={"x": FloatDistribution(0, 1)},
        user_attrs=attributes,
    )


def test_the_best_trials_are_distinct_and_keep_the_limit() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial_of([3.0], 0.1), trial_of([5.0], 0.2), trial_of([5.0], 0.2)])
    study.add_trials([trial_of([9.0], 0.3, **{PEAK: 900.0}), trial_of([7.0], 0.4, **{MEMBER: "b"})])
    assert [trial.values for trial in ranked(study, "a", None)] == [[9.0], [5.0], [3.0]]
    assert [trial.values for trial in ranked(study, "a", 500.0)] == [[5.0], [3.0]]
    assert [trial.values for trial in ranked(study, None, 500.0)] == [[7.0], [5.0], [3.0]]
    several = optuna.create_study(directions=["minimize", "minimize"])
    several.add_trials([trial_of([1.0, 9.0], 0.1), trial_of([2.0, 5.0], 0.2), trial_of([2.5, 6.0], 0.3)])
    assert [trial.values for trial in ranked(several, "a", None)] == [[1.0, 9.0], [2.0, 5.0]]


@pytest.mark.parametrize(
    ("study", "variant"),
    [
        ("shops-demo-tcn", "tcn-trial3"),
        ("shops-demo-tcn-0123abcd", "tcn-trial3-0123abcd"),
        ("shops-demo-joint", "tcn-trial3-joint"),
        ("shops-demo-joint-0123abcd", "tcn-trial3-joint-0123abcd"),
    ],
)
def test_trials_are_used_by_the_names_that_their_study_gave_them(
    study: str, variant: str, tmp_path: Path
) -> None:
    """No two studies share one, as both have a trial 3."""
    top = [
        {"number": 3, "default": False, "params": {"x": 5}},
        {"number": 0, "default": True, "params": {"x": 1}},
    ]
    best = {"kept": True, "params": {}, "top": top, "study": study, "competition": "shops", "size": "demo"}
    write_json(tmp_path / "tune" / "tcn" / BEST, best)
    config = Config(
        competition=Competition(name="shops"), size="demo", members=["tcn"], member={"tcn": {"x": 1}}
    )
    config.tune.use = "top2"
    used, _ = with_tuned(config, ArtifactStore(tmp_path))
    assert used.members == [variant, "tcn"]
    assert used.member[variant] == {"x": 5}


def test_urls() -> None:
    assert "secret" not in shown_url("postgresql://me:secret@host/name")
    check_url("sqlite:///x.db")
    with pytest.raises(InputError, match="no URL of a database"):
        check_url("study.db")
    with pytest.raises(InputError, match="no URL of a database"):
        check_url("postgrsql://host/name")


@pytest.mark.parametrize(
    ("stage", "timeout", "budget", "seconds"),
    [
        ("tune", "2h", "10m", 600),
        ("tune", "10m", "2h", 600),
        ("tune", None, "10m", 600),
        ("tune", "10m", None, 600),
        ("tune", None, None, None),
        ("train", "10m", "2h", 7200),
    ],
)
def test_a_study_ends_with_its_timeout_or_the_budget(
    stage: str, timeout: str | None, budget: str | None, seconds: float | None
) -> None:
    config = SimpleNamespace(stage=stage, budget=budget, tune=SimpleNamespace(timeout=timeout))
    found = budget_of(cast(Config, config))
    assert (None if found is None else found.left()) == (
        None if seconds is None else pytest.approx(seconds, abs=30)
    )


def test_a_study_may_have_three_objectives(tmp_path: Path) -> None:
    objectives = ["score", "parameters", "predict_seconds"]
    tune = SimpleNamespace(objectives=objectives, memory_mib=None, sampler="tpe", seed=0)
    competition = SimpleNamespace(name="shops", metric=[SimpleNamespace(name="auc")])
    config = cast(Config, SimpleNamespace(competition=competition, size="demo", tune=tune))
    candidates = cast(Candidates, SimpleNamespace(members=("toy",), folds=[], most_epochs=lambda: 0))
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    for _ in range(2):
        study, line = open_study(config, storage, candidates, "a", "none", greater_is_better=True)
        assert line == ""
        assert [one.name for one in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
        assert study.metric_names == ["auc", "parameters", "predict_seconds"]
