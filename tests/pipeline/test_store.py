"""The store: keys, states, artefacts set aside and taken up again, what a kill between two steps leaves."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from pipeline.clean import leftovers, remove_leftovers
from pipeline.keys import canonical_json, job_key, plain
from pipeline.libraries import library_versions
from pipeline.manifest import Costs, make_manifest
from pipeline.stage import Job
from pipeline.store import ArtifactStore

COSTS = Costs("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00", 60.0, 100.0)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


def job(path: str = "train/demo/lstm/seed0/fold1", *inputs: str, **settings: object) -> Job:
    return Job("train", path, settings, inputs)


def write(store: ArtifactStore, job: Job, content: str = "content") -> str:
    """Make the job's artefact; its key."""
    key = store.key(job)
    folder = store.working_folder(job.path, key)
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "table.csv").write_text(content)
    store.commit(job, key, store.input_keys(job), COSTS)
    return key


def test_key_is_of_what_the_result_depends_on() -> None:
    one = Job("train", "a", {"epochs": 3, "fit": {"x": 1, "y": [1, 2.5]}}, ("prepare",))
    keys = {"prepare": "k1"}
    same = Job(
        "train", "b", {"fit": {"y": (1, 2.5), "x": 1}, "epochs": 3}, ("prepare",), title="t", details={"d": 1}
    )
    assert job_key(one, keys) == job_key(same, keys)
    others = [
        (replace(one, stage="tune"), keys),
        (replace(one, version=2), keys),
        (replace(one, settings={"epochs": 4}), keys),
        (one, {"prepare": "k2"}),
        (replace(one, inputs=()), keys),
    ]
    assert len({job_key(*other) for other in others} | {job_key(one, keys)}) == len(others) + 1


@given(JSON)
def test_canonical_json_is_read_back(value: object) -> None:
    assert json.loads(canonical_json(plain(value))) == value


@pytest.mark.parametrize("value", [np.float32(1), Path("a"), {1: "a"}, {"a": {3}}, b"a"])
def test_settings_that_json_cannot_say_are_refused_by_place(value: object) -> None:
    with pytest.raises(TypeError, match=r"settings\.fit\.x"):
        plain({"fit": {"x": value}})


def test_missing_done_stale(store: ArtifactStore) -> None:
    first = job(epochs=1)
    assert store.state(first) == "missing"
    write(store, first)
    assert store.state(first) == "done"
    assert store.state(job(epochs=2)) == "stale"
    assert ArtifactStore(store.root).state(first) == "done"
    assert (store.folder(first.path) / "sub" / "table.csv").read_text() == "content"


def test_manifest_says_what_was_made_with_what(store: ArtifactStore) -> None:
    write(store, job("prepare"))
    made = replace(job("train/x", "prepare", epochs=1), details={"group": "lstm", "extras": ["xgboost"]})
    key = write(store, made)
    content = json.loads((store.root / "train/x/manifest.json").read_text())
    prepared = store.manifest("prepare")
    assert prepared is not None
    assert content["key"] == key
    assert content["stage"] == "train"
    assert content["settings"] == {"epochs": 1}
    assert content["inputs"] == {"prepare": prepared.key}
    assert content["group"] == "lstm"
    assert content["seconds"] == 60
    assert content["libraries"] == library_versions("xgboost")
    assert list(content["files"]) == ["sub/table.csv"]
    assert content["files"]["sub/table.csv"]["size"] == 7


def test_missing_input_makes_a_job_missing_and_is_named(store: ArtifactStore) -> None:
    needs = job("train/x", "prepare")
    assert store.state(needs) == "missing"
    with pytest.raises(InputError, match=r"prepare: the artefact is not there"):
        store.key(needs)
    with pytest.raises(InputError, match=r"prepare: the artefact is not there"):
        store.folder("prepare")


def test_changed_input_makes_what_depends_on_it_stale(store: ArtifactStore) -> None:
    write(store, job("prepare", rows=1))
    needs = job("train/x", "prepare")
    write(store, needs)
    write(store, job("prepare", rows=2))
    assert store.state(needs) == "stale"


@pytest.mark.parametrize("harm", ["truncate", "edit", "remove", "manifest", "format"])
def test_damage_is_seen(store: ArtifactStore, harm: str) -> None:
    write(store, job())
    folder = store.root / job().path
    file, manifest = folder / "sub" / "table.csv", folder / "manifest.json"
    if harm == "truncate":
        file.write_text("con")
    elif harm == "edit":
        file.write_text("c0ntent")
    elif harm == "remove":
        file.unlink()
    elif harm == "manifest":
        manifest.write_text(manifest.read_text()[:100])
    else:
        manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    fresh = ArtifactStore(store.root)
    assert fresh.state(job()) == "damaged"
    words = {
        "truncate": "sub/table.csv has 3 bytes, expected 7",
        "edit": "sub/table.csv has another checksum",
        "remove": "sub/table.csv is missing",
        "manifest": "manifest.json cannot be read",
        "format": "has format 99, expected 1",
    }
    assert words[harm] in fresh.damage(job().path)
    with pytest.raises(InputError, match="damaged"):
        fresh.folder(job().path)
    write(fresh, job())
    assert fresh.state(job()) == "done"
    [left] = leftovers(fresh)
    assert left.kind == "damaged"


def test_truncation_is_seen_by_the_same_command_too(store: ArtifactStore) -> None:
    write(store, job())
    assert store.state(job()) == "done"
    (store.root / job().path / "sub" / "table.csv").write_text("")
    assert store.state(job()) == "damaged"


