"""What is said of members, or refused, before any data is read."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from data.errors import InputError
from models.members import base
from pipeline.compose import compose
from pipeline.notices import notices
from pipeline.run import main

VENTILATOR, ROSSMANN = "competition=ventilator", "competition=rossmann"


def said(*words: str) -> list[str]:
    return list(notices(compose(list(words))))


def test_members_of_another_task_are_told_before_training() -> None:
    assert said(VENTILATOR, "members=[lightgbm,lstm]") == []
    [line] = said(VENTILATOR, "members=[arima,lightgbm,seasonal_naive,lstm]")
    assert line == "left out: arima, seasonal_naive (not made for sequence tasks)"


def test_members_without_quantiles_are_told_before_training() -> None:
    words = [ROSSMANN, "members=[seasonal_naive,lightgbm,steps,group_median,lstm]"]
    words += ["member.steps.kind=lightgbm", "member.steps.strategy=recursive"]
    words += ["member.group_median.by=[Store]"]
    assert said(*words) == []
    assert said(*words, "competition.quantiles=[0.1,0.9]") == [
        "no quantiles of steps: a model of one step has no quantiles",
        "no quantiles of group_median: it predicts points only",
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            [ROSSMANN, "members=[ets]", "member.ets.model=AAM"],
            "member.ets.model: found 'AAM', which no stable",
        ),
        (
            [VENTILATOR, "members=[steps]", "member.steps.kind=lightgbm", "member.steps.strategy=recursive"],
            "member.steps.strategy: a sequence task has no past targets; expected direct",
        ),
        (
            [ROSSMANN, "members=[lightgbm]", "member.lightgbm.objective=tweedie"],
            "member.lightgbm.objective: 'tweedie' learns the target in original units",
        ),
        ([ROSSMANN, "members=[theta]", "member.theta.variant=OTN"], "member.theta.variant: unknown variant"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*words, f"root={tmp_path}"]) == 2
    [error] = capsys.readouterr().err.strip().splitlines()
    assert error.startswith(f"error: {line}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "module"), [("arima", "statsforecast"), ("xgboost", "xgboost")])
def test_a_missing_package_is_one_line_and_exit_code_2(
    kind: str,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        base.importlib.util, "find_spec", lambda name, *more: None if name == module else found(name, *more)
    )
    assert main([ROSSMANN, f"members=[{kind}]", f"root={tmp_path}"]) == 2
    [error] = capsys.readouterr().err.strip().splitlines()
    assert error.startswith(f"error: member {kind}: {module} is not installed; pip install")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="is not installed"):
        compose([ROSSMANN, f"members=[lightgbm,{kind}]"])
