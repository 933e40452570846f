"""Memory in the report: figures of memory.json and of suites of probes, and what may be concluded."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline.member_memory import FILE
from pipeline.probing.summaries import suite_of_members, t50_of_members
from pipeline.report.curves import law_words
from pipeline.report.material import Material
from pipeline.report.memory import (
    MemberMemory,
    conclusion,
    corrected,
    correlations,
    memories,
    memory_json,
)
from pipeline.report.page import page
from pipeline.report.rank_correlation import RankCorrelation, rank_correlation
from pipeline.report.read_material import read_material
from pipeline.report.scatter import Point, scatter
from pipeline.stage import Job, JobContext
from pipeline.stages.blend import Blend
from pipeline.stages.report import Report
from pipeline.stages.submit import Submit
from pipeline.stages.train import Train
from pipeline.store import ArtifactStore
from tests.pipeline.test_report import Page, Run

LONG = {"lstm": {"adding": 400}, "net_<1>": {"adding": 200}, "net_<2>": {"adding": 100}}


def content(reach: int, lags: int = 20, **changes: Any) -> dict[str, Any]:
    """A memory.json."""
    law = {"scale": 1.0, "floor": 0.0, "aic": 0.0, "deviation": 0.1}
    layer = {
        "layer": "mixers.0 layer 0",
        "stride": 1,
        "mean_forget": [0.5, 0.9, 1.0],
        "timescale": [1.4, 9.5, None],
        "lag": [0, 1, 5, 20],
        "kept": {name: [1.0, 0.8, 0.3, 0.0] for name in ("0.1", "0.5", "0.9")},
        "mean_kept": [1.0, 0.8, 0.3, 0.0],
        "windows": [9, 9, 9, 9],
    }
    total = [0.5**lag for lag in range(lags)] + [0.0, None]
    return {
        "windows": 9,
        "gradient": {"total": total, "real": total, "category": total, "pairs": [9] * lags, "future": 0.25},
        "fit": {
            "exponential": {"law": "exponential", "rate": 12.5, **law},
            "power": {"law": "power", "rate": 0.8, **law},
            "better": "exponential",
            "weight": 0.93,
        },
        "reach95": reach,
        "perturbation": {"lag": [0, 1, 10], "change": [1.0, 0.5, None], "pairs": [9, 9, 0]},
        "receptive_field": None,
        "beyond": None,
        "retention": [layer],
        "capacity": None,
        **changes,
    }


def commit_suite(
    artifacts: Path, suite: str, t50: dict[str, dict[str, int]], tried: list[int], kind: str | None = "lstm"
) -> None:
    """A suite beside the competition's artefacts; kind: of its rows, None for their names."""
    store = ArtifactStore(artifacts / "probe")
    cells = [
        {"member": member, "probe": probe, "length": length}
        for member, probes in t50.items()
        for probe in probes
        for length in tried
    ]
    job = Job("probe", suite, {"suite": suite, "t50": t50})
    key = store.key(job)
    folder = store.working_folder(suite, key)
    summary = {"members": {row: kind or row for row in t50}, "cells": cells, "t50": t50}
    (folder / "summary.json").write_text(json.dumps(summary))
    from pipeline.manifest import Costs

    store.commit(job, key, {}, Costs("2020-01-01", "2020-01-01", 1.0, 1.0))


def reported(run: Run) -> tuple[Material, Page]:
    [job] = Report().jobs(run.config, run.store)
    inputs = {path: run.store.root / path for path in job.inputs}
    material = read_material(job, JobContext(run.folder, inputs, run.store.root, lambda share, text: None))
    return material, Page.of(page(material))


def networks(folder: Path, count: int, **changes: Any) -> Run:
    """A run of `count` networks, whose scores grow worse, and of trees."""
    names = {"trees": "lightgbm", **{f"net_<{number}>": "lstm" for number in range(count)}}
    run = Run(folder, "horizon", names, **changes)
    run.config.size = "quick"
    from tests.pipeline import test_report

    noise = {f"net_<{number}>": 4.0 * 1.5**number for number in range(count)}
    before = dict(test_report.NOISE)
    test_report.NOISE.update(noise)
    try:
        run.prepare()
        from pipeline.stages.baseline import Baseline

        run.fit(Baseline())
        run.fit(Train())
    finally:
        test_report.NOISE.clear()
        test_report.NOISE.update(before)
    run.do(Blend())
    run.do(Submit())
    return run


