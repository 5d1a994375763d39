"""A person talks to an agent: approvals, forms, stopping, queueing, two tabs on one session."""

from __future__ import annotations

import json

from selenium.webdriver.common.keys import Keys

from anthropic_standin.standin_server import OfflineServer
from tests.console.conftest import OpenTab
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

LISTING = '[say I will look.] [call shell {"cmd":"echo three files"}] [then] [say There are three.]'


def test_a_conversation_with_an_approval_by_keyboard_alone(open_tab: OpenTab, http: Client) -> None:
    tab = open_tab()
    tab.press("n")
    tab.shown("select.agent").send_keys("tools")
    tab.say(f"How many files? {LISTING}")
    session = tab.session_id
    tab.wait_for_text(".question", "tools wants to call shell")
    tab.wait_for_text(".question .asked", "echo three files")
    tab.wait_for_text(".head .chip", "Waiting for approval")
    tab.wait_for_text('.call[data-state="asking"]', "echo three files")
    tab.press("a")
    tab.wait_for_text(".message.assistant", "There are three.")
    tab.wait_for_text(".head .chip", "Free")
    tab.click(".call summary")
    tab.wait_for_text(".call .output", "three files")
    assert tab.count(".question:not([hidden])") == 0
    assert [message["role"] for message in http.messages(session)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]


def test_a_rejection_tells_the_agent_why(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    tab = open_tab(f"#/session/{session}")
    tab.shown("select.agent").send_keys("tools")
    tab.say(LISTING)
    tab.shown("#reason")
    tab.press("x")
    assert tab.script("return document.activeElement.id") == "reason"
    tab.shown("#reason").send_keys("not on a Sunday" + Keys.ENTER)
    tab.wait_for_text('.call[data-state="rejected"]', "Rejected")
    tab.wait_for_text(".head .chip", "Free")
    assert tab.script("return document.activeElement.className") == "transcript"
    result = next(message for message in http.messages(session) if message["role"] == "tool")
    assert result["content"] == "The user rejected the tool call. Reason: not on a Sunday"


def test_a_form_is_filled_in_and_checked(open_tab: OpenTab, http: Client) -> None:
    schema = {
        "type": "object",
        "required": ["city", "days"],
        "properties": {
            "city": {"type": "string", "title": "Which city?"},
            "days": {"type": "integer", "minimum": 1},
            "train": {"type": "boolean"},
            "class": {"type": "string", "enum": ["first", "second"]},
        },
    }
    asked = json.dumps({"message": "Where to?", "schema": schema})
    session = http.new_session()
    http.post(
        f"/api/sessions/{session}/agent/tools?stream=false",
        [{"content": f"[call user_prompt {asked}] [then] [say Have a good journey.]"}],
    )
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".question", "Where to?")
    tab.press("f")
    tab.see().switch_to.active_element.send_keys("Lisbon" + Keys.ENTER)
    tab.wait_for_text(".question .field.number .problem", "Needed")
    tab.see().switch_to.active_element.send_keys("3")
    tab.click(".question input[type=checkbox]")
    tab.shown(".question select").send_keys("second")
    tab.click(".question button[type=submit]")
    tab.wait_for_text(".message.assistant", "Have a good journey.")
    result = next(message for message in http.messages(session) if message["role"] == "tool")
    assert json.loads(result["content"]) == {
        "action": "accept",
        "content": {"city": "Lisbon", "days": 3, "train": True, "class": "second"},
    }


def test_a_second_tab_is_told_who_holds_the_session_and_follows_along(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess, stand_in: OfflineServer
) -> None:
    session = http.new_session()
    first = open_tab(f"#/session/{session}")
    first.say("[say one two three four five six seven eight nine ten] [hold 4]")
    first.wait_for_text(".head .holder", "started in this tab")
    first.wait_for_text(".message.assistant", "four")
    second = open_tab(f"#/session/{session}")
    second.wait_for_text(".head .holder", "started by 127.0.0.1")
    holder = http.get(f"/api/runs?session={session}").json()[0]["holder"]
    assert holder in second.text(".head .holder")
    assert second.text(".head .chip") == "Running"
    second.wait_for_text(".message.assistant", "one two")
    second.say("[say And this afterwards.]")
    second.wait_for_text(".queue", "And this afterwards")
    stand_in.release()
    for tab in (first, second):
        tab.wait_for_text(".message.assistant", "And this afterwards.")
        tab.wait_for_text(".head .chip", "Free")
        said = tab.text(".message.assistant .markdown").split("\n")
        assert said == ["one two three four five six seven eight nine ten", "And this afterwards."]
        tab.wait_until_gone(".queue")


