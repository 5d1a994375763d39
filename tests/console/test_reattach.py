"""A page goes on reading where it was cut: after a reload, a broken network, and a server that was killed."""

from __future__ import annotations

from anthropic_standin.standin_server import OfflineServer
from tests.console.conftest import OpenTab
from tests.console.relay import Relay
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

HOLD_THE_NEXT_SNAPSHOT = """
const fetched = window.fetch;
window.fetch = async (address, ...more) => {
  const response = await fetched(address, ...more);
  if (/sessions\\/[^/?]+\\/history$/.test(address) && !window.letGo) await new Promise((go) => { window.letGo = go; });
  return response;
};
"""
"""Read at once, and told the page only after `letGo()`: events in between are not in it."""

NUMBERS = " ".join(str(number) for number in range(1, 41))


def test_a_reload_in_mid_stream_loses_and_repeats_nothing(
    open_tab: OpenTab, http: Client, stand_in: OfflineServer
) -> None:
    session = http.new_session()
    http.say(session, "[say before]")
    tab = open_tab(f"#/session/{session}")
    tab.say(f"[say {NUMBERS}] [hold 12]")
    tab.wait_for_text(".message.assistant", "11 12")
    tab.write("half a thou")
    tab.see().refresh()
    tab.wait_for_text(".message.assistant", "11 12")
    tab.wait_for_text(".head .chip", "Running")
    tab.wait_for_text(".head .holder", "started in this tab")
    assert tab.script("return document.getElementById('composer').value") == "half a thou"
    stand_in.release()
    tab.wait_for_text(".head .chip", "Free")
    assert tab.text(".message.assistant .markdown").split("\n") == ["before", NUMBERS]
    assert tab.count(".message.user") == 2


def test_a_network_that_breaks_off_loses_and_repeats_nothing(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    session = http.new_session()
    with Relay(shared_baton.port) as relay:
        tab = open_tab(f"#/session/{session}", url=relay.url)
        tab.say(f"[say {NUMBERS}] [pace 20]")
        for mark in ("3 ", "12 ", "20 "):
            tab.wait_for_text(".message.assistant", mark)
            eventually(relay.cut, "there is a connection to be cut", seconds=20)
        tab.wait_for_text(".message.assistant", "40")
        tab.wait_for_text(".head .chip", "Free")
        assert tab.said() == NUMBERS
        assert tab.count(".message") == 2
        tab.wait_until_gone(".connection")
    assert http.messages(session)[-1]["content"] == NUMBERS


def test_a_server_that_is_killed_in_mid_stream_and_started_again_is_found_again(
    open_tab: OpenTab, shared_baton: BatonProcess, model: OfflineServer
) -> None:
    asking = open_tab("#/new")
    asking.shown("select.agent").send_keys("tools")
    asking.say(
        '[say Let me see.] [call shell {"cmd":"echo still here"}] [then] [hold 1] [say It is still here.]'
    )
    asking.wait_for_text(".question", "echo still here")
    telling = open_tab("#/new")
    telling.shown("select.agent").send_keys("plain")
    telling.say(f"[say {NUMBERS}] [hold 12]")
    telling.wait_for_text(".message.assistant", "11 12")
    shared_baton.kill()
    telling.wait_for_text(".connection", "Reconnecting")
    shared_baton.start()

    telling.wait_for_text(".note.error", "interrupted")
    telling.wait_for_text(".head .chip", "Free")
    telling.wait_until_gone(".connection")
    # the text that was read is still there, with a note that the conversation does not hold it
    telling.wait_for_text(".message.assistant .cut", "Not stored")
    assert telling.said() == "1 2 3 4 5 6 7 8 9 10 11 12"
    assert telling.count(".message") == 2

    # a question outlives the process that asked it: the answer goes on with the same run
    asking.shown('.session[data-connection="live"]')
    asking.script(HOLD_THE_NEXT_SNAPSHOT)
    asking.press("a")
    eventually(lambda: asking.script("return Boolean(window.letGo)"), "a snapshot is on its way")
    assert model.wait_until(lambda stats: stats.open_streams == 1, 20)
    model.release()
    asking.wait_for_text(".head .chip", "Free")
    asking.script("window.letGo()")
    asking.wait_for_text(".message.assistant", "It is still here.")
    asking.wait_for_text(".head .chip", "Free")
    words = ["Let me see.", "It is still here."]
    eventually(lambda: asking.text(".message.assistant .markdown").split("\n") == words, f"it says {words}")
    assert (asking.count(".call"), asking.count('.call[data-state="done"]')) == (1, 1)
