"""Any operation of the API can be sent from the page that shows it."""

from __future__ import annotations

import json
from typing import Final

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.conftest import StartBaton
from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.process import eventually
from tests.harness.wire import Client

TOKEN: Final = "annas-token-0123456789"


class Operation:
    """One entry of the page, opened."""

    def __init__(self, tab: Tab, method: str, path: str) -> None:
        self._tab = tab
        self._at = f"details[data-words^='{method} {path} ']"
        tab.click(f"{self._at} > summary")
        tab.shown(f"{self._at} form")

    def fill(self, name: str, value: str) -> None:
        field = self._tab.shown(f"{self._at} [name='{name}']")
        if field.tag_name == "select":
            Select(field).select_by_visible_text(value)
        else:
            field.clear()
            field.send_keys(value)

    def send(self, *, asks: bool = False) -> None:
        self._tab.click_button("Send…" if asks else "Send", within=self._at)

    def stop(self) -> None:
        self._tab.click_button("Stop", within=self._at)

    def sees(self, status: str, answer: str = "") -> None:
        self._tab.wait_for_text(f"{self._at} .status", status)
        self._tab.wait_for_text(f"{self._at} .answer", answer)

    @property
    def status(self) -> str:
        return self._tab.text(f"{self._at} .status")

    @property
    def answer(self) -> str:
        return self._tab.text(f"{self._at} .answer")

    @property
    def problems(self) -> str:
        return self._tab.text(f"{self._at} .problem").strip()


def test_path_query_and_body_are_sent_and_status_time_and_answer_shown(
    open_tab: OpenTab, http: Client
) -> None:
    tab = open_tab("docs")
    making = Operation(tab, "post", "/api/sessions")
    making.fill("title", "Made by hand")
    making.fill("tools_approved", "true")
    making.send()
    making.sees("200 OK · ", '"Made by hand"')
    assert making.status.endswith(" ms")
    session = json.loads(making.answer)["id"]
    assert http.session(session)["tools_approved"] is True
    reading = Operation(tab, "get", "/api/sessions/{session_id}")
    reading.send()
    assert reading.problems == "session_id is required."
    reading.fill("session_id", session)
    reading.fill("limit", "none")
    reading.send()
    reading.sees("422 · ", "limit")
    reading.fill("limit", "5")
    reading.send()
    reading.sees("200 OK · ", '"Made by hand"')
    reading.fill("session_id", "../agents")
    reading.send()
    reading.sees("404 · ")


def test_a_body_of_many_shapes_is_json_and_checked_before_it_is_sent(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    tab = open_tab("docs")
    running = Operation(tab, "post", "/api/sessions/{session_id}/agent/{key}")
    running.fill("session_id", session)
    running.fill("key", "plain")
    running.fill("stream", "false")
    running.fill("body", "[{")
    running.send()
    assert running.problems == "body is no JSON."
    running.fill("body", '[{"content": "[say hello there]"}]')
    running.send()
    running.sees("202 ACCEPTED · ", '"run"')
    eventually(lambda: http.messages(session)[-1]["content"] == "hello there", "the agent has answered")


def test_a_destructive_operation_asks_first(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    tab = open_tab("docs")
    deleting = Operation(tab, "delete", "/api/sessions/{session_id}")
    deleting.fill("session_id", session)
    deleting.send(asks=True)
    tab.wait_for_text("dialog", f"DELETE /api/sessions/{session} can’t be undone.")
    tab.click_button("Cancel", within="dialog")
    assert http.session(session)["id"] == session
    deleting.send(asks=True)
    tab.click_button("Send", within="dialog")
    deleting.sees("200 OK · ")
    assert http.get(f"/api/sessions/{session}").status_code == 404


def test_a_stream_is_shown_as_it_comes_and_can_be_stopped(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    tab = open_tab("docs")
    running = Operation(tab, "post", "/api/sessions/{session_id}/agent/{key}")
    running.fill("session_id", session)
    running.fill("key", "plain")
    running.fill("body", '[{"content": "[say the first words are here] [hold 3]"}]')
    running.send()
    running.sees("still coming", '"agent_choice"')
    assert http.session(session)["run"]["status"] == "running"
    running.stop()
    running.sees("Stopped · ", '"agent_choice"')
    http.post(f"/api/sessions/{session}/cancel")
    eventually(lambda: "run" not in http.session(session), "the run has ended")


def test_a_server_with_tokens_is_asked_with_the_token_of_the_tab(
    open_tab: OpenTab, start_baton: StartBaton
) -> None:
    baton = start_baton(settings={"BATON_AUTH_TOKENS": f"anna:{TOKEN}"})
    tab = open_tab("docs", url=baton.url)
    asking = Operation(tab, "get", "/api/me")
    asking.send()
    tab.shown("#token").send_keys(TOKEN + Keys.ENTER)
    asking.sees("200 OK · ", '"anna"')
    assert tab.script("return sessionStorage.getItem('baton.token')") == TOKEN
    tab.click("#forget-token")
    tab.wait_for_text("#announcer", "forgotten")
    asking.send()
    tab.shown("#token").send_keys("wrong-token-0123456789" + Keys.ENTER)
    tab.wait_for_text("dialog", "does not know this token")
    tab.shown("#token").send_keys(TOKEN + Keys.ENTER)
    asking.sees("200 OK · ", '"anna"')
