"""The command line as a user meets it: help, lists, and one line for everything that is wrong."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import run
from pipeline.config import Config
from pipeline.conform import leaf_keys

ROOT = Path(__file__).resolve().parents[2]
SURFACE = Path(__file__).with_name("command_line.txt")


def test_surface_is_the_one_that_is_written_down() -> None:
    """Every key with its type, as in command_line.txt: a change of the command line shows in the diff.

    To accept a change: python -m tests.pipeline.test_command_line > tests/pipeline/command_line.txt
    """
    assert surface() == SURFACE.read_text(encoding="utf-8")


def surface() -> str:
    """One line for each key of a run, then the options and commands."""
    lines = [f"{key}: {_words(kind)}" for key, kind in leaf_keys(Config)]
    commands = [f"{run.DRAFT_WORDS[0]}=: {' '.join(run.DRAFT_WORDS)}", f"list=: {' '.join(run.LIST_WORDS)}"]
    return "\n".join([*lines, *commands, f"options: {' '.join(run.OPTIONS)}"]) + "\n"


def _words(kind: Any) -> str:
    if dataclasses.is_dataclass(kind) or kind in (int, float, str, bool):
        return str(kind.__name__)
    return str(kind).replace("typing.", "").replace("data.competition.", "")


TYPOS = [
    (["fit.max_epoch=3"], "'fit.max_epoch'", "'fit.max_epochs'"),
    (["max_epochs=3"], "'max_epochs'", "'fit.max_epochs'"),
    (["fti.max_epochs=3"], "'fti.max_epochs'", "'fit.max_epochs'"),
    (["competition.colums.known_real=[a]"], "colums", "'competition.columns.known_real'"),
    (["competition.files.trian=a.csv"], "trian", "'competition.files.train'"),
    (["competition.metric=[{nam: mae}]"], "competition.metric.0.nam", "'competition.metric.0.name'"),
    (["competition.metric=[{name: rmsee}]"], "'rmsee'", "'rmse'"),
    (["competition.folds.kind=groupd"], "'groupd'", "'grouped'"),
    (["competition.task=sequense"], "'sequense'", "'sequence'"),
    (["competition.features.calender={}"], "'calender'", "'calendar'"),
    (["competition.features.shift.lagz=[1]"], "'lagz'", "'lags'"),
    (["competition.post=[{kind: clipp}]"], "'clipp'", "'clip'"),
    (["stage=trian"], "'trian'", "'train'"),
    (["competition=rossman"], "'rossman'", "'rossmann'"),
    (["size=quikc"], "'quikc'", "'quick'"),
    (["sise=quick"], "'sise'", "'size'"),
    (["blend.names=[meen]"], "'meen'", "'mean'"),
    (["fit.optimizer=adamv"], "fit.optimizer", "'adamw'"),
    (["lits=members"], "'lits'", "'list'"),
    (["list=member"], "'member'", "'members'"),
    (["list=members", "rot=."], "'rot'", "'root'"),
    (["--mutirun"], "'--mutirun'", "--multirun"),
    (["train"], "'train' stands alone", "stage=train"),
    (["rossman"], "'rossman' stands alone", "competition=rossmann"),
    (["stage"], "'stage' stands alone", "stage=all"),
    (["fit.max_epochs"], "'fit.max_epochs' stands alone", "fit.max_epochs=VALUE"),
]

VALUES = [
    (["fit.max_epochs=many"], "fit.max_epochs: found 'many', expected a whole number"),
    (["fit.max_epochs=1.5"], "fit.max_epochs: found 1.5, expected a whole number"),
    (["fit.max_epochs=0"], "fit.max_epochs: found 0, expected a whole number from 1 on"),
    (["fit.seeds=-1"], "fit.seeds: found -1"),
    (["fit.learning_rate=-1"], "fit.learning_rate: found -1.0, expected a number above 0"),
    (["fit.learning_rate=nan"], "fit.learning_rate: found nan"),
    (["fit.batch_size=0"], "fit.batch_size: found 0"),
    (["fit.batch_size=many"], "fit.batch_size: found 'many', expected a whole number from 1 on, or auto"),
    (["fit.learning_rate_scaling=root"], "fit.learning_rate_scaling: unknown value 'root'"),
    (["fit.strategy=dpp"], "fit.strategy: unknown value 'dpp'; did you mean 'ddp'?"),
    (["fit.strategy=none", "fit.devices=2"], "fit.strategy: found 'none', expected ddp or auto beside"),
    (
        ["members=[lstm]", "fit.devices=2", "+member.lstm.fit={strategy: none}"],
        "member.lstm.fit.strategy: found 'none', expected ddp or auto beside member.lstm.fit.devices=2",
    ),
    (["fit.folds=[9]", "competition.folds.count=5"], "fit.folds: found [9], expected fold numbers from 0"),
    (["competition.metric=[{name: mae},{name: mae}]"], "competition.metric: mae stands twice"),
    (["fit.folds=3"], "fit.folds: found 3, expected a list, as [1,2] or null"),
    (["fit.device=gpu"], "fit.device: found 'gpu', expected auto, cpu, cuda or cuda:1"),
    (["fit=3"], "fit: found 3, expected a mapping with the keys max_epochs"),
    (["members=lightgbm"], "members: found 'lightgbm', expected a list, as [a,b]"),
    (["members=[lightgbm,lightgbm]"], "'lightgbm' stands twice"),
    (["member=lightgbm"], "expected members=[NAME,...]"),
    (["submit.post=perhaps"], "submit.post: found 'perhaps', expected true or false"),
    (["submit.name=a/b"], "submit.name: found 'a/b'"),
    (["budget=soon"], "budget: found 'soon', expected a time with its unit, as 90s, 30m, 2h or 1h30m"),
    (["budget=30"], "budget: found '30'"),
    (["budget=0m"], "budget: found '0m'"),
    (["seed=0,1,2"], "several values: write seed=[0,1,2] for a list, or add --multirun"),
    (["seed=[1"], "cannot be read as KEY=VALUE"),
    (["=3"], "the key before '=' is missing"),
    (["fit.max_epochs.x=3"], "fit.max_epochs has no keys below it"),
    (["fit.learning_rate=${seedd}"], "fit.learning_rate: Interpolation key 'seedd' not found"),
    (["competition.reader_settings._target_=os.system"], "_target_ is refused"),
    (["hydra.run.dir=x"], "Hydra's own settings are fixed"),
    (["plugins=[nope.py]"], "plugins: nope.py"),
    (["competition.folds.kind=rolling"], "rolling cut-offs need a horizon task"),
    (["--config-dir", "nope"], "--config-dir nope: the folder does not exist"),
    (["--config-dir"], "--config-dir: expected one argument"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "found", "nearest"), TYPOS, ids=lambda part: " ".join(part) if isinstance(part, list) else ""
)
def test_typo_is_named_with_the_nearest_choice(
    words: list[str], found: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(words, capsys)
    assert found in message
    assert nearest in message.partition(found)[2]


@pytest.mark.parametrize(
    ("words", "expected"), VALUES, ids=lambda part: " ".join(part) if isinstance(part, list) else ""
)
def test_bad_value_is_one_line(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in refused(words, capsys)


@pytest.mark.parametrize(
    ("words", "found", "nearest"),
    [
        (["members=[lsmt]"], "members: unknown member 'lsmt'", "'lstm'"),
        (["member.lsmt.hidden=8"], "unknown member 'lsmt'", "'lstm'"),
        (["member.lstm.hiden=8"], "'member.lstm.hiden'", "'member.lstm.hidden'"),
        (["member.lstm.hidden=wide"], "member.lstm.hidden: found 'wide'", "a whole number"),
        (["member.mine.kind=lsmt"], "unknown member 'lsmt'", "'lstm'"),
        (["competition.baselines={grup_median: {}}"], "'grup_median'", "'group_median'"),
        (["fit.loss=pinbal"], "unknown loss 'pinbal'", "'pinball'"),
    ],
)
def test_members_and_losses(
    words: list[str], found: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(words, capsys)
    assert found in message
    assert nearest in message.partition(found)[2]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The single line on stderr of a command that is refused."""
    assert run.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_help_is_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    for word in (
        "prepare",
        "demo",
        "members=[",
        "budget=",
        "--config-dir",
        "submissions/files",
        "new=",
        "list=",
    ):
        assert word in text


