"""`system.message`: words of the client's program in the middle of a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.custom_calls import CALL, result
from tests.managed.custom_calls import new_session as with_custom_tool
from tests.managed.test_sessions import say, server, types, until_idle
from tests.managed.toolset_calls import events, waiting

__all__ = ["server"]


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def system(*texts: str) -> Any:
    return {"type": "system.message", "content": [{"type": "text", "text": text} for text in texts]}


def sent(model: OfflineServer) -> list[tuple[str, str]]:
    """The roles and the texts of the newest request's messages."""
    return [
        (message["role"], "".join(block.get("text", "") for block in message["content"]))
        for message in model.requests[-1]["messages"]
    ]


def test_it_stands_behind_the_message_that_it_accompanies(
    sdk: Sdk, new_session: SessionMaker, model: OfflineServer
) -> None:
    session = new_session().id
    stored = sdk.checked(
        sdk.beta.sessions.events.send(session, events=[say("[think][say One.]"), system("A ", "rule.")])
    )
    assert stored.data is not None
    assert [event.type for event in stored.data] == ["user.message", "system.message"]
    until_idle(sdk, session)
    assert sent(model) == [("user", "[think][say One.]"), ("system", "A rule.")]
    (told,) = events(sdk, session, "system.message")
    assert (told.id, [block.text for block in told.content]) == (stored.data[1].id, ["A ", "rule."])
    assert types(sdk, session)[2:5] == ["user.message", "system.message", "span.model_request_start"]
    sdk.beta.sessions.events.send(session, events=[say("[think][say Two.]")])
    until_idle(sdk, session, times=2)
    assert sent(model)[1:] == [("system", "A rule."), ("assistant", "One."), ("user", "[think][say Two.]")]
    assert model.requests[-1]["messages"][1]["content"] == [
        {"type": "text", "text": "A "},
        {"type": "text", "text": "rule."},
    ]


def test_it_stands_alone_while_the_session_is_idle(
    sdk: Sdk, new_session: SessionMaker, model: OfflineServer
) -> None:
    session = new_session().id
    send = sdk.beta.sessions.events.send
    for text in ("First.", "Second."):
        stored = sdk.checked(send(session, events=[system(text)]))
        assert stored.data is not None
        assert stored.data[0].processed_at is not None
    assert model.requests == []
    send(session, events=[say("[say One.]")])
    until_idle(sdk, session)
    send(session, events=[system("Third.")])
    assert sdk.beta.sessions.retrieve(session).status == "idle"
    send(session, events=[say("[say Two.]")])
    until_idle(sdk, session, times=2)
    first = [("user", "[say One.]"), ("system", "First.Second.")]
    assert sent(model) == [*first, ("assistant", "One."), ("user", "[say Two.]"), ("system", "Third.")]


def test_it_comes_with_the_result_of_a_custom_tool(sdk: Sdk, model: OfflineServer) -> None:
    session = with_custom_tool(sdk)
    send = sdk.beta.sessions.events.send
    send(session, events=[say(f"{CALL}[then][say Done.]")])
    (use,) = waiting(sdk, session)
    with pytest.raises(anthropic.BadRequestError, match="may stand alone only while the session is idle"):
        send(session, events=[system("Alone.")])
    send(session, events=[result(use), system("Beside.")])
    until_idle(sdk, session, times=2)
    assert [role for role, _ in sent(model)] == ["user", "assistant", "user", "system"]
    assert sent(model)[-1] == ("system", "Beside.")


def test_a_message_that_comes_in_between_stands_before_it(
    sdk: Sdk, new_session: SessionMaker, model: OfflineServer
) -> None:
    session = new_session().id
    send = sdk.beta.sessions.events.send
    send(session, events=[say("[words 9][stall 5]"), system("A rule.")])
    eventually(lambda: model.requests, "the model is asked")
    send(session, events=[{"type": "user.interrupt"}, say("[calm][say Now.]")])
    until_idle(sdk, session, times=2)
    roles = [role for role, _ in sent(model)]
    assert "system" in roles
    assert roles[0] == "user"


def test_what_has_no_place_is_refused(sdk: Sdk, new_session: SessionMaker, model: OfflineServer) -> None:
    session = new_session().id
    interrupt: Any = {"type": "user.interrupt"}
    refused: list[tuple[list[Any], str]] = [
        ([system("a"), say("b")], "must be the last event"),
        ([say("b"), system("a"), system("c")], "at most one system.message"),
        ([interrupt, system("a")], "must follow a user.message"),
        ([system()], r"events\[0\].content"),
        ([system("")], r"events\[0\].content\[0\].text"),
        ([system("  ")], "more than white space"),
        ([system(*["a"] * 1001)], r"events\[0\].content"),
        ([{**system("a"), "content": [{"type": "image"}]}], r"events\[0\].content\[0\].type"),
        ([{**system("a"), "content": [{"type": "text", "text": "a", "system": True}]}], "unknown field"),
        ([{**system("a"), "more": 1}], "unknown field"),
    ]
    for given, words in refused:
        with pytest.raises(anthropic.BadRequestError, match=words):
            sdk.beta.sessions.events.send(session, events=given)
    with pytest.raises(anthropic.BadRequestError, match=r"initial_events\[0\].type"):
        new_session(initial_events=[system("a")])
    assert types(sdk, session) == []
    agent = sdk.beta.agents.create(name="Old", model="claude-sonnet-4-6")
    environment = sdk.beta.environments.create(name="here")
    old = sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id).id
    with pytest.raises(anthropic.BadRequestError, match="model_does_not_support_mid_conversation_system"):
        sdk.beta.sessions.events.send(old, events=[say("a"), system("b")])
