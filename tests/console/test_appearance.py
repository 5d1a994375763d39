"""How the pages look, at three widths, in light and dark: nothing is cut off, broken or out of the reach of anybody.

`pytest tests/console/test_appearance.py --pictures` draws the pictures of the documents anew.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.console.gallery import TOKEN, Gallery
from tests.harness.process import ROOT, BatonProcess, eventually
from tests.harness.wire import Client

SIZES: Final = {1440: 900, 1024: 768, 390: 844}
THEMES: Final = ("light", "dark")
AXE: Final = (ROOT / "tests/vendor/axe-core/axe.min.js").read_text()
SETTINGS: Final = {"ANTHROPIC_API_KEY": "offline", "BATON_AUTH_TOKENS": f"anna:{TOKEN}"}
HIGHEST_ROW: Final = 110
HIGHEST_CARD: Final = 400

# Boxes past the window's edge, unless a box around them scrolls or shortens its text; words in cells and badges that
# are on two lines; rows of runs that are too high.
FLAWS: Final = """
const [highestRow, highestCard] = arguments, found = [];
const PANES = '#main, #main > *, .page, .transcript, .foot-panels, .start, dialog';
const name = (node) => `${node.tagName}.${node.className}: ${node.textContent.slice(0, 40)}`;
const clips = (node) => {
  for (let one = node.parentElement; one && one !== document.body; one = one.parentElement) {
    const style = getComputedStyle(one);
    if (/auto|scroll/.test(style.overflowX) || style.textOverflow === 'ellipsis') return true;
    if (style.clipPath !== 'none') return true;
  }
  return false;
};
for (const node of document.querySelectorAll('body *')) {
  const box = node.getBoundingClientRect();
  if (!box.width || !node.checkVisibility() || getComputedStyle(node).clipPath !== 'none') continue;
  if ((box.right > innerWidth + 1 || box.left < -1) && !clips(node)) found.push(`past the edge: ${name(node)}`);
  if (node.matches(PANES) && node.scrollWidth > node.clientWidth + 1)
    found.push(`scrolls sideways: ${name(node)}`);
  if (node.matches('.button.round') && Math.abs(box.width - box.height) > 1)
    found.push(`not round: ${box.width}x${box.height}`);
  const highest = getComputedStyle(node).display === 'table-row' ? highestRow : highestCard;
  if (node.matches('.runs-table tbody tr') && box.height > highest)
    found.push(`${box.height} px high: ${name(node)}`);
}
const WORDS = '.markdown :is(td, th), .runs-table td, .chip, .badge, .unasked, .button, .call .state, .sessions .age';
for (const node of document.querySelectorAll(WORDS)) {
  if (!node.checkVisibility()) continue;
  const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const word of texts.currentNode.data.matchAll(/\\S+/g)) {
      if (word[0].length > 24 || /[-/]./.test(word[0])) continue;
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      const tops = [...range.getClientRects()].map((one) => Math.round(one.top));
      if (new Set(tops).size > 1) found.push(`broken: ${word[0]}`);
    }
  }
}
return found;
"""

AUDIT: Final = """
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ['violations'] }).then(
  ({ violations }) => done(violations.map(({ id, impact, nodes }) =>
    `${impact} ${id}: ${nodes.slice(0, 3).map((one) => `${one.target} ${one.failureSummary}`).join(' | ')}`)),
  (error) => done([String(error)]));
