"""A message has one id, wherever it is told of, and no other message ever has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from sqlalchemy import update

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from app.store.tables import messages
from tests.conftest import make_settings
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event
from tests.test_sequences import call_text
from tests.while_it_runs.talk import follow_up, steer

TEAM = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: Leads
    instruction: i
    sub_agents: [helper]
  helper: {model: anthropic/claude-sonnet-5-5, description: Helps, instruction: i, toolsets: [{type: think}]}
  keeper: {model: anthropic/claude-sonnet-5-5, description: Keeps, instruction: i, cache: {enabled: true}}
"""
THINK = call_text("think", thought="hm")
TOLD = {"agent_choice": "assistant", "agent_choice_reasoning": "assistant", "user_message": "user"}


def told(events: Iterable[Event]) -> dict[str, dict[str, str]]:
    """By session: the ids that events name, in their order, with the role of who speaks."""
    ids: dict[str, dict[str, str]] = {}
    for event in events:
        if event["type"] in TOLD:
            ids.setdefault(event["session_id"], {})[event["message_id"]] = TOLD[event["type"]]
    return ids


def stored(client: LocalClient, session: str) -> dict[str, dict[str, Any]]:
    """The messages of a snapshot by their ids."""
    messages = [
        item["message"] for item in client.call("GET", f"/api/sessions/{session}/snapshot")["messages"]
    ]
    by_id = {message["message_id"]: message for message in messages}
    assert "" not in by_id
    assert len(by_id) == len(messages)
    return by_id


def spoken(client: LocalClient, session: str) -> dict[str, str]:
    """The ids of what was said aloud, with its role."""
    return {
        name: message["role"]
        for name, message in stored(client, session).items()
        if message["role"] == "user" or message["content"] or message.get("reasoning_content")
        if message["role"] != "tool"
    }


def test_the_snapshot_names_each_message_as_the_stream_does(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    text = f"[think of it][say one]{gate.call}[then][say two]{THINK}[then][say three]"
    with here.run(session, text, agent="tools") as stream:
        gate.wait_until_reached()
        [steered] = steer(there, session, "[say steered]")
        [followed] = follow_up(there, session, "[say followed]")
        gate.open()
        own = stream.rest()
    named = told(own)[session]
    assert spoken(here, session) == named == spoken(there, session)
    assert [stored(there, session)[name]["content"] for name in (steered, followed)] == [
        "[say steered]",
        "[say followed]",
    ]
    with there.follow(session, since=0) as follower:
        while "followed" not in [event.get("content") for event in follower.events]:
            next(iter(follower))
        assert told(follower.events)[session] == named


def test_what_is_said_after_an_undo_has_ids_of_its_own(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    first = told(here.say(session, "[say one]"))[session]
    here.call("POST", f"/api/sessions/{session}/undo")
    second = told(there.say(session, "[say one]"))[session]
    assert len(first) == len(second) == 2
    assert not first.keys() & second.keys()
    assert spoken(here, session) == second


def test_what_people_put_in_after_an_undo_has_ids_of_its_own(here: LocalClient) -> None:
    session = here.new_session()
    seen: list[str] = []
    for _ in range(2):
        for role in ("user", "assistant"):
            said = {"message": {"role": role, "content": "the same words"}}
            here.call("POST", f"/api/sessions/{session}/messages", said, expect=201)
        seen += stored(here, session)
        here.call("POST", f"/api/sessions/{session}/undo")
    assert len(set(seen)) == 4


def test_other_words_in_a_message_leave_it_the_same_message(here: LocalClient) -> None:
    session = here.new_session()
    here.say(session, "[say one]")
    before = list(stored(here, session))
    words = {"message": {"role": "assistant", "content": "two"}}
    here.call("PATCH", f"/api/sessions/{session}/messages/1", words)
    assert list(stored(here, session)) == before


def test_a_run_that_was_refused_leaves_its_ids_to_nobody(here: LocalClient) -> None:
    session = here.new_session()
    seen = [told(here.say(session, text))[session] for text in ("[say half][refuse]", "[say hello]")]
    assert not seen[0].keys() & seen[1].keys()
    assert set(spoken(here, session)) >= set(seen[1])


def test_a_copys_messages_are_its_own(here: LocalClient) -> None:
    session = here.new_session()
    here.say(session, "[say one]")
    fork = here.call("POST", f"/api/sessions/{session}/fork")["id"]
    assert not stored(here, session).keys() & stored(here, fork).keys()
    here.say(session, "[say two]")
    more = told(here.say(fork, "[say two]"))[fork]
    assert not stored(here, session).keys() & stored(here, fork).keys()
    assert list(spoken(here, fork).items())[2:] == list(more.items())


def test_what_an_older_process_has_stored_is_called_by_its_place(here: LocalClient) -> None:
    session = here.new_session()
    here.say(session, "[say one]")
    with here.server.store.database.writing() as connection:
        connection.execute(update(messages).where(messages.c.session_id == session).values(message_id=None))
    assert list(stored(here, session)) == [f"{session}:user:0", f"{session}:assistant:1"]
    more = told(here.say(session, "[say two]"))[session]
    assert list(stored(here, session))[2:] == list(more)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[LocalClient]:
    directory = tmp_path_factory.mktemp("team")
    (directory / "team.yaml").write_text(TEAM)
    built = build(make_settings(directory, stand_in.url, agents=directory / "team.yaml"))
    yield LocalClient(built)
    built.close()


def test_a_tasks_messages_have_ids_of_their_own(team: LocalClient, model: OfflineServer) -> None:
    session = team.new_session(tools_approved=True)
    work = call_text("transfer_task", agent="helper", task=f"[say a]{THINK}[then][say b]", expected_output="")
    named = told(team.say(session, f"[say away]{work}[then][say done]", agent="team"))
    [task] = team.session(session)["tasks"]
    assert named.keys() == {session, task["id"]}
    assert spoken(team, session) == named[session]
    said = spoken(team, task["id"])
    assert [name for name, role in said.items() if role == "assistant"] == list(named[task["id"]])
    assert not named[session].keys() & said.keys()


def test_an_answer_that_is_said_again_has_an_id_of_its_own(team: LocalClient, model: OfflineServer) -> None:
    session = team.new_session()
    seen = [told(team.say(session, "[say kept]", agent="team/keeper")) for _ in range(2)]
    assert len(model.requests) == 1
    assert all(len(one[session]) == 2 for one in seen)
    assert spoken(team, session) == seen[0][session] | seen[1][session]