def write_memory(run: Run, memory: dict[str, dict[str, Any]]) -> None:
    for name, what in memory.items():
        folder = run.store.root / f"train/quick/{name}/seed0/fold0"
        (folder / FILE).write_text(json.dumps(what))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = networks(tmp_path_factory.mktemp("run"), 3)
    artifacts = run.store.root.parent
    commit_suite(artifacts, "short", {"lstm": {"adding": 25, "copy": 0}, "plstm": {"adding": 50}}, [25, 50])
    commit_suite(artifacts, "long", LONG, [100, 200, 400])
    commit_suite(artifacts, "own", {"net_<1>": {"adding": 500}}, [50, 500])
    commit_suite(artifacts, "article", {"lstm": {"adding": 900}, "net_<1>": {"adding": 900}}, [900], "stack")
    write_memory(
        run,
        {
            "net_<0>": content(3, capacity={"by_lag": [1.0, 0.9], "capacity": 6.25, "units": 16}),
            "net_<1>": content(
                17,
                receptive_field={"past": 12, "future": 0, "rows": 13},
                retention=[],
                perturbation={"lag": [0, 1], "change": [0.5, None], "pairs": [9, 9], "classes": True},
            ),
            "net_<2>": {"error": "RuntimeError: no <gradient>", "traceback": []},
        },
    )
    return run


def test_t50_of_the_name_stands_above_that_of_the_kind_in_one_suite_for_all(run: Run) -> None:
    found = t50_of_members(run.store.root.parent, {"net_<0>": "lstm", "net_<1>": "lstm", "trees": "lightgbm"})
    assert found == {
        "net_<0>": {
            "adding": {"length": 400, "tried": [100, 200, 400], "suite": "long", "row": "lstm"},
            "copy": {"length": 0, "tried": [25, 50], "suite": "short", "row": "lstm"},
        },
        "net_<1>": {
            "adding": {"length": 200, "tried": [100, 200, 400], "suite": "long", "row": "net_<1>"},
            "copy": {"length": 0, "tried": [25, 50], "suite": "short", "row": "lstm"},
        },
    }
    assert t50_of_members(run.store.root.parent / "nowhere", {"a": "lstm"}) == {}


def test_the_suite_with_most_members_stands_above_longer_ones(tmp_path: Path) -> None:
    """Members are compared by what was tried alike, and a failure at 200 does not hide that 100 is solved."""
    commit_suite(
        tmp_path, "default", {"lstm": {"adding": 100}, "tcn": {"adding": 50}}, [25, 50, 100], kind=None
    )
    commit_suite(tmp_path, "long", {"lstm": {"adding": 0, "copy": 200}}, [200, 400], kind=None)
    found = t50_of_members(tmp_path, {"lstm": "lstm", "mine": "lstm", "tcn": "tcn"})
    assert {name: (one["adding"]["suite"], one["adding"]["length"]) for name, one in found.items()} == {
        "lstm": ("default", 100), "mine": ("default", 100), "tcn": ("default", 50)
    }  # fmt: skip
    assert found["mine"]["copy"]["suite"] == "long", "each probe has a suite of its own"
    commit_suite(tmp_path, "a_twin", {"lstm": {"adding": 25}, "tcn": {"adding": 25}}, [100], kind=None)
    assert t50_of_members(tmp_path, {"tcn": "tcn"})["tcn"]["adding"]["suite"] == "a_twin", "then by name"
    commit_suite(tmp_path, "longer", {"lstm": {"adding": 0}, "tcn": {"adding": 200}}, [200], kind=None)
    both = t50_of_members(tmp_path, {"lstm": "lstm", "tcn": "tcn"})
    assert {one["adding"]["suite"] for one in both.values()} == {"longer"}
    commit_suite(tmp_path, "members_of_it", {"lstm": {"adding": 25}, "tcn": {"adding": 25}}, [25], kind=None)
    both = t50_of_members(tmp_path, {"lstm": "lstm", "tcn": "tcn"}, suite_of_members("it"))
    assert {one["adding"]["suite"] for one in both.values()} == {"members_of_it"}, "the competition's own"


def test_a_row_of_another_kind_says_nothing_of_a_member(tmp_path: Path) -> None:
    commit_suite(tmp_path, "article", {"lstm": {"adding": 68}, "net": {"adding": 68}}, [68], "stack")
    assert t50_of_members(tmp_path, {"lstm": "lstm", "mine": "lstm"}) == {}
    assert set(t50_of_members(tmp_path, {"lstm": "lstm", "net": "stack"})) == {"net"}


