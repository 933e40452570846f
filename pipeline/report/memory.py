"""How far back members use the competition's data, beside their scores: figures of page and summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.member_memory import FILE
from pipeline.report.curves import better_law, median_timescale
from pipeline.report.fits import Fit
from pipeline.report.material import Material
from pipeline.report.rank_correlation import LEVEL, RankCorrelation, rank_correlation
from pipeline.report.text import MINUS, listed, plural

NO_NETWORK = "no network of the workbench: it reads no windows that gradients could go back through"
SWITCHED_OFF = "fit.memory=false"
NOT_FITTED = "the fit that would be measured is not there"


@dataclass(frozen=True)
class MemberMemory:
    """One network. Lags are rows back from an asked row."""

    name: str
    cv: float | None
    local: float | None
    parameters: int | None
    seconds: float  # of all its fits
    fit: Fit  # that was measured
    t50: dict[str, dict[str, Any]]  # probe: {length, tried, suite, row}

    @property
    def content(self) -> dict[str, Any]:
        """memory.json."""
        assert self.fit.memory is not None
        return self.fit.memory

    @property
    def error(self) -> str | None:
        """Why nothing could be measured."""
        return self.content.get("error")

    @property
    def gradient(self) -> np.ndarray:
        """(lags,) mean norm of the gradient by lag, lag 0 first; NaN at lags that no window has."""
        return np.array(self.content["gradient"]["total"], dtype=float)

    @property
    def reach95(self) -> int | None:
        """Lags 0 to this hold 95 % of the gradient."""
        return None if self.error else self.content["reach95"]

    @property
    def score(self) -> float | None:
        """Cross-validated where there are folds."""
        return self.cv if self.cv is not None else self.local

    @property
    def law(self) -> dict[str, Any] | None:
        """The better law of decay: law, scale, rate, floor, and `weight`, its Akaike weight."""
        return None if self.error else better_law(self.content["fit"])

    @property
    def capacity(self) -> tuple[float, int] | None:
        """Jaeger's memory capacity and its upper bound, the units; None: not measured."""
        content = None if self.error else self.content.get("capacity")
        if content is None or content["capacity"] is None:
            return None
        return content["capacity"], content["units"]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; curves stay in the file that `file` names."""
        figures: dict[str, Any] = {
            "cv": self.cv,
            "local": self.local,
            "parameters": self.parameters,
            "seconds": round(self.seconds, 3),
            "t50": self.t50,
            "file": f"{self.fit.path}/{FILE}",
        }
        if self.error:
            return {**figures, "error": self.error}
        field = self.content["receptive_field"]
        return {
            **figures,
            "windows": self.content["windows"],
            "reach95": self.reach95,
            "lags": len(self.gradient) - 1,
            "future": self.content["gradient"]["future"],
            "decay": self.law,
            "receptive_field": None if field is None else field["rows"],
            "capacity": None if self.capacity is None else self.capacity[0],
            "timescale": {layer["layer"]: median_timescale(layer) for layer in self.content["retention"]},
        }


def memories(material: Material) -> list[MemberMemory]:
    """Of the members that were measured, best score first; with those whose measure failed."""
    found = []
    for name in material.ranking:
        fits = material.members[name]
        fit = next((fit for fit in fits if fit.memory is not None), None)
        if fit is not None:
            entry = material.scores["members"][name]
            parameters = [one.parameters for one in fits if one.parameters is not None]
            found.append(
                MemberMemory(
                    name,
                    entry["cv"],
                    entry.get("local"),
                    max(parameters) if parameters else None,
                    sum(one.seconds for one in fits),
                    fit,
                    material.t50.get(name, {}),
                )
            )
    return found


def not_applicable(material: Material) -> dict[str, str]:
    """Why the other members were not measured."""
    reasons = {}
    for name in material.ranking:
        fits = material.members[name]
        if all(fit.memory is None for fit in fits):
            asked = [fit.settings["memory"] for fit in fits if "memory" in fit.settings]
            reasons[name] = NO_NETWORK if not asked else NOT_FITTED if any(asked) else SWITCHED_OFF
    return reasons


def correlations(material: Material, found: list[MemberMemory]) -> dict[str, RankCorrelation | None]:
    """Of memory and score, by what memory is measured by; positive: who remembers more scores better.

    Members that have T50 from one network of a suite are one pair, with the mean of their scores: they are no
    evidence independent of each other. None: fewer than three pairs, or all have the same.
    """
    sign = 1.0 if material.scorer.metric.greater_is_better else -1.0
    by_measure: dict[str, dict[Any, tuple[int, list[float]]]] = {"reach95": {}}
    for probe in sorted({probe for one in found for probe in one.t50}):
        by_measure[f"T50 {probe}"] = {}
    for one in found:
        if one.score is None:
            continue
        if one.reach95 is not None:
            by_measure["reach95"][one.name] = (one.reach95, [one.score])
        for probe, entry in one.t50.items():
            network = (entry["suite"], entry["row"])
            _, scores = by_measure[f"T50 {probe}"].setdefault(network, (entry["length"], []))
            scores.append(one.score)
    result = {}
    for name, measured in by_measure.items():
        pairs = [(memory, np.mean(scores)) for memory, scores in measured.values()]
        values = np.array(pairs, dtype=float).reshape(-1, 2)
        result[name] = rank_correlation(values[:, 0], sign * values[:, 1])
    return result


def corrected(related: Mapping[str, RankCorrelation | None]) -> dict[str, float]:
    """`chance` of the comparisons that there are, corrected for their number after Holm (1979).

    In at most 5 % of cases does any comparison that is chance alone get 5 % or less.
    """
    known = {name: one.chance for name, one in related.items() if one is not None}
    found: dict[str, float] = {}
    largest = 0.0
    for place, (name, chance) in enumerate(sorted(known.items(), key=lambda entry: entry[1])):
        largest = max(largest, min(1.0, (len(known) - place) * chance))
        found[name] = largest
    return found


def conclusion(found: list[MemberMemory], related: dict[str, RankCorrelation | None]) -> str:
    """What the scores beside the memories show, and what they do not: plain words."""
    measured = sum(one.reach95 is not None and one.score is not None for one in found)
    known = {name: one for name, one in related.items() if one is not None}
    enough = {name: one for name, one in known.items() if one.enough}
    share = corrected(related)
    clear = {name: one for name, one in enough.items() if share[name] <= 1 - LEVEL}
    if not known:
        shown = f"With {plural(measured, 'member')} there is no order that could be compared"
    elif not enough:
        name, most = max(known.items(), key=lambda entry: entry[1].pairs)
        shown = (
            f"With {pairs_words(name, most)} nothing can be concluded: had memory put them in the very order"
            f" of their scores, chance alone would do so in {most.least_chance * 100:.0f} % of cases"
        )
    elif not clear:
        name, one = min(enough.items(), key=lambda entry: entry[1].chance)
        of = f" of {len(known)}" if len(known) > 1 else ""
        shown = (
            f"No relation of memory and score can be told from chance: the strongest{of} ({words_for(name)},"
            f" {signed(one.rho)} over {pairs_words(name, one)}) comes by chance in"
            f" {share[name] * 100:.0f} % of cases"
        )
    else:
        said = [
            f"{words_for(name)} ({signed(one.rho)} over {pairs_words(name, one)}, by chance in"
            f" {max(share[name] * 100, 0.1):.1f} % of cases)"
            for name, one in clear.items()
        ]
        ways = {one.rho > 0 for one in clear.values()}
        way = "better" if ways == {True} else "worse" if ways == {False} else "differently"
        shown = f"Members that remember more score {way} here, by {listed(said)}"
        if len(known) > 1:
            shown += f", of {len(known)} comparisons, for which these shares are corrected"
    return (
        f"{shown}; it does not show that memory is the cause, since the members differ in much else, and old"
        " rows that have an influence need not help."
    )


def signed(rho: float) -> str:
    """+0.83."""
    return f"{rho:+.2f}".replace("-", MINUS)


def words_for(measure: str) -> str:
    """Of a key of `correlations`."""
    return "the reach of the gradient" if measure == "reach95" else measure


def pairs_words(measure: str, one: RankCorrelation) -> str:
    """What a correlation is over: '5 members', or '3 probed networks', which members may share."""
    return f"{one.pairs} members" if measure == "reach95" else f"{one.pairs} probed networks"


def memory_json(material: Material) -> dict[str, Any]:
    """For summary.json."""
    found = memories(material)
    related = correlations(material, found)
    share = corrected(related)
    return {
        "members": {one.name: one.to_json() for one in found},
        "not_applicable": not_applicable(material),
        "correlation": {
            name: None if one is None else {**asdict(one), "corrected": share[name]}
            for name, one in related.items()
        },
        "conclusion": conclusion(found, related) if found else None,
    }
