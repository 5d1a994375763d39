"""A page tells whether a model answers or the stand-in plays it."""

from __future__ import annotations

from tests.conftest import StartBaton
from tests.console.conftest import OpenTab
from tests.harness.wire import Client


def test_without_a_key_it_says_so_where_one_writes_and_how_to_set_one(
    open_tab: OpenTab, start_baton: StartBaton
) -> None:
    baton = start_baton(settings={"ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": ""})
    http = Client(baton.url)
    assert http.get("/api/me").json() == {"name": "", "role": "operator", "stand_in": True}
    tab = open_tab("#/new", url=baton.url)
    tab.wait_for_text(".composer", "a stand-in plays the model")
    session = http.new_session()
    http.close()
    tab.open_session(session)
    tab.wait_for_text(".foot-panels .composer", "a stand-in plays the model")
    tab.click(".composer a")
    tab.wait_for_text("#main h1", "How to set a key")
    tab.wait_for_text("#main", "ANTHROPIC_API_KEY=sk-ant-… make run")


def test_with_a_key_nothing_is_said(open_tab: OpenTab, http: Client) -> None:
    assert "stand_in" not in http.get("/api/me").json()
    tab = open_tab("#/new")
    tab.shown(".composer")
    assert tab.count(".stand-in") == 0