def test_the_report_is_made_again_when_a_suite_says_something_else(run: Run) -> None:
    [before] = Report().jobs(run.config, run.store)
    artifacts = run.store.root.parent
    commit_suite(artifacts, "other", {"bilstm": {"adding": 900}}, [900])
    [same] = Report().jobs(run.config, run.store)
    assert run.store.key(before) == run.store.key(same), "no member has a row there"
    commit_suite(artifacts, "long", {**LONG, "net_<1>": {"adding": 100}}, [100, 200, 400])
    [after] = Report().jobs(run.config, run.store)
    commit_suite(artifacts, "long", LONG, [100, 200, 400])
    assert run.store.key(before) != run.store.key(after)


def test_members_that_no_probe_asks_are_not_sent_there(run: Run) -> None:
    material, _ = reported(run)
    fits = {name: [replace(fit, kind="nlinear") for fit in of] for name, of in material.members.items()}
    text = Page.of(page(replace(material, members=fits))).text
    assert "They are made for a history and a horizon: no probe asks them." in text
    assert "probe=members" not in text


def test_the_page_shows_it(run: Run) -> None:
    _, found = reported(run)
    assert "memory" in found.anchors
    for words in (
        "net_<0>",
        "3 of 21",
        "+25 % ahead",
        "exponential, 12.5 rows",
        "the window",
        "T50 adding",
        "\N{GREATER-THAN OR EQUAL TO} 400",
        "< 25",
        "adding in suite long (net_<0> as lstm and net_<1>)",
        "copy in suite short (net_<0> as lstm and net_<1> as lstm)",
        "6.2 of 16",
        "may itself hold older rows",
        "in standard deviations of the forecast or share of windows whose class changes",
        "The memory of net_<2> could not be measured: RuntimeError: no <gradient>.",
        "Not applicable: trees (no network",
        "layer 0: 9.5 rows",
        "With 3 probed networks nothing can be concluded",
        "stage=probe probe=members competition=toy_horizon size=quick probes these very members",
    ):
        assert words in found.text, words
    section = found.source[found.source.index('<section id="memory">') :]
    section = section[: section.index("</section>")]
    assert "<script" not in section
    assert "<0>" not in section, "names are escaped"


def test_the_summary_has_the_same_figures(run: Run) -> None:
    material, _ = reported(run)
    memory = json.loads(json.dumps(memory_json(material), allow_nan=False))
    assert set(memory["members"]) == {"net_<0>", "net_<1>", "net_<2>"}
    first = memory["members"]["net_<0>"]
    assert (first["reach95"], first["lags"], first["future"]) == (3, 21, 0.25)
    assert first["decay"] == {
        "law": "exponential", "scale": 1.0, "rate": 12.5, "floor": 0.0, "weight": 0.93
    }  # fmt: skip
    assert first["cv"] == material.scores["members"]["net_<0>"]["cv"]
    assert first["parameters"] == 4321
    assert first["timescale"] == {"mixers.0 layer 0": 9.5}
    assert (first["capacity"], memory["members"]["net_<1>"]["capacity"]) == (6.25, None)
    assert first["t50"]["adding"]["length"] == 400
    assert (run.store.root / first["file"]).exists()
    assert memory["members"]["net_<1>"]["receptive_field"] == 13
    assert memory["members"]["net_<2>"]["error"] == "RuntimeError: no <gradient>"
    assert set(memory["not_applicable"]) == {"trees"}
    assert set(memory["correlation"]) == {"reach95", "T50 adding", "T50 copy"}


def test_why_a_network_was_not_measured(run: Run) -> None:
    material, _ = reported(run)
    fits = [replace(fit, memory=None) for fit in material.members["net_<1>"]]
    assert memory_json(replace(material, members={**material.members, "net_<1>": fits}))["not_applicable"][
        "net_<1>"
    ].startswith("the fit that would be")
    off = [replace(fit, memory=None, settings={**fit.settings, "memory": False}) for fit in fits]
    reasons = memory_json(replace(material, members={**material.members, "net_<1>": off}))["not_applicable"]
    assert reasons["net_<1>"] == "fit.memory=false"


def test_no_section_where_no_network_ran(tmp_path: Path) -> None:
    run = Run(tmp_path, "horizon", {"trees": "lightgbm"})
    run.all()
    assert "memory" not in run.page().anchors
    assert run.summary()["memory"]["members"] == {}
    assert set(run.summary()["memory"]["not_applicable"]) == {"trees"}


