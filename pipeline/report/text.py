"""Numbers, times and markup in words that people read."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable

NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def escape(text: object) -> str:
    """For the inside of an element or of a quoted attribute."""
    return html.escape(str(text), quote=True)


def decimals_for(values: Iterable[float | None], significant: int = 4) -> int:
    """Decimals that show the smallest of the values with so many significant digits; the same in a table."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    if not sizes:
        return significant - 1
    return max(0, min(6, significant - 1 - math.floor(math.log10(min(sizes)))))


def number(value: float | None, decimals: int) -> str:
    """With a real minus sign; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:,.{decimals}f}"
    if not text.strip("-0.,"):  # what rounds to 0 has no sign
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def compact(value: float) -> str:
    """For axes: 0.25, 12, 3.4k, 1.2M, 5e\u22125."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:.4g}{unit}".replace("-", MINUS)
    if value != 0 and abs(value) < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}".replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)


def rounded(value: float) -> str:
    """Three significant digits: 0.000123, 1.41, 12k."""
    return compact(float(f"{value:.3g}"))


def seconds(value: float) -> str:
    """0.4 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def memory(mib: float) -> str:
    """842 MiB, 3.1 GiB."""
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"


def plural(count: int, one: str, many: str | None = None) -> str:
    """1 fold, 5 folds."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: list[str]) -> str:
    """a; a and b; a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


def shorten(text: str, length: int) -> str:
    """Cut in the middle: the ends of names tell them apart."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 3
    return text[: length - 1 - tail] + "…" + text[len(text) - tail :]


METRIC_NAMES = {"smape": "sMAPE", "wrmsse": "WRMSSE", "wmae": "WMAE", "r2": "R²", "pinball": "pinball loss"}


def metric_name(name: str) -> str:
    """As people write it."""
    if name.startswith("python:"):
        return name.rsplit(":", 1)[-1]
    if name.endswith(")"):  # a second one of that name, with its settings
        kind, _, settings = name.partition("(")
        return f"{metric_name(kind)} ({settings}"
    return METRIC_NAMES.get(name, name.replace("_", " ") if "_" in name else name.upper())
