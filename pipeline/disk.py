"""What a full disk gets: one line that says what to do, whoever's code met it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WORDS = ("No space left on device", "Disk quota exceeded", "File too large")
NEARLY_NOTHING = 64 * 1024  # bytes: with less than this free, a library's vague write error is a full disk


@contextmanager
def clear_when_full(folder: Path) -> Iterator[None]:
    """Turn an error that comes from a full disk into an InputError; every other error passes."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not _is_full(error, folder):
            raise
        free = _free(folder)
        raise InputError(
            f"{folder}: the disk is full ({size_text(free)} free, {_first_line(error)}); free some space and "
            "run the same command again: what was finished stays"
        ) from error


def size_text(size: float) -> str:
    """Bytes for people: 12 B, 3.4 KiB, 5.6 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def folder_size(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())


def _is_full(error: BaseException, folder: Path) -> bool:
    """Some libraries keep the error number (pyarrow), some its words only (safetensors), some neither."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in FULL:
            return True
        if any(words in str(chain) for words in WORDS):
            return True
        chain = chain.__cause__ or chain.__context__
    return isinstance(error, OSError | RuntimeError) and _free(folder) < NEARLY_NOTHING


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
