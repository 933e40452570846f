"""The report as a browser shows it: nothing missing, cut off or fetched, by day and night, on a phone too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stages.report import Report
from tests.pipeline.browser import NAMES, Tab, browser, opened
from tests.pipeline.made_up_studies import made_up_study
from tests.pipeline.test_report import TASKS, QuickRun

PHONE, DESK = 390, 1200

#: Drawings that take no room, or whose text leaves the box: what they show is not to be seen.
NOT_DRAWN = """
[...document.querySelectorAll('svg, img, canvas')]
  .filter(one => !one.closest('details:not([open])'))
  .filter(one => { const box = one.getBoundingClientRect(); return box.width < 1 || box.height < 1; })
  .map(one => one.outerHTML.slice(0, 200))
"""
TEXT_OUTSIDE = """
[...document.querySelectorAll('svg text')]
  .filter(one => {
    const box = one.getBoundingClientRect(), around = one.ownerSVGElement.getBoundingClientRect();
    return box.left < around.left - 2 || box.right > around.right + 2
      || box.top < around.top - 2 || box.bottom > around.bottom + 2;
  })
  .map(one => one.ownerSVGElement.getAttribute('aria-label') + ': ' + one.textContent)
"""
#: What is wider than the page, other than what scrolls in a box of its own.
TOO_WIDE = """
[...document.querySelectorAll('body *')]
  .filter(one => !one.closest('.scroll, pre, details, svg'))
  .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(one => one.outerHTML.slice(0, 200))
"""
#: Elements with text of their own whose colour is that of what they stand on.
UNREADABLE = """
[...document.querySelectorAll('body *')]
  .filter(one => !one.closest('svg') && [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
  .filter(one => getComputedStyle(one).color === getComputedStyle(document.body).backgroundColor)
  .map(one => one.outerHTML.slice(0, 200))
"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    program = browser()
    if program is None:
        pytest.skip(f"no browser is installed: none of {', '.join(NAMES)} is on the PATH")
    with opened(program) as tab:
        yield tab


@pytest.fixture(scope="module", params=TASKS)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report, with a study of each kind."""
    run = QuickRun(tmp_path_factory.mktemp(f"browser-{request.param}"), request.param).all()
    made_up_study(run.config, run.store.root, ["trees", "naive"], trials=14)
    two = ("score", "parameters") if request.param == "horizon" else ("score",)
    made_up_study(run.config, run.store.root, ["net_<one>"], objectives=two)
    run.do(Report())
    return run.folder / "index.html"


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("dark", [False, True])
def test_all_is_drawn_and_nothing_is_fetched(tab: Tab, page: Path, width: int, dark: bool) -> None:
    tab.show(page, width, dark)
    assert tab.messages == []
    assert tab.requests == [page.resolve().as_uri()]
    assert tab.value("document.querySelectorAll('svg').length") > 40
    assert tab.value(NOT_DRAWN) == []
    assert tab.value("document.documentElement.scrollWidth") <= width
    assert tab.value(TOO_WIDE) == []
    assert tab.value(TEXT_OUTSIDE) == []
    assert tab.value(UNREADABLE) == []
    ground = tab.value("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(","))
    assert (brightness < 150) if dark else (brightness > 700)


def test_a_fault_would_be_seen(tab: Tab, page: Path, tmp_path: Path) -> None:
    """The checks above, on a copy of the page that is spoilt."""
    spoilt = tmp_path / "spoilt.html"
    fault = (
        '<svg style="width:0;height:0"></svg><p style="width:900px">wide</p>'
        '<svg viewBox="0 0 10 10" width="40"><text x="30" y="5">outside</text></svg>'
        '<p style="color:var(--page)">hidden</p>'
        '<img src="nowhere.png"><script>console.error("a fault"); missing()</script>'
    )
    spoilt.write_text(page.read_text().replace("</main>", f"{fault}</main>"))
    tab.show(spoilt, PHONE)
    said = " ".join(tab.messages)
    assert "a fault" in said
    assert "exception" in said
    assert any(address.endswith("nowhere.png") for address in tab.requests)
    assert len(tab.value(NOT_DRAWN)) >= 1
    assert any("wide" in one for one in tab.value(TOO_WIDE))
    assert any("outside" in one for one in tab.value(TEXT_OUTSIDE))
    assert any("hidden" in one for one in tab.value(UNREADABLE))


def test_links_of_the_contents_lead_somewhere(tab: Tab, page: Path) -> None:
    tab.show(page, PHONE)
    links = tab.value("[...document.querySelectorAll('nav a')].map(one => one.getAttribute('href'))")
    assert len(links) > 12
    for link in links:
        assert tab.value(f"document.querySelector('{link}').getBoundingClientRect().height") > 0
    order = tab.value("[...document.querySelectorAll('main > section')].map(one => '#' + one.id)")
    assert order == links
    assert order[:2] == ["#next", "#leaderboard"]