def test_help_names_only_keys_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    import re

    run.main(["--help"])
    known = {key for key, _ in leaf_keys(Config)} | {
        "list",
        "new",
        "train",
        "test",
        "sample",
        "out",
        "competition",
        "executor",  # short for executor.name
    }
    for key in re.findall(r"(?<![\w.])([a-z_]+(?:\.[a-z_]+)*)=(?=[\w\[])", capsys.readouterr().out):
        assert key in known or key.startswith("member.") or key == "competition", key


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("workbench ")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("", "metrics"),
        ("competitions", "rossmann"),
        ("members", "lstm"),
        ("networks", "tcn"),
        ("mixers", "lstm"),
        ("features", "calendar"),
        ("metrics", "rmspe"),
        ("blenders", "median"),
        ("splitters", "grouped"),
        ("posts", "clip"),
        ("heads", "gaussian"),
        ("losses", "pinball"),
        ("readers", "m4"),
        ("stages", "train"),
        ("sizes", "quick"),
    ],
)
def test_lists(kind: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([f"list={kind}"]) == 0
    rows = capsys.readouterr().out.splitlines()
    line = next(row for row in rows if row.split()[0] == name)
    assert len(line.split()) >= 2, "a name without a word about it"


def test_list_says_whether_files_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "files" / "raw" / "rossmann").mkdir(parents=True)
    run.main(["list=competitions", f"root={tmp_path}"])
    assert "no files in" in next(
        row for row in capsys.readouterr().out.splitlines() if row.startswith("rossmann")
    )
    (tmp_path / "data" / "files" / "raw" / "rossmann" / "train.csv.gz").touch()
    run.main(["list=competitions", f"root={tmp_path}"])
    assert "  files in" in next(
        row for row in capsys.readouterr().out.splitlines() if row.startswith("rossmann")
    )


