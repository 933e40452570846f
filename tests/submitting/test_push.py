"""submit.push, against a stand-in for the official client that is put on PATH."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from data.errors import InputError
from pipeline.submitting.log import PUSHED, PUSHING, REFUSED, add_event, events
from pipeline.submitting.push import message_of, push
from pipeline.submitting.table import log_lines
from tests.submitting.kept import kept_submission

CLIENT = """\
#!{python}
import json, os, sys
from pathlib import Path
words = sys.argv[1:]
file = words[words.index("-f") + 1]
with open({log!r}, "a") as stream:
    stream.write(json.dumps({{"words": words, "content": Path(file).read_text()}}) + "\\n")
print("Uploading", end="\\r")
print(os.environ.get("STAND_IN_SAYS", "Successfully submitted to Toy"))
sys.exit(int(os.environ.get("STAND_IN_EXITS", "0")))
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client on PATH and an account; a file with a line for each of its calls."""
    log = tmp_path / "calls.jsonl"
    client = tmp_path / "bin" / "kaggle"
    client.parent.mkdir()
    client.write_text(CLIENT.format(python=sys.executable, log=str(log)))
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(client.parent))
    account = tmp_path / "account"
    account.mkdir()
    (account / "kaggle.json").write_text("{}")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(account))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return log


def called(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_pushed_once_with_its_message(tmp_path: Path, calls: Path) -> None:
    files = tmp_path / "files"
    kept = kept_submission(files, "toy-demo", {"a": 1.0})
    said: list[str] = []
    assert push(kept, "toy-competition", False, said.append)
    [call] = called(calls)
    upload = str(files / ".work" / "push" / "toy-demo.csv")
    message = f"toy-demo/{kept.identity}, cv mae 0.25, local mae 0.3125, convex of 2, commit 0123456789"
    assert call["words"] == ["competitions", "submit", "-c", "toy-competition", "-f", upload, "-m", message]
    assert call["content"] == kept.csv.read_text()
    assert message_of(kept) == message
    assert "  Successfully submitted to Toy" in said
    assert [event["event"] for event in events(files)][1:] == [PUSHING, PUSHED]
    assert log_lines(files)[0].pushed is not None

    said.clear()
    assert not push(kept, "toy-competition", False, said.append)
    assert len(called(calls)) == 1
    assert said[0].startswith("not pushed: the same file was pushed to toy-competition at ")
    # Other settings that made the same bytes are no new file; another competition, and `again`, are.
    same = kept_submission(files, "other-name", {"a": 1.0}, seed=7)
    assert same.identity != kept.identity
    assert not push(same, "toy-competition", False, said.append)
    assert push(kept, "second-competition", False, said.append)
    assert push(kept, "toy-competition", True, said.append)
    assert len(called(calls)) == 3


@pytest.mark.parametrize(
    ("code", "words"),
    [("1", "403 Client Error: Forbidden"), ("0", "Could not submit to competition")],
)
def test_the_client_s_refusal_in_its_own_words(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    files = tmp_path / "files"
    kept = kept_submission(files, "toy-demo", {"a": 1.0})
    monkeypatch.setenv("STAND_IN_SAYS", words)
    monkeypatch.setenv("STAND_IN_EXITS", code)
    with pytest.raises(InputError, match=rf"the kaggle client failed \(exit code 1\): {words}"):
        push(kept, "toy-competition", False, lambda line: None)
    assert events(files)[-1]["event"] == REFUSED
    # What was refused may be tried again.
    monkeypatch.setenv("STAND_IN_SAYS", "Successfully submitted to Toy")
    monkeypatch.setenv("STAND_IN_EXITS", "0")
    assert push(kept, "toy-competition", False, lambda line: None)


def test_an_interrupted_upload_is_not_repeated_blindly(tmp_path: Path, calls: Path) -> None:
    files = tmp_path / "files"
    kept = kept_submission(files, "toy-demo", {"a": 1.0})
    line = {"name": kept.name, "id": kept.identity, "slug": "toy", "sha256": kept.manifest["csv"]["sha256"]}
    add_event(files, PUSHING, line)
    said: list[str] = []
    assert not push(kept, "toy", False, said.append)
    assert "was interrupted; look at kaggle.com" in said[0]
    assert called(calls) == []
    assert push(kept, "toy", True, said.append)


def test_what_is_missing_is_one_line(tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = kept_submission(tmp_path / "files", "toy-demo", {"a": 1.0})
    with pytest.raises(
        InputError, match=r"competition\.kaggle is not given.*the submission is at .*submission\.csv"
    ):
        push(kept, None, False, lambda line: None)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="the kaggle client is not configured"):
        push(kept, "toy", False, lambda line: None)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "x")
    assert push(kept, "toy", False, lambda line: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="the kaggle client is not installed; pip install kaggle"):
        push(kept, "toy", True, lambda line: None)
