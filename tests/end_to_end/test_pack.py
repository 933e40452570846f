"""stage=pack: one folder that forecasts other test rows, without a network and the run that it came from."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from pipeline.libraries import library_versions, requirements
from tests.end_to_end.command import Root, here
from tests.end_to_end.conftest import Done

#: Put first on sys.path: whoever opens a connection, or imports what does not lie in the pack, is told.
BLOCKED = """\
import socket

def refuse(self, address, *rest):
    if self.family != getattr(socket, "AF_UNIX", None):
        raise OSError("there is no network")

socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda *words, **more: (_ for _ in ()).throw(OSError("there is no network"))
"""


@pytest.fixture(scope="module")
def packed(shops: Done, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of the shops' blend, alone: the run that it was made of is gone."""
    folder = tmp_path_factory.mktemp("pack")
    root = shops.root.copy(folder / "root")
    words = [*shops.words, f"root={root.folder}"]
    # All members take part, so that all kinds of fits are packed.
    assert here(*words, "stage=submit", "blend.names=[mean]", "submit.name=blend").code == 0
    finished = here(*words, "stage=pack", "submit.of=blend", "submit.name=shops")
    assert finished.code == 0, finished.err
    assert finished.line("pack:").split()[1] == str(root.folder / "submissions" / "packs" / "shops")
    shutil.copytree(root.folder / "submissions" / "packs" / "shops", folder / "shops")
    shutil.copy(root.submission("blend"), folder / "expected.csv")
    shutil.copy(Path(shops.words[1]).parent / "raw" / "test.csv", folder / "hidden.csv")
    shutil.rmtree(root.folder)
    return folder