def test_a_message_for_a_session_that_was_just_taken_is_kept_and_the_holder_named(
    open_tab: OpenTab, http: Client, stand_in: OfflineServer
) -> None:
    session = http.new_session()
    tab = open_tab(f"#/session/{session}")
    tab.shown('.session[data-connection="live"]')
    tab.shown("select.agent").send_keys("plain")
    # the page does not hear of the other run before it sends: its own message is already on the way
    tab.script(
        "const sent = window.fetch; window.fetch = async (...given) => {"
        " if (String(given[0]).includes('/agent/') && !window.taken) {"
        "  window.taken = true;"
        "  await sent(String(given[0]), {method: 'POST', body: JSON.stringify([{content: '[say mine] [hold 1]'}])});"
        " } return sent(...given); }"
    )
    tab.say("[say too late]")
    tab.wait_for_text(".composer .problem", "plain/root has the session (started by 127.0.0.1")
    assert tab.script("return document.getElementById('composer').value") == "[say too late]"
    tab.click_button("Queue", within=".composer")
    tab.wait_for_text(".queue", "too late")
    tab.wait_for_text(".message.assistant", "mine")
    stand_in.release()
    tab.wait_for_text(".message.assistant", "too late")


def test_a_commands_output_grows_in_its_call_until_the_result_takes_its_place(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    gates = [Gate(shared_baton.directory, name) for name in ("grows", "ends")]
    session = http.new_session(tools_approved=True)
    tab = open_tab(f"#/session/{session}")
    tab.shown("select.agent").send_keys("tools")
    tab.say(gates[1].call_behind(f"echo one; {gates[0].command}") + " [then] [say done]")
    tab.shown('.call[data-state="running"]')
    tab.click(".call summary")
    tab.wait_for_text(".call .live", "one")
    tab.script("document.querySelector('.call .live').kept = true")
    gates[0].open("two")
    tab.wait_for_text(".call .live", "one\ntwo")
    assert tab.script("return document.querySelector('.call .live').kept")
    assert (
        tab.script("return document.querySelector('.call .live').getAttribute('aria-label')")
        == "Output so far"
    )
    gates[1].open("three")
    tab.wait_for_text('.call[data-state="done"] .output', "one\ntwothree")
    tab.wait_until_gone(".call .live")
    for gate in gates:
        gate.close()


def test_what_waits_can_be_withdrawn_and_a_run_steered(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    gate = Gate(shared_baton.directory, "steered")
    session = http.new_session(tools_approved=True)
    tab = open_tab(f"#/session/{session}")
    tab.shown("select.agent").send_keys("tools")
    tab.say(f"{gate.call} [then] [say first thing]")
    gate.wait_until_reached()
    tab.wait_for_text('.call[data-state="running"]', "Running")
    tab.say("never mind")
    tab.wait_for_text(".queue", "never mind")
    tab.click_button("Withdraw", within=".queue")
    tab.wait_until_gone(".queue")
    tab.write("[say another thing]" + Keys.CONTROL + Keys.ENTER)
    tab.wait_for_text(".queue .badge", "Steer")
    gate.open()
    tab.wait_for_text(".message.assistant", "another thing")
    tab.wait_for_text(".head .chip", "Free")
    gate.close()
    users = [message["content"] for message in http.messages(session) if message["role"] == "user"]
    assert users[1:] == ["[say another thing]"]


def test_a_run_is_stopped_and_it_is_said_by_whom(
    open_tab: OpenTab, http: Client, stand_in: OfflineServer
) -> None:
    session = http.new_session()
    tab = open_tab(f"#/session/{session}")
    tab.say("[words 50] [hold 5]")
    tab.wait_for_text(".message.assistant", "please")
    tab.press("s")
    tab.wait_for_text(".note", "Stopped by 127.0.0.1")
    tab.wait_for_text(".head .chip", "Free")
    run = http.get(f"/api/runs?session={session}").json()[0]
    assert run["status"] == "cancelled"
    stand_in.release()


def test_the_page_of_runs_shows_them_all_and_releases_one(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    session = http.new_session()
    http.post(f"/api/sessions/{session}/agent/tools?stream=false", [{"content": LISTING}])
    eventually(lambda: "run" in http.session(session), "the run is at work")
    tab = open_tab()
    tab.press("w")
    row = f"tr:has(a[href='#/session/{session}'])"
    tab.wait_for_text(row, "asks to call shell")
    tab.wait_for_text(row, http.session(session)["run"]["holder"])
    tab.click_button("Release…", within=row)
    tab.shown("dialog input").send_keys("a test needs it" + Keys.ENTER)
    tab.wait_until_gone(row)
    assert http.get(f"/api/runs?session={session}").json()[0]["status"] == "interrupted"
    tab.click_button("Failed", within=".filters")
    tab.wait_for_text(row, "Interrupted")
