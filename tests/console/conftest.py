"""One browser and one server for all of these tests, which run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.console.browser import Browser, Tab, find_chromium
from tests.harness.process import BatonProcess
from tests.harness.wire import Client


class OpenTab:
    """Opens pages of the shared server, or of one at another address."""

    def __init__(self, browser: Browser, url: Callable[[], str]) -> None:
        self._browser = browser
        self._url = url

    def __call__(self, address: str = "", *, url: str | None = None) -> Tab:
        return self._browser.tab(f"{url or self._url()}/{address}")

    def complaints(self) -> list[str]:
        """Complaints that a test expects, so that they do not fail it."""
        return self._browser.complaints()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("chromium or chromium-driver is not installed")
    with Browser() as one:
        yield one


@pytest.fixture(scope="session")
def shared_baton(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("console")
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS) as process:
        yield process


@pytest.fixture
def http(shared_baton: BatonProcess) -> Iterator[Client]:
    """A client that uses the same server without a browser."""
    client = Client(shared_baton.url)
    yield client
    client.close()


@pytest.fixture
def open_tab(browser: Browser, request: pytest.FixtureRequest) -> Iterator[OpenTab]:
    """A page that breaks its policy, or an error that nobody caught, fails the test."""

    def shared() -> str:
        process: BatonProcess = request.getfixturevalue("shared_baton")
        return process.url

    browser.complaints()
    yield OpenTab(browser, shared)
    complaints = browser.complaints()
    browser.close_tabs()
    assert complaints == []


Links = list[dict[str, str]]


@pytest.fixture
def links_of(open_tab: OpenTab) -> Callable[[str], Links]:
    """The links that the console makes of a message."""
    tab = open_tab()

    def render(text: str) -> Links:
        links: Links = tab.script(
            "return import('./console/markdown.js').then(({ MarkdownView }) => {"
            " const view = new MarkdownView(); view.update(arguments[0]);"
            " return [...view.node.querySelectorAll('a')].map((one) =>"
            " ({href: one.getAttribute('href'), rel: one.rel})) })",
            text,
        )
        return links

    return render