def offline(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command elsewhere, in a fresh interpreter that knows nothing of this checkout."""
    elsewhere, site = folder / "elsewhere", folder / "site"
    elsewhere.mkdir(exist_ok=True)
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(BLOCKED)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=elsewhere,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_forecasts_offline_and_bit_for_bit(packed: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in (packed / "shops").rglob("*") if file.is_file()}
    done = offline(
        packed,
        [
            "-B",
            str(packed / "shops" / "predict.py"),
            f"test={packed / 'hidden.csv'}",
            "out=made.csv",
            "budget=1h",
        ],
    )
    assert done.returncode == 0, done.stderr
    made = packed / "elsewhere" / "made.csv"
    assert made.read_bytes() == (packed / "expected.csv").read_bytes()
    assert f"submission: {made}" in done.stdout
    # The pack is only read: it may lie on a read-only disk.
    after = {file: file.stat().st_mtime_ns for file in (packed / "shops").rglob("*") if file.is_file()}
    assert after == before


def test_the_code_is_the_pack_s_own_and_the_network_is_blocked(packed: Path) -> None:
    program = (
        "import sys, socket; sys.path.insert(0, sys.argv[1])\n"
        "import pipeline, data, models; print(pipeline.__file__, data.__file__, models.__file__)\n"
        "try: socket.create_connection(('192.0.2.1', 80), 1)\n"
        "except OSError as error: print(error)\n"
        "from pipeline.run import version; print(version())\n"
    )
    done = offline(packed, ["-B", "-c", program, str(packed / "shops" / "project")])
    assert done.returncode == 0, done.stderr
    places, network, version = done.stdout.splitlines()
    assert all(Path(place).is_relative_to(packed / "shops" / "project") for place in places.split())
    assert network == "there is no network"
    assert version[0].isdigit()


def test_what_lies_in_it(packed: Path) -> None:
    folder = packed / "shops"
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {"predict.py", "predict.ipynb", "config.yaml", "requirements.txt", "files/train.csv"} <= there
    assert {"submission/manifest.json", "submission/submission.csv", "project/pipeline/run.py"} <= there
    assert {
        f"artifacts/train/demo/{name}/seed0/all/manifest.json" for name in ("bilstm", "lightgbm")
    } <= there
    assert "artifacts/train/demo/bilstm/seed0/all/test.parquet" not in there
    assert not any("fold0" in name or name.startswith("artifacts/report") for name in there)
    assert "project/tests/members.py" not in there
    first, *lines = (folder / "requirements.txt").read_text().splitlines()
    installed = library_versions()
    assert first == f"# Python {installed.pop('python')}"
    assert lines == [f"{name}=={version.partition('+')[0]}" for name, version in installed.items()]


def test_the_wheel_installs_and_is_all_of_the_project(packed: Path, tmp_path: Path) -> None:
    [wheel] = (packed / "shops" / "wheel").glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    subprocess.run([*install, str(tmp_path / "site"), str(wheel)], check=True, cwd=tmp_path)
    project = packed / "shops" / "project"
    for file in (project / "pipeline").rglob("*.*"):
        there = tmp_path / "site" / file.relative_to(project)
        assert there.read_bytes() == file.read_bytes()
    look = "import pipeline.run, features; print(pipeline.run.__file__, pipeline.run.version())"
    found = subprocess.run(
        [sys.executable, "-c", look],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert found[0] == str(tmp_path / "site" / "pipeline" / "run.py")
    assert found[1] in wheel.name
    [information] = (tmp_path / "site").glob("*.dist-info")
    required = importlib.metadata.Distribution.at(information).requires or []
    assert set(required) >= set(requirements()[""])
    # A pack's sources know it too: what is forecast there has a manifest like all others.
    own = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert {"": own["dependencies"], **own["optional-dependencies"]} == {
        extra: list(texts) for extra, texts in requirements().items()
    }


def test_the_notebook_is_one(packed: Path) -> None:
    book = json.loads((packed / "shops" / "predict.ipynb").read_text())
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert [cell["cell_type"] for cell in book["cells"]] == ["markdown", "code", "code"]
    assert len({cell["id"] for cell in book["cells"]}) == 3
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in book["cells"][1:])
    code = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        compile(cell, "cell", "exec")
    assert 'TEST = "/kaggle/input/shops/test.csv"' in code[0]
    assert 'PACK = "/kaggle/input/shops"' in code[0]


@pytest.mark.slow
def test_the_notebook_s_cells_run(packed: Path) -> None:
    book = json.loads((packed / "shops" / "predict.ipynb").read_text())
    code = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    program = "\n".join(code).replace("/kaggle/input/shops/test.csv", str(packed / "hidden.csv"))
    program = program.replace("/kaggle/input/shops", str(packed / "shops"))
    done = offline(packed, ["-B", "-c", program])
    assert done.returncode == 0, done.stderr
    made = packed / "elsewhere" / "submission.csv"
    assert made.read_bytes() == (packed / "expected.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "test=FILE is missing"),
        (["test=nowhere.csv"], "test=nowhere.csv: no such file"),
        (["tset=a.csv"], "predict.py: unknown key 'tset'; did you mean 'test'"),
        (["test={hidden}", "budget=soon"], "budget: found 'soon'"),
        (["test={hidden}", "workers=0"], "workers: found '0'"),
    ],
)
def test_refused_in_one_line(
    packed: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.submitting.packed import main

    given = [word.format(hidden=packed / "hidden.csv") for word in words]
    assert main(packed / "shops", given) == 2
    error = capsys.readouterr().err
    assert line in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_a_pack_is_made_anew_as_a_whole(
    breaths: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sequence task, whose rows were simulated: a few of its training groups stand for all."""
    root = breaths.root.copy(tmp_path / "root")
    words = [*breaths.words, f"root={root.folder}", "stage=pack"]
    folder = root.folder / "submissions" / "packs" / "ventilator-demo"
    left = folder.parent / ".work" / "ventilator-demo"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("of a command that was killed")
    assert here(*words).code == 0
    first = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    assert not any("half" in file.name for file in first)
    (folder / "stray.txt").write_text("mine")
    assert here(*words).code == 0
    assert sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file()) == first
    assert not any((folder.parent / ".work").iterdir())
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    def interrupted(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.submitting.pack._texts", interrupted)
        assert here(*words).code == 130
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    folder.rename(folder.parent / ".work" / "ventilator-demo.old")  # killed between the two names
    assert here(*words).code == 0
    assert not any((folder.parent / ".work").iterdir())
    train = pd.read_parquet(folder / "files" / "train.parquet")
    assert 1 <= train["breath_id"].nunique() <= 20
    [test] = root.folder.rglob("interim/ventilator-*/test.csv")
    expected = root.submission().read_bytes()
    shutil.copy(test, tmp_path / "hidden.csv")
    shutil.move(folder, tmp_path / "shops")
    gone = Root(tmp_path / "gone", "ventilator")
    shutil.move(root.folder, gone.folder)
    done = offline(tmp_path, [str(tmp_path / "shops" / "predict.py"), f"test={tmp_path / 'hidden.csv'}"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere" / "submission.csv").read_bytes() == expected
