"""numba's compiler as the kernels use it: without the interpreter's lock, kept on disk where that can be.

numba looks at the file of a function to tell whether what it kept is stale, not at the files of what the
function calls. So the folder has the hash of all of the kernels' sources in its name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

#: Contraction and sign of zero are free; sums are not reordered, and NaN stays NaN.
_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nsz"}, "boundscheck": False}

_config: Any = numba.config  # its names are made when it is imported


def compiled(function: Callable[..., Any]) -> Any:
    """Compiled at the first call, and kept on disk; in each process where nothing can be written."""
    return _kept(lambda cache: numba.njit(cache=cache, **_SETTINGS)(function))


def entry_point(signature: Any, function: Callable[..., Any]) -> Any:
    """Compiled at once, to be called by its `address` from anything that can call C."""
    return _kept(lambda cache: numba.cfunc(signature, cache=cache, **_SETTINGS)(function))


def _kept(compile: Callable[[bool], Any]) -> Any:
    folder = _folder()
    if folder is None:
        return compile(False)
    before = _config.CACHE_DIR
    _config.CACHE_DIR = str(folder)
    try:
        return compile(True)
    finally:
        _config.CACHE_DIR = before


@cache
def _folder() -> Path | None:
    """NUMBA_CACHE_DIR if that is set, else beside Python's own compiled files; None: not writable."""
    here = Path(__file__).parent
    sources = b"".join(file.read_bytes() for file in sorted(here.glob("*.py")))
    base = Path(_config.CACHE_DIR or here / "__pycache__")
    folder = base / f"numba-{hashlib.sha256(sources).hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
