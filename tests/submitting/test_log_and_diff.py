"""The log of submissions, the table, public scores, and the difference of two: by made-up submissions."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from pipeline.submitting import folder
from pipeline.submitting.compare import diff_lines, difference, manifest_differences
from pipeline.submitting.find import find_kept
from pipeline.submitting.folder import all_kept, keep, read_kept
from pipeline.submitting.log import FILE, MADE, PUBLIC, add_event, events
from pipeline.submitting.table import enter_public_score, log_lines, table_lines
from tests.end_to_end.command import here
from tests.submitting.kept import kept_submission


def test_a_submission_is_kept_whole_and_never_changed(tmp_path: Path) -> None:
    first = kept_submission(tmp_path, "toy-demo", {"a": 1.0, "b": 2.0})
    assert sorted(file.name for file in first.folder.iterdir()) == [
        "command.txt",
        "manifest.json",
        "submission.csv",
    ]
    assert first.csv.read_text() == "id,y\na,1.0\nb,2.0\n"
    before = first.folder.stat().st_mtime_ns
    assert kept_submission(tmp_path, "toy-demo", {"a": 1.0, "b": 2.0}).folder == first.folder
    assert first.folder.stat().st_mtime_ns == before
    second = kept_submission(tmp_path, "toy-demo", {"a": 1.0, "b": 3.0})
    assert second.folder != first.folder
    assert first.csv.read_text() == "id,y\na,1.0\nb,2.0\n"
    assert {one.identity for one in all_kept(tmp_path)} == {first.identity, second.identity}


def _keep_and_die(files: Path, moment: int) -> None:
    """Killed at the n-th thing that is written."""
    written = folder._write
    count = 0

    def write(file: Path, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == moment:
            file.write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        written(file, content)

    folder._write = write  # type: ignore[assignment]
    kept_submission(files, "toy-demo", {"a": 1.0, "b": 2.0})


def test_a_kill_leaves_no_half_folder(tmp_path: Path) -> None:
    for moment in (1, 2, 3):
        process = multiprocessing.get_context("fork").Process(target=_keep_and_die, args=(tmp_path, moment))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert all_kept(tmp_path) == []
        assert not (tmp_path / "toy-demo").exists()
    kept = kept_submission(tmp_path, "toy-demo", {"a": 1.0, "b": 2.0})
    assert kept.csv.read_text() == "id,y\na,1.0\nb,2.0\n"
    assert not any((tmp_path / ".work").iterdir())


def _add_many(files: Path, number: int) -> None:
    for index in range(50):
        add_event(
            files, PUBLIC, {"name": f"command{number}", "id": str(index), "score": 1.0, "pad": "x" * 500}
        )


def test_no_line_is_lost_by_commands_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_add_many, args=(tmp_path, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = {(event["name"], event["id"]) for event in events(tmp_path)}
    assert found == {(f"command{number}", str(index)) for number in range(4) for index in range(50)}
    assert len((tmp_path / FILE).read_text().splitlines()) == 200


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    add_event(tmp_path, MADE, {"name": "one", "id": "b"})
    with (tmp_path / FILE).open("a") as stream:
        stream.write('{"event": "made", "name": "tw')
    add_event(tmp_path, MADE, {"name": "three", "id": "c"})
    assert [event["name"] for event in events(tmp_path)] == ["one", "three"]


def test_table_and_public_score(tmp_path: Path) -> None:
    assert next(table_lines(tmp_path)).startswith("no submissions in")
    first = kept_submission(tmp_path, "toy-demo", {"a": 1.0})
    second = kept_submission(tmp_path, "toy-demo", {"a": 2.0})
    assert enter_public_score(tmp_path, "toy-demo", 0.4) == f"public score of toy-demo/{second.identity}: 0.4"
    enter_public_score(tmp_path, first.identity, 0.5)
    enter_public_score(tmp_path, f"toy-demo/{first.identity}", 0.45)
    lines = log_lines(tmp_path)
    assert [(line.name, line.public) for line in lines] == [
        (f"toy-demo/{first.identity}", 0.45),
        (f"toy-demo/{second.identity}", 0.4),
    ]
    assert lines[0].all_public == [0.5, 0.45]
    heading, *rows, log = table_lines(tmp_path)
    assert heading.split()[-5:] == ["cv", "local", "public", "pushed", "(UTC)"]
    assert rows[0].split()[-3:] == ["0.25", "0.3125", "0.45"]
    assert log == f"log: {tmp_path / FILE}"
    with pytest.raises(
        InputError, match=r"submit\.name: unknown submission 'toy-demmo'; did you mean 'toy-demo'"
    ):
        enter_public_score(tmp_path, "toy-demmo", 1.0)
    with pytest.raises(InputError, match=rf"did you mean 'toy-demo/{first.identity}'"):
        find_kept(tmp_path, f"toy-demo/{first.identity[:-1]}", "submit.diff")


def test_the_latest_of_a_name_is_the_one_made_last(tmp_path: Path) -> None:
    for number in range(6):
        last = kept_submission(tmp_path, "toy-demo", {"a": float(number)})
        assert find_kept(tmp_path, "toy-demo", "").identity == last.identity


def test_difference_by_hand() -> None:
    left = pd.Series([1.0, 2.0, 3.0, 4.0], index=list("abcd"), name="y")
    right = pd.Series([1.0, 2.5, 3.0, 2.0], index=list("abcd"), name="y")
    found = difference(left, right)
    assert (found.rows, found.differing) == (4, 2)
    assert found.mean_absolute == pytest.approx(2.5 / 4)
    assert found.root_mean_square == pytest.approx(np.sqrt(4.25 / 4))
    assert found.correlation == pytest.approx(np.corrcoef(left, right)[0, 1])
    assert found.largest == [("d", 4.0, 2.0), ("b", 2.0, 2.5)]


def test_diff_aligns_by_id_and_names_what_differs(tmp_path: Path) -> None:
    one = kept_submission(tmp_path, "one", {"a": 1.0, "b": 2.0, "c": 3.0}, blender="mean", seed=1)
    other = kept_submission(tmp_path, "other", {"c": 3.0, "b": 2.5, "d": 9.0}, seed=1, extra={"deep": [1]})
    lines = list(diff_lines(tmp_path, ["one", other.identity]))
    assert lines[:3] == [
        f"a: one/{one.identity}",
        f"b: other/{other.identity}",
        "rows: 2 in both, 1 in a only, 1 in b only",
    ]
    assert lines[3].startswith("y: 1 of 2 rows differ, correlation 1, mean absolute difference 0.25")
    assert lines[4] == "  b: 2 -> 2.5 (+0.5)"
    assert "  blender: mean -> convex" in lines
    assert "  extra.deep: - -> [1]" in lines
    assert not [line for line in lines if "seed" in line or "sha256" in line]
    assert manifest_differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}) == [("a.c", 2, None)]
    file = tmp_path / "mine.csv"
    file.write_text("id,y\na,1.5\n")
    assert "  a: 1 -> 1.5 (+0.5)" in list(diff_lines(tmp_path, ["one", str(file)]))
    assert "  a: 1 -> 1.5 (+0.5)" in list(diff_lines(tmp_path, [str(one.csv), str(file)]))
    file.write_text("id,z\na,1.5\n")
    with pytest.raises(InputError, match=r"mine\.csv: columns z; expected those of"):
        list(diff_lines(tmp_path, ["one", str(file)]))


def test_a_broken_manifest_is_one_line(tmp_path: Path) -> None:
    kept = kept_submission(tmp_path, "one", {"a": 1.0})
    file = kept.folder / "manifest.json"
    for broken in ("{", "[]", json.dumps({"format": 99, "csv": {}})):
        file.write_text(broken)
        with pytest.raises(InputError, match=r"manifest\.json"):
            read_kept(kept.folder)


COMMANDS = [
    (["submit.public_score=0.5"], "submit.public_score belongs to stage=submissions; found stage=all"),
    (["submit.diff=[a,b]"], "submit.diff belongs to stage=submissions"),
    (["stage=submissions", "submit.diff=[one]"], "submit.diff: found 1 names, expected two"),
    (["stage=submissions", "submit.diff=[one,oen]"], "unknown submission 'oen'; did you mean 'one'"),
    (["stage=submissions", "submit.public_score=inf"], "submit.public_score: found inf"),
    (
        ["stage=submissions", "submit.public_score=good"],
        "submit.public_score: found 'good', expected a number",
    ),
    (["stage=submissions", "submit.public_score=1", "submit.name=noe"], "'noe'; did you mean 'one'"),
    (["stage=submisions"], "'submisions'; did you mean 'submissions'"),
    (
        ["stage=predict", "submit.push=true"],
        "submit.push belongs to stage=all, submit, report; found stage=predict",
    ),
    (["submit.of=x"], "submit.of belongs to stage=predict, predict_fits, pack; found stage=all"),
    (["submit.rebuild=x"], "submit.rebuild belongs to stage=submit"),
    (["stage=submit", "submit.rebuild=noe"], "submit.rebuild: unknown submission 'noe'; did you mean 'one'"),
    (["submit.push=yes"], "submit.push: unknown value 'yes'"),
]


@pytest.mark.parametrize(("words", "line"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_refused_in_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    kept_submission(tmp_path / "submissions" / "files", "one", {"a": 1.0})
    finished = here(*words, f"root={tmp_path}")
    assert finished.code == 2
    assert line in finished.err
    assert len(finished.err.splitlines()) == 1


def test_commands_print_table_and_difference(tmp_path: Path) -> None:
    files = tmp_path / "submissions" / "files"
    kept_submission(files, "one", {"a": 1.0})
    kept_submission(files, "two", {"a": 2.0})
    scored = here("stage=submissions", "submit.name=one", "submit.public_score=0.125", f"root={tmp_path}")
    assert scored.code == 0, scored.err
    assert scored.line("public score of one/").endswith(": 0.125")
    assert any(line.rstrip().endswith("0.125") for line in scored.out.splitlines()[1:])
    diff = here("stage=submissions", "submit.diff=[one,two]", f"root={tmp_path}")
    assert diff.code == 0, diff.err
    assert diff.line("y:").startswith("y: 1 of 1 rows differ")
    assert not (tmp_path / "artifacts").exists()


def test_keep_waits_for_whoever_keeps_the_same(tmp_path: Path) -> None:
    """Two commands that finish the same submission at once: both get the one folder."""
    csv = tmp_path / "x.csv"
    csv.write_text("id,y\na,1\n")
    manifest = {"format": 1, "name": "x", "id": "bcd", "made": "", "csv": {}}
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=keep, args=(tmp_path, csv, manifest, "x")) for _ in range(4)]
    started = time.monotonic()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert time.monotonic() - started < 30
    assert len(all_kept(tmp_path)) == 1
