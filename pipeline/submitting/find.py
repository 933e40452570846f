"""Which submission a word of the command line means: a name, an id, name/id, or a folder."""

from __future__ import annotations

from pathlib import Path

from data.errors import InputError, nearest, unknown
from pipeline.submitting.folder import MANIFEST, Kept, all_kept, read_kept
from pipeline.submitting.log import MADE, events


def find_kept(files: Path, word: str, key: str) -> Kept:
    """The submission that `word` means; of a name the one that was made last. key: for messages.

    Raises InputError with the nearest names for a word that means none.
    """
    if (Path(word) / MANIFEST).is_file():
        return read_kept(Path(word))
    kept = all_kept(files)
    name, _, identity = word.removesuffix(".csv").strip("/").rpartition("/")
    if not name:
        name, identity = identity, ""
    own = [one for one in kept if one.name == name and identity in ("", one.identity)]
    own = own or [one for one in kept if one.identity == name and not identity]
    if own:
        return latest(files, own)
    if not kept:
        raise InputError(
            f"{key}: found {word!r}; there is no submission in {files} yet: stage=submit makes one"
        )
    names = dict.fromkeys(one.name for one in kept)
    if name in names:
        there = [f"{name}/{one.identity}" for one in kept if one.name == name]
        raise unknown("submission", word, there, key)
    known = [*names, *(one.identity for one in kept)]
    raise unknown("submission", word, known if nearest(word, known) else names, key)


def latest(files: Path, kept: list[Kept]) -> Kept:
    """The one that was made last, by the log; the last one where the log does not know."""
    made = [event["id"] for event in events(files) if event["event"] == MADE]
    order = {identity: number for number, identity in enumerate(made)}
    return max(kept, key=lambda one: order.get(one.identity, -1))