def fresh(words: list[str], folder: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, from another working folder."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}from pipeline.run import main; "
    program += f"status = main({words!r}); print('torch' in sys.modules); sys.exit(status)"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )


LIGHT = [
    (["--help"], 0),
    (["list=sizes"], 0),
    (["fit.max_epoch=3"], 2),
    (["competition=rossman"], 2),
    (["stage=trian"], 2),
    (["fit.max_epochs=0"], 2),
    (["competition.metric=[{name: rmsee}]"], 2),
    (["new=x"], 2),
]


@pytest.mark.parametrize(("words", "status"), LIGHT)
def test_light_commands_do_not_import_torch_and_write_nothing(
    words: list[str], status: int, tmp_path: Path
) -> None:
    done = fresh(words, tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (status, "False"), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupt_and_own_errors(tmp_path: Path) -> None:
    breaking = "import pipeline.run; pipeline.run._command = lambda words: (_ for _ in ()).throw({}); "
    interrupted = fresh([], tmp_path, breaking.format("KeyboardInterrupt()"))
    assert interrupted.returncode == 130
    assert interrupted.stderr.count("\n") == 1
    broken = fresh([], tmp_path, breaking.format("AssertionError('ours')"))
    assert broken.returncode == 1
    assert "Traceback" in broken.stderr


if __name__ == "__main__":
    print(surface(), end="")
