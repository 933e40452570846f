"""Whether the chosen blend is really better than its members: paired over folds, and over series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.report.compare import Paired, paired, series_scores
from pipeline.report.markup import Column, named, swatch, table
from pipeline.report.material import Material, Who
from pipeline.report.text import escape, listed, number, plural

LEAST_FOLDS = 3  # for an interval

#: A member, and the blend against it over folds and over series.
Compared = tuple[str, Paired | None, Paired | None]


def significance(material: Material, decimals: int) -> str:
    """A heading, a few sentences and a table; '' where there is nothing to compare."""
    compared = _comparisons(material)
    if not compared:
        return ""
    sentences = _verdict(material, compared, decimals)
    return f"<h3>Is the difference real?</h3><p>{sentences}</p>{_compared(material, compared, decimals)}"


def _comparisons(material: Material) -> list[Compared]:
    """The chosen blend against each member: over folds, and over series."""
    if material.oof is None or material.blend is None:
        return []
    greater = material.scorer.metric.greater_is_better
    folds = [fold.name for fold in material.folds]
    blend = _numbers(material.scores["blend"]["folds"], folds)
    names = material.ranking
    values = [
        material.oof.value[material.blend],
        *(material.oof.value[Who("member", name)] for name in names),
    ]
    if len(values) == 2 and np.array_equal(values[0], values[1]):
        return []
    first, *others = series_scores(material.scorer, material.oof.asked, *values)
    return [
        (
            name,
            paired(blend, _numbers(material.scores["members"][name]["folds"], folds), greater),
            paired(first, other, greater),
        )
        for name, other in zip(names, others, strict=True)
    ]


def _numbers(scores: dict[str, float | None], folds: Sequence[str]) -> np.ndarray:
    return np.array([np.nan if scores.get(name) is None else scores[name] for name in folds], dtype=float)


def _verdict(material: Material, compared: list[Compared], decimals: int) -> str:
    """Blend against its best member, in a few sentences."""
    name, folds, series = compared[0]
    of, best = unit(material), escape(name)
    blend = f"the blend ({escape(str(material.scores['chosen']))})"
    results = [result for result in (folds, series) if result is not None]
    if all(abs(result.mean) < 0.5 * 10.0**-decimals for result in results):
        sentences = [
            f"{blend.capitalize()} is as good as its best member, {best}: the difference rounds to 0."
        ]
    else:
        sentences = [_over_folds(folds, blend, best, decimals)]
        if series is not None:
            side = "ahead of" if series.mean > 0 else "behind"
            clear = "more than chance explains" if series.clear else "no more than chance explains"
            sentences.append(
                f"{of.capitalize()} by {of}, it is better in {series.share * 100:.0f} % of {series.count:,}"
                f" and on average {side} {best}, which is {clear}."
            )
    beaten = [other for other, _, result in compared[1:] if result and result.clear and result.mean > 0]
    if beaten:
        sentences.append(f"It is clearly better than {escape(listed(beaten))}.")
    return " ".join(sentences)


def _over_folds(result: Paired | None, blend: str, best: str, decimals: int) -> str:
    if result is None:
        return (
            "There is a single fold, so the spread between folds is unknown, and the scores alone cannot tell"
            f" {blend} from its best member, {best}."
        )
    size = number(abs(result.mean), decimals)
    side = "better" if result.mean > 0 else "worse"
    words = (
        f"Paired over {result.count} folds, {blend} is {size} {side} than its best member {best} on average,"
        f" and better in {result.better} of {result.count}"
    )
    if result.count < LEAST_FOLDS:
        return f"{words}; so few folds are not enough for an interval."
    interval = f"{number(result.low, decimals)} to {number(result.high, decimals)}"
    clear = "the spread over folds does not explain it" if result.clear else "that may be chance"
    return f"{words} (95 % interval of the gain {interval}: {clear})."


def _compared(material: Material, compared: list[Compared], decimals: int) -> str:
    of = unit(material)
    many = "groups" if of == "group" else of
    columns = [
        Column("Blend against", number=False),
        Column("Gain over folds", hint="mean difference of the fold scores; positive: the blend is better"),
        Column("95 % interval", hint="t interval of the mean difference"),
        Column("Folds won"),
        Column(f"Gain by {of}", hint=f"mean difference of the scores of single {many}"),
        Column("95 % interval"),
        Column(f"{many.capitalize()} won"),
    ]
    rows = []
    for member, folds, series in compared:
        row = [swatch(material.colour(Who("member", member))) + named(member)]
        for result, won in (
            (folds, f"{folds.better} of {folds.count}" if folds else ""),
            (series, f"{series.share * 100:.0f} %" if series else ""),
        ):
            if result is None:
                row += [number(None, 0)] * 3
            else:
                interval = f"{number(result.low, decimals)} … {number(result.high, decimals)}"
                enough = result.count >= LEAST_FOLDS
                row += [number(result.mean, decimals), interval if enough else number(None, 0), won]
        rows.append(row)
    sampled = next((series.count for *_, series in compared if series), 0)
    note = f'<p class="note">By {of}: {plural(sampled, of, many)} with a score, out of fold.</p>'
    return table(columns, rows) + (note if sampled else "")


def unit(material: Material) -> str:
    """What the rows that belong together are called."""
    return "group" if material.prepared.competition.task == "sequence" else "series"