def test_rank_correlation_against_every_order() -> None:
    first, second = np.array([5.0, 1.0, 3.0, 3.0, 9.0]), np.array([2.0, 1.0, 2.5, 4.0, 3.0])
    found = rank_correlation(first, second)
    assert found is not None
    assert found.rho == pytest.approx(spearmanr(first, second).statistic)
    orders = [spearmanr(order, second).statistic for order in itertools.permutations(first)]
    assert found.chance == pytest.approx(np.mean(np.abs(orders) >= abs(found.rho) - 1e-9))
    assert found.least_chance == pytest.approx(np.mean(np.abs(orders) >= max(orders) - 1e-9))
    assert np.mean(np.abs(orders) <= found.by_chance + 1e-9) >= 0.95
    assert found.interval is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 2]),
        ([1, 1, 2, 2, 2, 3], [1, 2, 2, 3, 3, 3]),
        ([1, 1, 1, 2, 2, 2], [5, 4, 4, 4, 4, 3]),
        ([1, 1, 1, 1, 2, 3], [1, 1, 2, 2, 2, 2]),
    ],
)
def test_ties_make_the_largest_correlation_a_common_one(first: list[int], second: list[int]) -> None:
    found = rank_correlation(np.array(first), np.array(second))
    assert found is not None
    orders = np.abs([spearmanr(order, second).statistic for order in itertools.permutations(first)])
    assert found.least_chance == pytest.approx(np.mean(orders >= max(orders) - 1e-9))


def test_many_members_with_one_t50_but_for_one_show_nothing() -> None:
    """Of nine, one has another memory: it is the best of them in one of nine orders, the worst in another."""
    found = rank_correlation(np.arange(9.0), np.array([100.0] * 8 + [25.0]))
    assert found is not None
    assert found.least_chance == pytest.approx(2 / 9)
    assert not found.enough
    found = rank_correlation(np.arange(9.0), np.arange(9.0))
    assert found is not None
    assert found.least_chance == pytest.approx(2 / math.factorial(9))
    assert found.enough


def test_three_or_four_members_can_show_nothing() -> None:
    for count, least in ((3, 2 / 6), (4, 2 / 24)):
        found = rank_correlation(np.arange(count), np.arange(count))
        assert found is not None
        assert found.rho == pytest.approx(1.0)
        assert found.chance == pytest.approx(least)
        assert not found.enough
        assert not found.clear
    five = rank_correlation(np.arange(5), -np.arange(5.0))
    assert five is not None
    assert five.enough
    assert five.clear
    assert rank_correlation(np.arange(2), np.arange(2)) is None
    assert rank_correlation(np.ones(6), np.arange(6)) is None


def test_many_pairs_are_sampled_and_have_an_interval() -> None:
    generator = np.random.default_rng(1)
    first = generator.normal(size=40)
    found = rank_correlation(first, first + generator.normal(size=40))
    assert found is not None
    assert found.chance == pytest.approx(1 / 20_000, rel=2)
    assert found.interval is not None
    assert found.interval[0] < found.rho < found.interval[1]
    assert 0.25 < found.by_chance < 0.4  # about 1.96 / sqrt(39)
    again = rank_correlation(first, generator.normal(size=40))
    assert again is not None
    assert not again.clear


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> tuple[Material, Page]:
    """The further the gradient reaches, the lower the error."""
    run = networks(tmp_path_factory.mktemp("five"), 5)
    memory = {f"net_<{number}>": content(18 - 3 * number) for number in range(5)}
    for one in memory.values():
        del one["capacity"]  # as written before it was measured
    write_memory(run, memory)
    return reported(run)


def test_what_is_concluded(five: tuple[Material, Page]) -> None:
    """Five members make it clear that what reaches further errs less, three do not."""
    material, found = five
    clear = memories(material)
    related = correlations(material, clear)
    assert related["reach95"] is not None
    assert related["reach95"].rho == pytest.approx(1.0), "lower is better, so the sign is turned"
    words = conclusion(clear, related)
    assert words.startswith(
        "Members that remember more score better here, by the reach of the gradient (+1.00"
    )
    assert "by chance in 1.7 % of cases" in words
    assert "does not show that memory is the cause" in words
    assert words in found.text
    assert ("Capacity" in found.text, "Receptive field" in found.text) == (False, True)
    three = conclusion(clear[:3], correlations(material, clear[:3]))
    assert three.startswith("With 3 members nothing can be concluded")
    assert "33 % of cases" in three
    scattered = [replace(one, cv=score) for one, score in zip(clear, (3.0, 1.0, 4.0, 2.0, 3.5), strict=True)]
    chance = conclusion(scattered, correlations(material, scattered))
    assert chance.startswith("No relation of memory and score can be told from chance")
    turned = [replace(one, cv=-(one.cv or 0)) for one in clear]
    assert conclusion(turned, correlations(material, turned)).startswith(
        "Members that remember more score worse"
    )


