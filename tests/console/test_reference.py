"""The page that shows the OpenAPI document."""

from __future__ import annotations

from tests.console.conftest import OpenTab

RUN = "details[data-words^='post /api/sessions/{session_id}/agent/{key} ']"


def test_a_route_is_found_opened_and_leads_to_its_schemas(open_tab: OpenTab) -> None:
    tab = open_tab("docs")
    tab.shown("#filter").send_keys("runs an agent on")
    tab.click(f"{RUN} > summary")
    tab.wait_for_text(RUN, "awaiting_approval")
    assert tab.count("section:not([hidden])") == 1
    tab.click(f"{RUN} a[href='#schema-Queued']")
    tab.wait_for_text("#schema-Queued[open] td", "messages")


def test_on_a_phone_nothing_is_wider_than_the_page(open_tab: OpenTab) -> None:
    tab = open_tab("docs")
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    tab.see().execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    tab.shown(RUN)
    tab.script("for (const one of document.querySelectorAll('details')) one.open = true")
    assert tab.script("return document.documentElement.scrollWidth") == 390
