"""The one exception for bad input, and how its single line is worded.

`InputError` is for what a user can mend: a misspelt key, a broken file, a column that is not there.
The command line prints it as one line and exits with code 2. Everything else keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What the user gave cannot be used; the one-line message says where, what, and what instead."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(str(message).split()))


class UnfitForData(InputError):
    """A setting that may be right, but not for these data: it names a column or a length they do not have."""


class RowsNotGiven(InputError):
    """Asked rows that are not in a file of predictions: who looks them up there has none for them."""


class OutOfTime(Exception):
    """Work was given up at its deadline; what it wrote stays, and the next run goes on from there."""


def nearest(found: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """The choices most like `found`, best first: at most `count`, possibly none."""
    names = [str(choice) for choice in choices]
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(str(found).lower(), list(folded), n=count, cutoff=0.5)
    return [folded[name] for name in close]


def unknown(kind: str, found: str, choices: Iterable[str], where: str = "") -> InputError:
    """An InputError for a name that is not among `choices`: names the nearest ones, else lists them."""
    names = sorted(str(choice) for choice in choices)
    near = nearest(found, names)
    if near:
        hint = f"did you mean {' or '.join(repr(name) for name in near)}?"
    elif names:
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        hint = f"choices: {shown}"
    else:
        hint = "there are none"
    place = f"{where}: " if where else ""
    return InputError(f"{place}unknown {kind} {found!r}; {hint}")