def with_t50(found: list[MemberMemory], lengths: list[int], rows: list[str]) -> list[MemberMemory]:
    """Members, best first, with the T50 of a row of a suite on one probe."""
    return [
        replace(one, t50={"adding": {"length": length, "tried": [900], "suite": "default", "row": row}})
        for one, length, row in zip(found, lengths, rows, strict=True)
    ]


def test_members_that_share_a_network_of_a_suite_are_one_pair(five: tuple[Material, Page]) -> None:
    """Five members of three kinds are three networks, which can show nothing; their scores are averaged."""
    material, _ = five
    shared = with_t50(memories(material), [9, 3, 9, 6, 9], ["lstm", "gru", "lstm", "rnn", "lstm"])
    scores = (1.0, 7.0, 2.0, 8.0, 30.0)  # means: lstm 11, gru 7, rnn 8
    shared = [replace(one, cv=score) for one, score in zip(shared, scores, strict=True)]
    found = correlations(material, shared)["T50 adding"]
    assert found is not None
    assert (found.pairs, found.rho) == (3, pytest.approx(-1.0))
    alone = correlations(material, with_t50(shared, [9, 3, 9, 6, 9], list("abcde")))["T50 adding"]
    assert alone is not None
    assert alone.pairs == 5
    silent = [replace(one, fit=replace(one.fit, memory={"error": "it failed"})) for one in shared]
    words = conclusion(silent, correlations(material, silent))
    assert words.startswith("With 3 probed networks nothing can be concluded")


def test_several_comparisons_are_corrected_for(five: tuple[Material, Page]) -> None:
    """The larger the T50, the worse the score; the reach of the gradient shows nothing."""
    material, _ = five
    found = with_t50(memories(material), [1, 2, 3, 4, 5], list("abcde"))
    two = correlations(material, found)
    both = conclusion(found, two)
    assert corrected(two) == {name: pytest.approx(2 / 60) for name in two}
    assert both.startswith("Members that remember more score differently here")
    assert "T50 adding (\N{MINUS SIGN}1.00 over 5 probed networks, by chance in 3.3 % of cases)" in both
    assert "of 2 comparisons" in both
    # 1 in 60 for each of four is nothing that chance would not do
    four = {**two, "T50 copy": two["reach95"], "T50 order": two["reach95"]}
    assert conclusion(found, four).startswith("No relation of memory and score can be told from chance")
    assert "the strongest of 4 (" in conclusion(found, four)
    assert "comes by chance in 7 % of cases" in conclusion(found, four)
    # those that do not exist are none
    assert conclusion(found, {**two, "T50 copy": None, "T50 order": None}) == both


def test_corrected_for_their_number() -> None:
    """The smallest times n, the next times n - 1, never below the one before, and no more than 1."""
    chances = {"a": 0.03, "b": 0.01, "c": 0.04, "d": 0.9}
    related: dict[str, RankCorrelation | None] = {
        name: RankCorrelation(9, 0.5, chance, 0.001, 0.6, None) for name, chance in chances.items()
    }
    expected = {"b": 0.04, "a": 0.09, "c": 0.09, "d": 0.9}
    assert corrected({**related, "none": None}) == pytest.approx(expected)


def test_words_for_laws() -> None:
    law = {"scale": 1.0, "floor": 0.0, "weight": 0.5}
    assert law_words(None) == "\N{EN DASH}"
    assert law_words({**law, "law": "exponential", "rate": None}).startswith("level")
    assert law_words({**law, "law": "power", "rate": 0.0}).startswith("level")
    assert law_words({**law, "law": "power", "rate": 0.75, "floor": 0.1}).startswith(
        "power law, 0.75 and a floor"
    )


def test_names_of_points_do_not_lie_over_each_other() -> None:
    points = [Point(1.0, 2.0, "m0", f"member_{number}") for number in range(6)]
    drawing = scatter(points, "all at one place", "x")
    names = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>member_', drawing)
    assert len(names) == len(set(names)) == 6
