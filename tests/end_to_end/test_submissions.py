"""Submissions of a real run: their folders and manifests, made again from them, and pushed."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipeline.compose import compose
from pipeline.libraries import library_versions
from pipeline.stages.train import Train
from pipeline.store import ArtifactStore
from pipeline.submitting.folder import all_kept, csv_checksum
from tests.end_to_end.command import Root, here
from tests.end_to_end.conftest import Done


def files_of(root: Root) -> Path:
    return root.folder / "submissions" / "files"


def manifest_of(root: Root, name: str) -> dict[str, Any]:
    [kept] = [one for one in all_kept(files_of(root)) if one.name == name]
    return dict(kept.manifest)


def test_every_run_keeps_its_submissions_with_manifests(shops: Done) -> None:
    manifest = manifest_of(shops.root, "shops-demo")
    [kept] = [one for one in all_kept(files_of(shops.root)) if one.name == "shops-demo"]
    assert kept.csv.read_bytes() == shops.root.submission().read_bytes()
    assert (kept.folder / "command.txt").read_text().startswith("python -m pipeline.run --config-dir ")
    summary = shops.root.summary()
    assert manifest["scores"]["cv"] == summary["blend"]["cv_mean"]
    assert list(manifest["members"]) == ["seasonal_naive", "lightgbm", "bilstm"]
    assert manifest["members"]["lightgbm"]["seeds"] == [0]
    assert manifest["members"]["bilstm"]["local"] == summary["members"]["bilstm"]["local"]
    assert [step["kind"] for step in manifest["post"]] == ["clip", "zero_where"]
    assert set(manifest["data"]) == {"train.csv", "test.csv", "sample.csv"}
    assert manifest["libraries"] == library_versions()  # none of these members needs an extra
    assert len(manifest["code"]["sources"]) == 32
    keys = shops.root.keys()
    assert manifest["artifacts"] == {path: keys[path] for path in manifest["artifacts"]}
    assert {"prepare", "blend/demo", "submit/demo", "features/rolling"} <= set(manifest["artifacts"])
    baseline = manifest_of(shops.root, "shops-baseline-seasonal_naive")
    assert baseline["baseline"] == "seasonal_naive"
    assert baseline["members"] == {}
    table = here("stage=submissions", f"root={shops.root.folder}").out
    assert f"shops-demo/{kept.identity}" in table
    assert f"{manifest['scores']['local']:.5g}" in table


def test_nothing_is_added_by_the_same_command(shops: Done, tmp_path: Path) -> None:
    root = shops.root.copy(tmp_path / "again")
    log = (files_of(root) / "log.jsonl").read_bytes()
    finished = here(*shops.words, "stage=submit", f"root={root.folder}")
    assert finished.code == 0, finished.err
    assert (files_of(root) / "log.jsonl").read_bytes() == log
    assert len(all_kept(files_of(root))) == 2


@pytest.mark.skipif(find_spec("xgboost") is None, reason="xgboost is not installed")
def test_fits_say_which_extras_their_manifests_name(shops: Done) -> None:
    words = [*shops.words[2:], f"root={shops.root.folder}", "members=[seasonal_naive,xgboost]"]
    jobs = Train().jobs(compose(words, [shops.words[1]]), ArtifactStore(shops.root.artifacts))
    extras = {job.path.split("/")[2]: job.details["extras"] for job in jobs}
    assert extras == {"seasonal_naive": [], "xgboost": ["xgboost"]}


@pytest.mark.slow
def test_rebuilt_bit_for_bit_without_any_artefact(shops: Done, tmp_path: Path) -> None:
    root = shops.root.copy(tmp_path / "again")
    shutil.rmtree(root.artifacts)
    before = {file: csv_checksum(file) for file in files_of(root).rglob("*.csv")}
    log = (files_of(root) / "log.jsonl").read_bytes()
    words = ["stage=submit", "submit.rebuild=shops-demo", "executor=inline", f"root={root.folder}"]
    finished = here(*words)  # neither competition= nor --config-dir: all of it is in the manifest
    assert finished.code == 0, finished.out + finished.err
    rebuilt = files_of(root) / "shops-demo-rebuilt.csv"
    assert finished.line("rebuilt bit for bit:").endswith(str(rebuilt))
    assert rebuilt.read_bytes() == root.submission().read_bytes()
    assert {file: csv_checksum(file) for file in before} == before
    assert (files_of(root) / "log.jsonl").read_bytes() == log
    assert not [line for line in finished.out.splitlines() if "not as then" in line]

    # What differs from then is said: libraries and code before, bytes after.
    [file] = files_of(root).glob("shops-demo/*/manifest.json")
    manifest = json.loads(file.read_text())
    manifest["libraries"]["numpy"] = "1.0.0"
    manifest["code"]["sources"] = "0" * 32
    manifest["csv"]["sha256"] = "0" * 64
    file.write_text(json.dumps(manifest))
    finished = here(*words)
    assert finished.code == 1
    assert "not as then: numpy 1.0.0, now" in finished.out
    assert "not as then: this project's code" in finished.out
    assert "rebuilt, but not the same bytes" in finished.out
    assert "sales: 0 of 40 rows differ" in finished.out


def test_a_rebuild_wants_the_data_as_they_were(shops: Done, tmp_path: Path) -> None:
    root = shops.root.copy(tmp_path / "again")
    [file] = files_of(root).glob("shops-demo/*/manifest.json")
    manifest = json.loads(file.read_text())
    for name, content, words in (
        ("train.csv", "0" * 32, r"train.csv has another content than when it was made"),
        ("other.csv", "0" * 32, r"other.csv is not there"),
    ):
        changed = {**manifest, "data": {**manifest["data"], name: content}}
        file.write_text(json.dumps(changed))
        finished = here("stage=submit", "submit.rebuild=shops-demo", f"root={root.folder}")
        assert finished.code == 2
        assert words in finished.err
        assert len(finished.err.splitlines()) == 1


def test_push_without_a_client_leaves_the_submission(
    shops: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shops.root.copy(tmp_path / "again")
    root.submission().unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    words = [*shops.words, "stage=submit", "submit.push=true", f"root={root.folder}"]
    finished = here(*words)
    assert finished.code == 2
    assert "submit.push: competition.kaggle is not given" in finished.err
    assert len(finished.err.splitlines()) == 1
    assert root.submission().read_bytes() == shops.root.submission().read_bytes()
    finished = here(*words, "competition.kaggle=shops")
    assert finished.code == 2
    assert "the kaggle client is not installed" in finished.err
    assert finished.stage("prepare").endswith("already done, 0.0 s")  # a slug is no part of any key
