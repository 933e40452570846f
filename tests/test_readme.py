"""README.md and ARCHITECTURE.md say what is there: paths, commands, names of the registries, the examples."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from data.competition import Competition
from pipeline.names import known_members, registry, stage_names
from pipeline.run import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {"README.md": README, "ARCHITECTURE.md": (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")}
PROGRAM = "python -m pipeline.run"
#: Paths that a run, a user or `make` writes.
WRITTEN = (
    "artifacts/",
    "data/files/",
    "submissions/files/",
    "submissions/packs/",
    "command.txt",  # of a submission
    "requirements.txt",  # of a pack
    "predict.py",
    "my_conf/",
    "my/",
    "team/",
    ".venv/",
)
PACKAGES = (
    "benchmarks",
    "data",
    "docs",
    "examples",
    "features",
    "models",
    "pipeline",
    "submissions",
    "tests",
)


def blocks(kind: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[list[str]]:
    """The words of every command of the pipeline in a shell block."""
    for block in blocks("sh"):
        for line in block.splitlines():
            if line.startswith(PROGRAM):
                yield shlex.split(line.removeprefix(PROGRAM), comments=True)


COMMANDS = list(commands())
WITH_PLUGIN = [words for words in COMMANDS if any(word.startswith("plugins=") for word in words)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the example, and every file that README gives in full under its own name."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for block in [*blocks("python"), *blocks("yaml")]:
        name = re.match(r"# (my(?:_conf)?/\S+)\n", block)
        if name:
            file = tmp_path / name[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own: plugins would stay registered in this one."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.run", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 20
    assert len(WITH_PLUGIN) == 2


def test_every_command_composes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them in their order: new= writes the draft that the next one names."""
    for words in COMMANDS:
        if words not in WITH_PLUGIN:
            assert main([*words, "--cfg"]) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
    assert (folder / "my_conf" / "competition" / "loaves.yaml").is_file()


def command_with(plugin: str) -> list[str]:
    [words] = [words for words in WITH_PLUGIN if f"plugins=[{plugin}]" in words]
    return words


@pytest.mark.slow
def test_the_network_is_twenty_lines_and_learns(folder: Path) -> None:
    lines = (folder / "my/network.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith(("#", "from", "import"))]
    assert len(code) <= 20
    run = finished(folder, *command_with("my/network.py"), "executor.name=inline")
    assert run.returncode == 0, run.stderr
    scores = dict(re.findall(r"^(running_mean|seasonal_naive) +(\S+)", run.stdout, re.MULTILINE))
    assert float(scores["running_mean"]) < 1.5 * float(scores["seasonal_naive"]), "it is far from a forecast"


@pytest.mark.slow
def test_the_plugin_runs_from_files_to_submission(folder: Path) -> None:
    words = command_with("my/plugin.py")
    run = finished(folder, *words, "executor.name=inline")
    assert run.returncode == 0, run.stderr
    [scores] = re.findall(r"^recent_median +(\S+) +\S+ +(\S+)$", run.stdout, re.MULTILINE)
    assert min(map(float, scores)) > 0
    assert re.search(r"^ +worst, cv", run.stdout, re.MULTILINE)
    assert (folder / "artifacts/bakery/features/payday/values.npy").is_file()
    written = (folder / "submissions/files/bakery-demo.csv").read_text().splitlines()
    sample = (ROOT / "examples/bakery/sample_submission.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in written] == [line.split(",")[0] for line in sample]


def test_the_example_is_the_file() -> None:
    file = (ROOT / "examples/conf/competition/bakery.yaml").read_text(encoding="utf-8")
    assert [block for block in blocks("yaml") if "name: bakery" in block] == [file]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_path_exists(document: str) -> None:
    text = DOCUMENTS[document]
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith(("http", "#"))]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    quoted = {word for span in re.findall(r"`([^`\n]+)`", prose) for word in span.split()}
    paths = [
        word
        for word in quoted
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", word)
        and (
            (word.split("/")[0] in PACKAGES and "/" in word)
            or re.fullmatch(r"[\w-]+\.(md|txt|toml|py)", word)
        )
        and not word.startswith(WRITTEN)
        and not re.search(r"NAME|SIZE", word)
    ]
    assert links
    for path in [*links, *paths]:
        assert (ROOT / path).exists(), f"{document} names {path}"


def test_modules_of_commands_exist() -> None:
    for module in set(re.findall(r"python -m ([\w.]+)", README)):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


@pytest.mark.parametrize("kind", ["features", "metrics", "blenders", "splitters", "posts", "heads", "losses"])
def test_everything_registered_is_named(kind: str) -> None:
    for name in registry(kind).names():
        assert f"`{name}`" in README or f"`kind: {name}`" in README, f"{kind}: {name}"


def test_members_stages_and_keys_are_named() -> None:
    named = set(re.findall(r"`([\w.]+)`", README))
    assert set(known_members()) <= named
    assert set(stage_names()) <= named
    assert {field.name for field in fields(Competition)} <= named


def test_the_table_of_features_has_nothing_else() -> None:
    table = README.split("| Family |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(registry("features").names())
