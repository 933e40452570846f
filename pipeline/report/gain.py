"""How much better one score is than another, in words."""

from __future__ import annotations

import math

from pipeline.report.text import MINUS, decimals_for, number


def gain(score: float | None, against: float | None, greater_is_better: bool) -> float | None:
    """Share of the error that is gone (lower is better), or the plain difference (greater is better).

    None where either is not defined.
    """
    if score is None or against is None or not (math.isfinite(score) and math.isfinite(against)):
        return None
    if greater_is_better:
        return score - against
    return (against - score) / against if against > 0 else None


def gain_words(value: float | None, greater_is_better: bool) -> str:
    """'38.2 % better', '4.0 % worse', '0.031 higher'; '' where there is none."""
    if value is None:
        return ""
    if greater_is_better:
        return f"{number(abs(value), decimals_for([value], 3))} {'higher' if value >= 0 else 'lower'}"
    return f"{abs(value) * 100:.1f} % {'better' if value >= 0 else 'worse'}"


def gain_cell(value: float | None, greater_is_better: bool) -> str:
    """'+38.2 %', for tables."""
    if value is None:
        return number(None, 0)
    sign = "+" if value >= 0 else MINUS
    if greater_is_better:
        return sign + number(abs(value), decimals_for([value], 3))
    return f"{sign}{abs(value) * 100:.1f} %"
