"""Uploading a submission with the official `kaggle` client, at most once a file.

What is about to be uploaded is noted in the log before the client is started, and what came of it after it:
so a command that was killed in between says that it does not know, and does not upload twice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.errors import InputError
from pipeline.locks import lock
from pipeline.submitting.folder import Kept, publish
from pipeline.submitting.log import PUSHED, PUSHING, REFUSED, Event, add_event, events

CLIENT = "kaggle"
#: Files of which one says who the user is, below the client's folders; their content is never read.
ACCOUNTS = ("kaggle.json", "access_token", "credentials.json")
#: The client ends well with these words where the upload broke off (competition_submit_cli).
BROKEN_OFF = "could not submit"
LONGEST_WORDS = 400  # characters of what the client said that an error repeats


def push(kept: Kept, slug: str | None, again: bool, say: Callable[[str], None]) -> bool:
    """Upload the CSV to the competition `slug`; whether it was uploaded now. say: prints a line.

    Raises InputError for a missing client, account or slug, and where the client refuses, with its words.
    """
    client = ready(kept, slug)
    assert slug is not None
    files = kept.folder.parents[1]
    with lock(files / ".locks" / "push.lock", on_wait=lambda holder: say("waits for another upload")):
        before = _uploads(events(files), kept, slug)
        if before and not again:
            say(_said_before(before, slug))
            return False
        message = message_of(kept)
        line = {
            "name": kept.name,
            "id": kept.identity,
            "slug": slug,
            "sha256": kept.manifest["csv"]["sha256"],
        }
        add_event(files, PUSHING, line)
        # Kaggle shows the file's name: the submission's own says more than submission.csv.
        upload = publish(kept.csv, files / ".work" / "push" / f"{kept.name}.csv")
        words = [client, "competitions", "submit", "-c", slug, "-f", str(upload), "-m", message]
        say(f"kaggle competitions submit -c {slug} -f {upload.name} -m {message!r}")
        code, said = _run(words, say)
        if code:
            add_event(files, REFUSED, {**line, "code": code})
            raise InputError(
                f"submit.push: the kaggle client failed (exit code {code}): {said or 'it said nothing'};"
                f" the submission is at {kept.csv}"
            )
        add_event(files, PUSHED, {**line, "message": message})
    return True


def ready(kept: Kept, slug: str | None) -> str:
    """The client's path. InputError that says what is missing; the submission itself is there."""
    there = f"; the submission is at {kept.csv}"
    if not slug:
        raise InputError(
            "submit.push: competition.kaggle is not given, the name in the competition's address on"
            f" kaggle.com, as rossmann-store-sales{there}"
        )
    client = shutil.which(CLIENT)
    if client is None:
        raise InputError(f"submit.push: the kaggle client is not installed; pip install kaggle{there}")
    if not _configured():
        raise InputError(
            "submit.push: the kaggle client is not configured: neither KAGGLE_USERNAME and KAGGLE_KEY (or"
            f" KAGGLE_API_TOKEN) nor {_account_folders()[0] / ACCOUNTS[0]} is there{there}"
        )
    return client


def message_of(kept: Kept) -> str:
    """What Kaggle shows beside the file: name, scores, members and the code's commit."""
    own = kept.manifest
    scores = own["scores"]
    parts = [f"{kept.name}/{kept.identity}"]
    for key in ("cv", "local"):
        if scores.get(key) is not None:
            parts.append(f"{key} {scores['metric']} {scores[key]:.5g}")
    parts.append(
        f"baseline {own['baseline']}" if own["baseline"] else f"{own['blender']} of {len(own['members'])}"
    )
    if own["code"]["commit"]:
        parts.append(f"commit {own['code']['commit'][:10]}{'+' if own['code']['changed'] else ''}")
    return ", ".join(parts)


def _run(words: list[str], say: Callable[[str], None]) -> tuple[int, str]:
    """Exit code, and the last that the client said; its output is shown as it comes."""
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise InputError(f"submit.push: {words[0]} cannot be started: {error.strerror}") from None
    assert process.stdout is not None
    said: list[str] = []
    with process:
        try:
            for line in process.stdout:
                text = line.decode(errors="replace").rstrip().rpartition("\r")[2]  # the end of a progress bar
                if text:
                    say(f"  {text}")
                    said.append(text)
        except BaseException:
            process.terminate()
            raise
    words_said = " ".join(said)[-LONGEST_WORDS:]
    return process.returncode or int(BROKEN_OFF in words_said.lower()), words_said


def _uploads(found: list[Event], kept: Kept, slug: str) -> list[Event]:
    """Uploads of the same bytes to the same competition, without those that the client refused."""
    same: list[Event] = [
        event
        for event in found
        if event.get("slug") == slug and event.get("sha256") == kept.manifest["csv"]["sha256"]
    ]
    open_ones: list[Event] = []
    for event in same:
        if event["event"] == REFUSED and open_ones:
            open_ones.pop()
        elif event["event"] == PUSHED and open_ones and open_ones[-1]["event"] == PUSHING:
            open_ones[-1] = event
        elif event["event"] in (PUSHING, PUSHED):
            open_ones.append(event)
    return open_ones


def _said_before(before: list[Event], slug: str) -> str:
    last: dict[str, Any] = before[-1]
    when = last["time"][:16].replace("T", " ")
    if last["event"] == PUSHED:
        return (
            f"not pushed: the same file was pushed to {slug} at {when} UTC (submit.push=again pushes again)"
        )
    return (
        f"not pushed: an upload of the same file to {slug} began at {when} UTC and was interrupted; look at"
        " kaggle.com whether it is there (submit.push=again pushes again)"
    )


def _account_folders() -> list[Path]:
    own = os.environ.get("KAGGLE_CONFIG_DIR")
    if own:
        return [Path(own)]
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    first, second = Path.home() / ".kaggle", config / CLIENT
    return [first, second] if sys.platform != "linux" or first.is_dir() else [second, first]


def _configured() -> bool:
    given = os.environ
    if (given.get("KAGGLE_USERNAME") and given.get("KAGGLE_KEY")) or given.get("KAGGLE_API_TOKEN"):
        return True
    return any((folder / name).is_file() for folder in _account_folders() for name in ACCOUNTS)
