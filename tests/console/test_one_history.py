"""A session looks the same to somebody who followed it and to somebody who opens it afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from selenium.webdriver.common.keys import Keys

from anthropic_standin.standin_server import OfflineServer
from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

TEAM: Final = """
agents:
  root:
    model: small
    sub_agents: [worker]
    handoffs: [other]
    toolsets: [{type: shell}, {type: think}, {type: user_prompt}, {type: background_agents}]
  worker: {model: small, description: d, toolsets: [{type: shell}]}
  other: {model: small, description: d, toolsets: [{type: think}]}
models:
  small: {provider: anthropic, model: claude-haiku-4-5}
permissions:
  deny: ["shell:cmd=rm*"]
"""

HOLD_THE_NEXT_HISTORY: Final = """
const fetched = window.fetch;
window.fetch = async (address, ...more) => {
  const response = await fetched(address, ...more);
  if (/\\/history$/.test(address) && !window.letGo) await new Promise((go) => { window.letGo = go; });
  return response;
};
"""

SEEN: Final = """
for (const one of document.querySelectorAll('.items details')) one.open = true;
return new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(() => seen({
  items: [...document.querySelectorAll('.items > *')].map((one) => [
    one.className.replace(' streaming', ''), one.dataset.depth, one.dataset.state ?? '',
    ...[...one.querySelectorAll('.who, .bubble, .markdown, .thinking .plain, .cut, .name, .gist, .state, .output')]
      .map((part) => part.textContent.trim()),
    one.matches('.note') ? one.textContent : '',
  ].join(' | ')),
  head: [...document.querySelectorAll('.head h1, .head .chip, .head .tokens')].map((one) => one.textContent),
}))));
"""
"""Everything that stands on the page, with all details open."""


@pytest.fixture(scope="module")
def team_server(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("history")
    agents = directory / "agents"
    agents.mkdir()
    (agents / "team.yaml").write_text(TEAM)
    with BatonProcess(directory, model_url=stand_in.url, agents=agents) as process:
        yield process


@pytest.fixture
def api(team_server: BatonProcess) -> Iterator[Client]:
    client = Client(team_server.url)
    yield client
    client.close()


def seen(tab: Tab) -> dict[str, Any]:
    return dict(tab.script(SEEN))


def assert_same_after_a_reload(tab: Tab) -> list[str]:
    """The items."""
    before: dict[str, Any] = {}

    def settled() -> bool:
        """A page that was told of an end reads what only the history knows."""
        nonlocal before
        last, before = before, seen(tab)
        return last == before and "Free" in before["head"] and not tab.count("[aria-busy=true]")

    eventually(settled, "the page has come to rest", seconds=20)
    tab.see().refresh()
    tab.shown('.session[data-connection="live"]')
    after: dict[str, Any] = {}

    def same() -> bool:
        nonlocal after
        after = seen(tab)
        return after == before

    try:
        eventually(same, "the page is the same", seconds=4)
    except AssertionError:
        assert after == before
        raise
    return list(before["items"])


def task(words: str) -> str:
    return f"[call transfer_task {json.dumps({'agent': 'worker', 'task': words, 'expected_output': ''})}]"


def call(cmd: str) -> str:
    return f"[call shell {json.dumps({'cmd': cmd})}]"


def approve(tab: Tab, words: str) -> None:
    tab.wait_for_text(".question", words)
    tab.press("a")


def test_words_thoughts_and_tools_that_went_well_and_badly(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session(tools_approved=True, thinking=True)
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    calls = f"{call('echo hi')}{call('exit 3')}{call('rm x')}[call shell {{}}]"
    tab.say(f"[think hard] [say I look.] {calls} [then] [say Done.]")
    tab.wait_for_text(".message.assistant", "Done.")
    items = assert_same_after_a_reload(tab)
    states = [item.split(" | ")[2] for item in items if item.startswith("call")]
    assert states == ["done", "ended", "denied", "failed"]
    assert "Exit status 3" in items[3]


def test_calls_that_are_approved_and_rejected(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say(f"{call('echo one')}{call('echo two')} [then] [say Done.]")
    tab.wait_for_text(".question", "echo one")
    tab.wait_for_text('.call[data-state="waits"]', "Waits for its turn")
    tab.press("a")
    tab.wait_for_text(".question", "echo two")
    tab.press("x")
    tab.shown("#reason").send_keys("no" + Keys.ENTER)
    tab.wait_for_text(".message.assistant", "Done.")
    items = assert_same_after_a_reload(tab)
    assert [item.split(" | ")[2] for item in items if item.startswith("call")] == ["done", "rejected"]


def test_a_task_with_an_approval_in_it_and_one_that_fails(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    inner = f"[say I begin.] {call('echo inner')} [then] [say Inner done.]"
    tab.say(f"{task(inner)} [then] {task('[fail 400]')} [then] [say Outer done.]")
    approve(tab, "echo inner")
    tab.wait_for_text(".message.assistant", "Outer done.")
    items = assert_same_after_a_reload(tab)
    assert {item.split(" | ")[1] for item in items} == {"0", "1"}
    assert sum("hands a task to worker" in item for item in items) == 2


def test_a_page_that_is_opened_in_the_middle_of_a_task(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say(
        f"{task('[say I begin.] ' + call('echo inner') + ' [then] [say Inner done.]')} [then] [say Outer done.]"
    )
    tab.wait_for_text(".question", "echo inner")
    before = seen(tab)
    tab.see().refresh()
    tab.wait_for_text(".question", "echo inner")
    eventually(lambda: seen(tab) == before, f"it looks like {before}", seconds=5)
    approve(tab, "echo inner")
    tab.wait_for_text(".message.assistant", "Outer done.")
    assert_same_after_a_reload(tab)


def test_a_stop_in_the_middle_of_words_and_of_a_command(
    open_tab: OpenTab, api: Client, team_server: BatonProcess, stand_in: OfflineServer
) -> None:
    session = api.new_session(tools_approved=True)
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say("[words 50] [hold 5]")
    tab.wait_for_text(".message.assistant", "please")
    tab.press("s")
    tab.wait_for_text(".note", "Stopped by")
    stand_in.release()
    tab.say(f"{call('sleep 600')}{call('echo later')}")
    tab.wait_for_text('.call[data-state="running"]', "Running")
    tab.press("s")
    eventually(lambda: tab.text(".note").count("Stopped by") == 2, "both stops are told")
    tab.wait_for_text(".note", "Retry")
    items = assert_same_after_a_reload(tab)
    assert "Cut off: the run was stopped" in items[1]
    assert sum("cancelled" in item for item in items) >= 1


def test_runs_that_failed_are_told_and_tried_again(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say("[fail 400 2] [say Better now.]")
    tab.click(".note.error button")
    eventually(lambda: tab.count(".note.error") == 2, "both failures are there", seconds=20)
    tab.wait_for_text(".again", "The last run failed.")
    eventually(lambda: tab.count(".note.error button") == 1, "the last of them can be tried again")
    items = assert_same_after_a_reload(tab)
    assert len(items) == 3
    tab.shown(".again button")
    tab.press("r")
    tab.wait_for_text(".message.assistant", "Better now.")
    tab.wait_until_gone(".again")
    eventually(lambda: tab.count(".note.error button") == 0, "nothing is offered any more")
    assert_same_after_a_reload(tab)


def test_a_reload_in_the_middle_of_a_retry_shows_nothing_twice(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say(f"[fail 400 1] [say First.] {call('echo one')} [then] [say Second.]")
    tab.shown(".again button")
    tab.press("r")
    tab.wait_for_text(".question", "echo one")
    before = seen(tab)
    tab.see().refresh()
    tab.wait_for_text(".question", "echo one")
    eventually(lambda: seen(tab) == before, f"it looks like {before}", seconds=5)
    tab.press("a")
    tab.wait_for_text(".message.assistant", "Second.")
    assert_same_after_a_reload(tab)


def test_an_answer_that_was_cut_and_asked_for_again(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say("[say Once more and with feeling.] [drop 2 times 1]")
    tab.wait_for_text(".message .cut", "the run failed")
    tab.wait_for_text(".note", "Retry")
    assert_same_after_a_reload(tab)
    tab.press("r")
    tab.wait_for_text(".message.assistant", "with feeling")
    items = assert_same_after_a_reload(tab)
    assert sum("the turn was done again" in item for item in items) == 1


def test_a_steer_a_follow_up_and_a_summary(open_tab: OpenTab, api: Client, team_server: BatonProcess) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say(f"{call('echo one')} [then] [say First.]")
    tab.wait_for_text(".question", "echo one")
    tab.say("[say Afterwards.]")
    tab.wait_for_text(".queue", "Afterwards.")
    tab.write("[say Steered.]" + Keys.CONTROL + Keys.ENTER)
    tab.wait_for_text(".queue", "Steered.")
    tab.press("a")
    tab.wait_for_text(".message.assistant", "Afterwards.")
    tab.wait_for_text(".head .chip", "Free")
    tab.call("POST", f"api/sessions/{session}/compact")
    tab.wait_for_text(".note", "summed up")
    assert_same_after_a_reload(tab)


def test_a_form_a_hand_off_and_a_task_beside(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session(permissions={"allow": ["run_background_agent"]})
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    form = {"message": "Which one?", "schema": {"type": "object", "properties": {"one": {"type": "string"}}}}
    beside = {"agent": "worker", "task": "[say beside]", "expected_output": ""}
    tab.say(
        f"[call user_prompt {json.dumps(form)}] [then] [call run_background_agent {json.dumps(beside)}] [then]"
        ' [call handoff {"agent": "other"}] [then] [call think {"thought": "a"}] [then] [say Mine now.]'
    )
    tab.wait_for_text(".question", "Which one?")
    before = seen(tab)
    tab.see().refresh()
    tab.wait_for_text(".question", "Which one?")
    eventually(lambda: seen(tab) == before, f"it looks like {before}", seconds=5)
    tab.click_button("Answer", within=".question")
    tab.wait_for_text(".message.assistant", "Mine now.")
    items = assert_same_after_a_reload(tab)
    assert [item.split(" | ")[3] for item in items if "Mine now." in item] == ["You", "other"]


def test_a_turn_that_is_refused_and_one_that_has_no_room(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say("[say A long story begins here.] [max_tokens]")
    tab.wait_for_text(".note", "cut off")
    tab.wait_for_text(".head .chip", "Free")
    tab.say("[refuse]")
    tab.wait_for_text(".note", "Retry")
    assert_same_after_a_reload(tab)


def test_a_limit_that_is_lifted_and_one_that_is_not(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session(max_iterations=1)
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    for key, words in (("a", "Went on."), ("x", "Execution stopped")):
        tab.say('[call think {"thought": "a"}] [then] [say Went on.]')
        tab.wait_for_text(".question", "May it go on?")
        tab.press(key)
        tab.wait_for_text(".message.assistant", words)
        tab.wait_for_text(".head .chip", "Free")
    assert_same_after_a_reload(tab)


def test_a_run_that_begins_while_the_end_of_another_is_read_loses_no_word(
    open_tab: OpenTab, api: Client, team_server: BatonProcess, stand_in: OfflineServer
) -> None:
    session = api.new_session()
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.script(HOLD_THE_NEXT_HISTORY)
    tab.say("[fail 400 1] [say One two three four five six.] [hold 3 times 1]")
    eventually(lambda: tab.script("return Boolean(window.letGo)"), "the end is being read")
    api.post(f"/api/sessions/{session}/retry", {})
    eventually(lambda: "run" in api.session(session), "the next run is at work")
    assert stand_in.wait_until(lambda stats: stats.open_streams == 1, 20)
    tab.script("window.letGo()")
    tab.wait_for_text(".message.assistant", "One two")
    stand_in.release()
    tab.wait_for_text(".message.assistant", "One two three four five six.")
    items = assert_same_after_a_reload(tab)
    assert len(items) == 3


def test_a_command_whose_server_was_killed(open_tab: OpenTab, api: Client, team_server: BatonProcess) -> None:
    session = api.new_session(tools_approved=True)
    tab = open_tab(f"#/session/{session}", url=team_server.url)
    tab.shown('.session[data-connection="live"]')
    tab.say(f"[say I run it.] {call('sleep 30')}{call('echo later')}")
    tab.wait_for_text('.call[data-state="running"]', "Running")
    team_server.kill()
    team_server.start()
    tab.wait_for_text(".note.error", "interrupted")
    tab.wait_for_text('.call[data-state="unknown"]', "Outcome unknown")
    tab.wait_for_text('.call[data-state="cancelled"]', "Cancelled")
    tab.wait_for_text(".again", "interrupted")
    assert_same_after_a_reload(tab)


def test_two_tabs_that_came_at_different_times_show_the_same(
    open_tab: OpenTab, api: Client, team_server: BatonProcess
) -> None:
    session = api.new_session()
    first = open_tab(f"#/session/{session}", url=team_server.url)
    first.shown('.session[data-connection="live"]')
    first.say(f"[fail 400 1] [say I begin.] {call('exit 3')}{call('echo two')} [then] [say Done.]")
    first.wait_for_text(".note", "Retry")
    second = open_tab(f"#/session/{session}", url=team_server.url)
    second.wait_for_text(".note", "Retry")
    second.press("r")
    second.wait_for_text(".question", "exit 3")
    third = open_tab(f"#/session/{session}", url=team_server.url)
    third.wait_for_text(".question", "exit 3")
    third.press("a")
    third.wait_for_text(".question", "echo two")
    third.press("x")
    third.shown("#reason").send_keys(Keys.ENTER)
    tabs = (first, second, third)
    for tab in tabs:
        tab.see()
        tab.wait_for_text(".message.assistant", "Done.")
        tab.wait_for_text(".head .chip", "Free")
    eventually(lambda: seen(first) == seen(second) == seen(third), "all show the same", seconds=20)
    assert "ended" in seen(first)["items"][3]
