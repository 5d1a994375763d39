"""Light, dark, or as the system has it."""

from __future__ import annotations

from typing import Final

from selenium.webdriver.support.select import Select

from tests.console.browser import Tab
from tests.console.conftest import OpenTab

LIGHT: Final = "rgb(247, 247, 245)"
DARK: Final = "rgb(23, 24, 27)"


def system(tab: Tab, theme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": theme}]
    tab.see().execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def looks(tab: Tab) -> list[str]:
    found: list[str] = tab.script(
        "return [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.documentElement).colorScheme,"
        " [...document.querySelectorAll('meta[name=theme-color]')]"
        ".find((one) => matchMedia(one.media).matches).content]"
    )
    return found


def test_the_choice_wins_over_the_system_and_is_kept(open_tab: OpenTab) -> None:
    tab = open_tab()
    choice = Select(tab.shown("#sidebar select.theme"))
    system(tab, "dark")
    assert looks(tab) == [DARK, "light dark", "#17181b"]
    choice.select_by_visible_text("Light")
    assert looks(tab) == [LIGHT, "light", "#f7f7f5"]
    tab.see().refresh()
    assert Select(tab.shown("#sidebar select.theme")).first_selected_option.text == "Light"
    assert looks(tab) == [LIGHT, "light", "#f7f7f5"]
    choice = Select(tab.shown("#sidebar select.theme"))
    system(tab, "light")
    choice.select_by_visible_text("Dark")
    assert looks(tab) == [DARK, "dark", "#17181b"]
    choice.select_by_visible_text("System")
    assert looks(tab) == [LIGHT, "light dark", "#f7f7f5"]


def test_no_page_is_painted_before_its_theme_is_known(open_tab: OpenTab) -> None:
    """The script of the theme is a classic one, ahead of the body: the parser waits for it."""
    tab = open_tab()
    tab.script("localStorage.setItem('baton.theme', 'dark')")
    watch = (
        "new MutationObserver((_, all) => { if (document.body) {"
        " window.seen = document.documentElement.dataset.theme; all.disconnect() } })"
        ".observe(document, { childList: true, subtree: true })"
    )
    tab.see().execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": watch})
    for address in ("", "docs"):
        tab.see().get(f"{tab.script('return location.origin')}/{address}")
        assert tab.script("return window.seen") == "dark"
