"""A headless Chromium of the distribution's, and what a person sees and does in it."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any, Self, cast

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.harness.process import eventually

PATIENCE = 20.0


def find_chromium() -> tuple[str, str] | None:
    """The browser and its driver; None unless both are installed."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """One Chromium with any number of tabs. Nothing is downloaded: both binaries are given by their paths."""

    def __init__(self) -> None:
        found = find_chromium()
        assert found is not None, "chromium and chromium-driver are not installed"
        # with the driver's path given it has nothing to look for; this says so, and that it tells nobody
        os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
        options = Options()
        options.binary_location = found[0]
        for argument in (
            "--headless=new",
            "--disable-gpu",
            "--process-per-site",
            "--no-zygote",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--window-size=1200,800",
        ):
            options.add_argument(argument)
        for argument in ("--disable-background-networking", "--disable-component-update", "--no-first-run"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = Chrome(options=options, service=Service(executable_path=found[1]))

    def tab(self, url: str) -> Tab:
        """A new tab, which is the one that is seen."""
        self.driver.switch_to.new_window("tab")
        tab = Tab(self.driver, self.driver.current_window_handle)
        self.driver.get(url)
        return tab

    def close_tabs(self) -> None:
        """All but the first, empty one; with what the pages kept."""
        first, *rest = self.driver.window_handles
        for handle in rest:
            self.driver.switch_to.window(handle)
            self.driver.execute_script("localStorage.clear()")
            self.driver.close()
        self.driver.switch_to.window(first)

    def complaints(self) -> list[str]:
        """The messages on the browser's console since the last look: violated policies, errors nobody caught."""
        entries = cast(list[dict[str, Any]], self.driver.get_log("browser"))  # type: ignore[no-untyped-call]
        return [
            entry["message"]
            for entry in entries
            if entry["level"] == "SEVERE" and not _expected(entry["message"])
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()


def _expected(message: str) -> bool:
    """Refusals and cut connections, which the page deals with, are logged by the browser all the same."""
    return "Failed to load resource" in message or "net::ERR_" in message


class Tab:
    """One page. Whatever is looked for is waited for."""

    def __init__(self, driver: Chrome, handle: str) -> None:
        self._driver = driver
        self._handle = handle

    def see(self) -> Chrome:
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver

    def script(self, source: str, *arguments: object) -> Any:
        return self.see().execute_script(source, *arguments)

    def count(self, selector: str) -> int:
        return int(self.script("return document.querySelectorAll(arguments[0]).length", selector))

    def text(self, selector: str) -> str:
        """The text of all that match, as it is in the document; empty if nothing does."""
        found = (
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent).join('\\n')"
        )
        return str(self.script(found, selector))

    def shown(self, selector: str) -> WebElement:
        """The first that matches and can be seen."""
        return cast(
            WebElement, eventually(lambda: self._find(selector), f"{selector} is shown", seconds=PATIENCE)
        )

    def _find(self, selector: str, text: str | None = None, *, click: bool = False) -> WebElement | None:
        """None also when the page has put another node in its place meanwhile."""
        try:
            for one in self.see().find_elements(By.CSS_SELECTOR, selector):
                if one.is_displayed() and text in (None, one.text.strip()):
                    if click:
                        one.click()
                    return one
        except StaleElementReferenceException:
            pass
        return None

    def wait_for_text(self, selector: str, text: str) -> None:
        try:
            eventually(lambda: text in self.text(selector), f"{text!r} in {selector}", seconds=PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {self.text(selector)[:300]!r}") from None

    def wait_until_gone(self, selector: str) -> None:
        def gone() -> bool:
            try:
                found = self.see().find_elements(By.CSS_SELECTOR, selector)
                return not any(one.is_displayed() for one in found)
            except StaleElementReferenceException:
                return False  # another one may have taken its place

        eventually(gone, f"{selector} is gone", seconds=PATIENCE)

    def click(self, selector: str) -> None:
        eventually(lambda: self._find(selector, click=True), f"{selector} is shown", seconds=PATIENCE)

    def click_button(self, name: str, *, within: str = "body") -> None:
        """The button that says so."""

        def press() -> WebElement | None:
            return self._find(f"{within} button", name, click=True)

        eventually(press, f"a button {name!r} is shown", seconds=PATIENCE)

    def write(self, text: str) -> None:
        """Into the composer."""
        self.shown("#composer").send_keys(text)

    def say(self, text: str) -> None:
        self.write(text + Keys.ENTER)

    def press(self, key: str) -> None:
        """A key, while nothing is being typed."""
        self.shown("body[data-page]")
        self.script("document.activeElement?.blur()")
        self.shown("body").send_keys(key)

    def open_session(self, session_id: str) -> None:
        self.script("location.hash = arguments[0]", f"#/session/{session_id}")

    @property
    def session_id(self) -> str:
        def look() -> str:
            address = str(self.script("return location.hash"))
            return address.removeprefix("#/session/") if "session" in address else ""

        return str(eventually(look, "a session is open", seconds=PATIENCE))

    def said(self) -> str:
        """The agent's last message, without white space at its ends."""
        found = (
            "return [...document.querySelectorAll('.message.assistant .markdown')].at(-1)?.textContent ?? ''"
        )
        return str(self.script(found)).strip()

    def call(self, method: str, path: str, body: object = None) -> None:
        """Uses the API as the page would, relative to it."""
        self.script(
            "return fetch(arguments[1], {method: arguments[0], body: arguments[2],"
            " headers: {'Content-Type': 'application/json'}}).then((answer) => answer.text())",
            method,
            path,
            json.dumps(body if body is not None else {}),
        )
