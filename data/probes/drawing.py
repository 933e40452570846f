"""One window of a probe as text: a line an input, a line for the target, a column a row of the window."""

from __future__ import annotations

from collections.abc import Sequence

#: A window of more rows than twice this is shown by its first and last ones.
SHOWN = 12

NOTHING = "."


def drawn(lines: Sequence[tuple[str, Sequence[str]]], widest: int = SHOWN) -> str:
    """(name, one cell a row) pairs as aligned text."""
    rows = len(lines[0][1])
    shown = list(range(rows))
    if rows > 2 * widest:
        shown = [*range(widest), -1, *range(rows - widest, rows)]  # -1: what is left out
    cells = [[".." if row < 0 else line[row] for row in shown] for _, line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(shown))]
    names = max(len(name) for name, _ in lines)
    return "\n".join(
        " ".join([name.ljust(names), *map(str.rjust, line, widths)])
        for (name, _), line in zip(lines, cells, strict=True)
    )


def number(value: float) -> str:
    """Two decimals, without a zero in front of the point; 0 and 1 as they are."""
    if value in (0.0, 1.0):
        return str(int(value))
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"
