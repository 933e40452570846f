"""Commands that a reader may run next: the page's own with some of its words exchanged."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pipeline.report.markup import code
from pipeline.report.material import Material


def again(material: Material, *words: str, without: Sequence[str] = ()) -> str:
    """The command that made the page with `words` (KEY=VALUE) in it, in place of those of the same keys.

    without: keys whose words are left out.
    """
    keys = {word.partition("=")[0] for word in words} | set(without)
    kept = [word for word in shlex.split(material.command) if word.partition("=")[0] not in keys]
    return shlex.join([*kept, *words])


def command(text: str) -> str:
    """As a block of its own (HTML)."""
    return f'<pre class="command">{code(text).removeprefix("<code>").removesuffix("</code>")}</pre>'
