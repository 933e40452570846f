"""Settings of blending and post-processing are refused before anything is read or trained."""

from __future__ import annotations

import pytest

from pipeline.run import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["blend.names=[meen]"], "'mean'"),
        (["blend.names=[]"], "blend.names: found [], expected at least one blender"),
        (["blend.group=resistance"], "blend.group"),
        (["blend.group=r"], "'R'"),
        (["competition=m4_hourly", "blend.group=R"], "there is no static categorical column"),
        (["blend.recency=0"], "blend.recency"),
        (["competition.post=[{kind: correction, settings: {by: [u_inn]}}]"], "'u_in'"),
        (["competition.post=[{kind: correction, settings: {by: [pressure]}}]"], "is not known for test rows"),
        (["competition.post=[{kind: controller_inversion, settings: {u_out: out}}]"], "unknown column 'out'"),
        (["competition=rossmann", "competition.post=[{kind: controller_inversion}]"], "'u_in'"),
        (
            ["competition=rossmann", "competition.post=[{kind: conformal, settings: {by: [Customers]}}]"],
            "'Customers' is not known for test rows",
        ),
    ],
)
def test_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--cfg"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["blend.group=C", "blend.recency=2"],
        ["competition=rossmann", "competition.post=[{kind: correction, settings: {by: [StoreType, step]}}]"],
        ["competition=m4_hourly", "competition.post=[{kind: correction, settings: {by: [series]}}]"],
    ],
)
def test_accepted(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--cfg"]) == 0, capsys.readouterr().err