"""


RENAMED: Final = """
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  texts.currentNode.data = texts.currentNode.data.replace(/[\\w.-]+\\/[0-9a-f]{12}:\\d+/, 'agents-1:4120');
}
"""


@pytest.fixture(scope="module")
def baton(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("gallery")
    with BatonProcess(
        directory, model_url=stand_in.url, agents=Gallery.agents(directory), settings=SETTINGS
    ) as process:
        yield process


@pytest.fixture(scope="module")
def gallery(baton: BatonProcess) -> Iterator[Gallery]:
    http = Client(baton.url, token=TOKEN)
    yield Gallery(baton, http)
    http.close()


class Pages:
    """Opens a page of the gallery at a width, in a theme, and waits until all of it is there."""

    def __init__(self, tab: Tab, gallery: Gallery) -> None:
        self.tab = tab
        self._gallery = gallery

    def size(self, width: int, height: int, *, scale: float = 1) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.tab.see().execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def theme(self, theme: str) -> None:
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.tab.see().execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def go(self, address: str) -> None:
        self.tab.script("document.querySelector('dialog')?.close(); location.hash = arguments[0]", address)

    def show(self, page: str) -> None:
        getattr(self, f"_{page}")()

    def _list(self) -> None:
        self.go("#/")
        self.tab.wait_for_text("#sidebar .sessions", "Clean up")

    def _new(self) -> None:
        self.go("#/new")
        self.tab.shown(".start .composer .stand-in")

    def _key(self) -> None:
        self.go("#/key")
        self.tab.wait_for_text("#main h1", "How to set a key")

    def _asking(self) -> None:
        self.go(f"#/session/{self._gallery.talk}")
        self.tab.wait_for_text(".question .asked", "pytest")
        self.tab.wait_for_text(".queue", "changelog")
        self.tab.wait_for_text(".markdown table", "spins")

    def _verbose(self) -> None:
        self.go(f"#/session/{self._gallery.verbose}")
        self.tab.wait_for_text(".question .asked", "xxx")

    def _delete(self) -> None:
        self._verbose()
        self.tab.click(".head .menu summary")
        self.tab.click_button("Delete…")
        self.tab.shown("dialog[open]")

    def _markdown(self) -> None:
        self.go(f"#/session/{self._gallery.wide}")
        self.tab.wait_for_text(".message.assistant .markdown", "It says why")

    def _tool(self) -> None:
        self.go(f"#/session/{self._gallery.done}")
        self.tab.wait_for_text(".message.assistant", "Three hundred.")
        self.tab.click(".call summary")
        self.tab.wait_for_text(".call .output", "300")
        self.tab.click(".head .menu summary")

    def _steps(self) -> None:
        self.go("#/runs")
        self.tab.click_button("All", within=".filters")
        self.tab.click(".runs-table a[href^='#/run/']")
        self.tab.shown(".inspector .totals dd")

    def _release(self) -> None:
        self._runs()
        self.tab.click_button("Release…")
        self.tab.shown("dialog[open]")

    def _runs(self) -> None:
        self.go("#/runs")
        self.tab.click_button("All", within=".filters")
        self.tab.wait_for_text(".runs-table", "field_that_is_too_long")

    def _keys(self) -> None:
        self._new()
        self.tab.press("?")
        self.tab.shown("dialog[open]")


PAGES: Final = (
    "list",
    "new",
    "key",
    "asking",
    "verbose",
    "delete",
    "markdown",
    "tool",
    "runs",
    "release",
    "keys",
)


@pytest.fixture
def pages(open_tab: OpenTab, baton: BatonProcess, gallery: Gallery) -> Iterator[Pages]:
    tab = open_tab("docs", url=baton.url)
    tab.script("sessionStorage.setItem('baton.token', arguments[0])", TOKEN)
    tab.see().get(baton.url)
    pages = Pages(tab, gallery)
    yield pages
    tab.see().execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", SIZES)
def test_nothing_is_cut_off_broken_or_too_high(pages: Pages, width: int) -> None:
    pages.size(width, SIZES[width])
    found = {}
    for page in PAGES:
        pages.show(page)
        for theme in THEMES:
            pages.theme(theme)
            if flaws := pages.tab.script(FLAWS, HIGHEST_ROW, HIGHEST_CARD):
                found[f"{page}, {theme}"] = flaws
    assert found == {}


def test_the_page_of_runs_fits_at_any_width(pages: Pages) -> None:
    pages.show("runs")
    found = {}
    for width in range(320, 1441, 40):
        pages.size(width, 800)
        if flaws := pages.tab.script(FLAWS, HIGHEST_ROW, HIGHEST_CARD):
            found[width] = flaws
    assert found == {}


@pytest.mark.parametrize("width", SIZES)
def test_no_rule_of_accessibility_is_violated(pages: Pages, width: int) -> None:
    pages.size(width, SIZES[width])
    pages.tab.script(AXE)
    found: dict[str, Any] = {}
    for page in PAGES:
        pages.show(page)
        for theme in THEMES:
            pages.theme(theme)
            if violations := pages.tab.see().execute_async_script(AUDIT):
                found[f"{page}, {theme}"] = violations
    assert found == {}


def test_the_page_of_the_api_holds_to_the_same_with_every_operation_open(pages: Pages) -> None:
    tab = pages.tab
    tab.see().get(f"{tab.script('return location.origin')}/docs")
    tab.shown("section details")
    tab.script(
        "for (const one of document.querySelectorAll('details')) one.open = !one.id.startsWith('schema')"
    )
    operations = tab.count("details:not([id^=schema])")
    eventually(lambda: tab.count("form.try") == operations, "each operation has a form")
    pages.size(390, SIZES[390])
    assert tab.script("return document.documentElement.scrollWidth") <= 390
    tab.script(
        "document.querySelectorAll('details').forEach((one, i) => i % 40 ? one.remove() : (one.open = true))"
    )
    tab.script(AXE)
    found: dict[str, Any] = {}
    for theme in THEMES:
        pages.theme(theme)
        found[theme] = tab.see().execute_async_script(AUDIT)
    for width, height in SIZES.items():
        pages.size(width, height)
        found[f"{width}"] = tab.script(FLAWS, HIGHEST_ROW, HIGHEST_CARD)
    assert {where: flaws for where, flaws in found.items() if flaws} == {}


def picture(tab: Tab, file: Path) -> None:
    """Of what is seen, but for the name of this machine."""
    tab.script(RENAMED)
    data = tab.see().execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
    file.write_bytes(base64.b64decode(data))


def test_pictures_of_the_documents_are_drawn(
    pages: Pages, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Into the documents with `--pictures`."""
    images = ROOT / "docs/images" if request.config.getoption("--pictures") else tmp_path
    pages.theme("light")
    pages.size(1280, 900, scale=1.5)
    pages.show("asking")
    picture(pages.tab, images / "console-approval.png")
    pages.theme("dark")
    pages.size(1440, 630, scale=1.5)
    pages.show("runs")
    picture(pages.tab, images / "console-runs.png")
    assert {file.name for file in images.glob("console-*.png")} == {
        "console-approval.png",
        "console-runs.png",
    }