def test_copied_artefact_is_trusted_for_its_checksums(store: ArtifactStore) -> None:
    write(store, job())
    os.utime(store.root / job().path / "sub" / "table.csv", (1, 1))
    assert ArtifactStore(store.root).state(job()) == "done"


def test_artefact_set_aside_is_taken_up_again(store: ArtifactStore) -> None:
    path = job().path
    long = write(store, job(epochs=100), "overnight")
    short = write(store, job(epochs=1), "demo")
    assert (store.root / ".aside" / path / long / "sub" / "table.csv").read_text() == "overnight"
    assert store.state(job(epochs=100)) == "stale"
    assert store.take_up(path, long)
    assert store.state(job(epochs=100)) == "done"
    assert (store.folder(path) / "sub" / "table.csv").read_text() == "overnight"
    assert store.take_up(path, short)
    assert not store.take_up(path, "0" * 32)


def test_what_lies_aside_damaged_is_not_taken_up(store: ArtifactStore) -> None:
    path = job().path
    long = write(store, job(epochs=100), "overnight")
    write(store, job(epochs=1))
    (store.root / ".aside" / path / long / "sub" / "table.csv").write_text("over")
    assert not store.take_up(path, long)
    assert store.state(job(epochs=1)) == "done"


def test_working_folder_is_given_again_to_the_same_key_only(store: ArtifactStore) -> None:
    key = store.key(job(epochs=1))
    (store.working_folder(job().path, key) / "checkpoint").write_text("half")
    store.note_work(job().path, key, 12.5)
    again = ArtifactStore(store.root)
    assert (again.working_folder(job().path, key) / "checkpoint").read_text() == "half"
    assert again.work_done(job().path, key) == 12.5
    other = again.key(job(epochs=2))
    assert list(again.working_folder(job().path, other).iterdir()) == []
    assert again.work_done(job().path, other) == 0
    assert again.state(job(epochs=1)) == "missing"


def test_kill_between_manifest_and_rename_loses_nothing(store: ArtifactStore) -> None:
    key = store.key(job())
    folder = store.working_folder(job().path, key)
    (folder / "a.csv").write_text("a")
    make_manifest(job(), key, {}, COSTS, folder).write(folder)
    again = ArtifactStore(store.root)
    assert again.state(job()) == "missing"
    assert again.lies_aside(job().path, key)
    assert again.take_up(job().path, key)
    assert again.state(job()) == "done"


def test_kill_between_setting_aside_and_rename_loses_nothing(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(store, job(epochs=1), "old")
    real = os.rename

    def dies_at_the_second(source: Path, target: Path) -> None:
        if ".work" in str(source):
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "rename", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        write(store, job(epochs=2), "new")
    monkeypatch.undo()
    again = ArtifactStore(store.root)
    assert again.state(job(epochs=2)) == "missing"
    assert again.take_up(job().path, again.key(job(epochs=2)))
    assert (again.folder(job().path) / "sub" / "table.csv").read_text() == "new"
    assert again.take_up(job().path, old)


def test_names_with_a_dot_do_not_get_into_the_artefact(store: ArtifactStore) -> None:
    folder = store.working_folder(job().path, store.key(job()))
    (folder / "sub").mkdir()
    (folder / "sub" / ".part").write_text("x")
    (folder / ".cache" / "deep").mkdir(parents=True)
    (folder / ".cache" / "deep" / ".file").write_text("x")
    store.note_work(job().path, store.key(job()), 1)
    write(store, job())
    found = sorted(
        file.relative_to(store.root / job().path).as_posix() for file in (store.root / job().path).rglob("*")
    )
    assert found == ["manifest.json", "sub", "sub/table.csv"]


def test_no_artefact_inside_another(store: ArtifactStore) -> None:
    write(store, job("report/demo"))
    with pytest.raises(AssertionError, match="inside"):
        write(store, job("report/demo/plots"))
    with pytest.raises(AssertionError, match="would hold"):
        write(store, job("report"))


def test_an_artefact_that_another_run_replaced_is_refused(store: ArtifactStore) -> None:
    settled = write(store, job("prepare", rows=1))
    store.settle("prepare", settled)
    write(ArtifactStore(store.root), job("prepare", rows=2))
    for read in (lambda: store.key(job("train/x", "prepare")), lambda: store.folder("prepare")):
        with pytest.raises(InputError, match="another run with other settings has replaced"):
            read()
    assert store.take_up("prepare", settled)
    assert store.folder("prepare") == store.root / "prepare"


def test_leftovers_are_listed_and_removed(store: ArtifactStore) -> None:
    write(store, job("train/demo/lstm-20260101/seed0/fold0", epochs=1), "x" * 5000)
    write(store, job("train/demo/lstm-20260101/seed0/fold0", epochs=2))
    (store.working_folder("train/demo/tcn/fold0", "ab" * 16) / "checkpoint").write_text("half")
    aside, unfinished = leftovers(store)
    assert (aside.kind, aside.path) == ("aside", "train/demo/lstm-20260101/seed0/fold0")
    assert aside.size > 5000
    assert (unfinished.kind, unfinished.path, unfinished.key) == (
        "unfinished",
        "train/demo/tcn/fold0",
        "abababab",
    )
    assert unfinished.size == 4
    assert remove_leftovers(store, [aside, unfinished]) == [aside, unfinished]
    assert leftovers(store) == []
    assert store.state(job("train/demo/lstm-20260101/seed0/fold0", epochs=2)) == "done"
