"""What may be sent to a session: each limit and each refusal, by name."""

from __future__ import annotations

import base64
from typing import Any

import anthropic
import pytest

from app.factory import Server
from tests.agent.tools.pictures import drawn
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_sessions import say, types, until_idle


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """One server is enough for all tests here; its threads end with it."""


TEXT = {"type": "text", "text": "Hello"}
PNG = base64.b64encode(drawn(4, 4)).decode()
PDF = base64.b64encode(b"%PDF-1.4\n%%EOF").decode()


def message(*blocks: Any) -> Any:
    return {"type": "user.message", "content": list(blocks)}


def image(**source: Any) -> Any:
    return {"type": "image", "source": source}


def document(**source: Any) -> Any:
    return {"type": "document", "source": source}


def made(**more: Any) -> Any:
    return {"type": "user.custom_tool_result", "custom_tool_use_id": "sevt_x", **more}


REFUSED: list[tuple[list[Any], str]] = [
    ([], "events: "),
    (
        [TEXT],
        'events[0].type: "text" is not a valid value; expected one of system.message, user.custom_tool_result',
    ),
    ([{"type": "agent.message", "content": [TEXT]}], 'events[0].type: "agent.message" is not a valid value'),
    ([{"content": [TEXT]}], "events[0].type: field is required"),
    (["hello"], "events[0]"),
    ([message(TEXT)] * 51, "events: "),
    ([message()], "events[0].content: "),
    ([message(*[TEXT] * 1001)], "events[0].content: "),
    ([{"type": "user.message"}], "events[0].content: field is required"),
    ([{**message(TEXT), "id": "sevt_1"}], "events[0].id: unknown field"),
    ([message({"type": "text", "text": ""})], "events[0].content[0].text: "),
    (
        [message({"type": "text", "text": " \n"})],
        "events[0].content: a message must have more than white space",
    ),
    ([message({"type": "text", "text": "a\0b"})], "events[0].content[0].text: "),
    ([message({"type": "text", "text": 1})], "events[0].content[0].text: "),
    ([message({"type": "redacted"})], 'events[0].content[0].type: "redacted" is not a valid value'),
    ([message({"type": "search_result"})], 'events[0].content[0].type: "search_result" is not a valid value'),
    (
        [message(image(type="url", url="https://x.example/a.png"))],
        "events[0].content[0].source: sources of the type url",
    ),
    (
        [message(image(type="file", file_id="file_1"))],
        "Invalid file ID.",
    ),
    (
        [message(document(type="url", url="https://x.example/a.pdf"))],
        "events[0].content[0].source: sources of the type url",
    ),
    (
        [message(document(type="file", file_id="file_1"))],
        "Invalid file ID.",
    ),
    (
        [message(image(type="base64", media_type="image/bmp", data=PNG))],
        'media_type: "image/bmp" is not a valid value',
    ),
    (
        [message(image(type="base64", media_type="image/png", data="no"))],
        "events[0].content: block 0: the image can't be read",
    ),
    ([message(document(type="base64", media_type="text/html", data=PDF))], "events[0].content[0].source"),
    (
        [message(TEXT, document(type="base64", media_type="application/pdf", data=PNG))],
        "events[0].content: block 1: the document is no whole PDF",
    ),
    ([message(document(type="text", media_type="text/plain", data=""))], "events[0].content[0].source"),
    (
        [{"type": "user.interrupt", "session_thread_id": "sthr_other"}],
        "session_thread_id: there is no thread sthr_other",
    ),
    (
        [{"type": "user.tool_confirmation", "tool_use_id": "sevt_x", "result": "maybe"}],
        'result: "maybe" is not a valid value',
    ),
    (
        [{"type": "user.tool_confirmation", "tool_use_id": "sevt_x", "result": "allow"}],
        "tool_use_id: there is no tool use sevt_x",
    ),
    (
        [
            {
                "type": "user.tool_confirmation",
                "tool_use_id": "sevt_x",
                "result": "allow",
                "deny_message": "no",
            }
        ],
        "deny_message is only allowed with result deny",
    ),
    (
        [
            {
                "type": "user.tool_confirmation",
                "tool_use_id": "sevt_x",
                "result": "deny",
                "deny_message": "n" * 10_001,
            }
        ],
        "events[0].deny_message: ",
    ),
    ([made()], "custom_tool_use_id: there is no custom tool use sevt_x"),
    ([{"type": "user.custom_tool_result"}], "events[0].custom_tool_use_id: field is required"),
    ([made(content="Rain.")], "events[0].content: "),
    ([made(is_error="yes")], "events[0].is_error: "),
    (
        [made(content=[image(type="url", url="https://x.example/a.png")])],
        "events[0].content[0].source: sources of the type url",
    ),
    (
        [made(content=[{"type": "search_result", "source": "s", "title": "t", "content": [TEXT]}])],
        "citations: field is required",
    ),
    (
        [{"type": "user.tool_result", "tool_use_id": "sevt_x"}],
        "user.tool_result: only sessions in environments",
    ),
    (
        [{"type": "user.define_outcome", "description": "x"}],
        "events[0].rubric: field is required",
    ),
    (
        [{"type": "system.message", "content": [TEXT]}, message(TEXT)],
        "events: a system.message must be the last event of its request",
    ),
]


@pytest.fixture(scope="module")
def session(laptop: Server) -> str:
    with Sdk(laptop, "anything") as sdk:
        agent = sdk.beta.agents.create(name="Plain", model="claude-sonnet-5-5")
        environment = sdk.beta.environments.create(name="here")
        return sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id).id


@pytest.mark.parametrize(("events", "words"), REFUSED, ids=[words[:60] for _, words in REFUSED])
def test_what_is_refused(sdk: Sdk, session: str, events: list[Any], words: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        sdk.beta.sessions.events.send(session, events=events)
    assert sdk.sent["error"]["type"] == "invalid_request_error"
    assert words in sdk.sent["error"]["message"]
    assert refused.value.status_code == 400
    assert types(sdk, session) == []


def test_nothing_of_a_request_is_stored_if_a_part_of_it_is_refused(sdk: Sdk, session: str) -> None:
    with pytest.raises(anthropic.BadRequestError):
        sdk.beta.sessions.events.send(session, events=[say("Hello"), made()])
    assert types(sdk, session) == []


def test_first_events_are_messages_only(sdk: Sdk, new_session: SessionMaker) -> None:
    for event in ({"type": "user.interrupt"}, {"type": "user.define_outcome", "description": "x"}, made()):
        with pytest.raises(anthropic.BadRequestError, match=r"initial_events\[0\]"):
            new_session(initial_events=[event])


def test_a_message_may_have_pictures_and_documents(sdk: Sdk, new_session: SessionMaker) -> None:
    content = [
        TEXT,
        image(type="base64", media_type="image/png", data=PNG),
        {**document(type="base64", media_type="application/pdf", data=PDF), "title": "Report"},
        document(type="text", media_type="text/plain", data="Plain."),
    ]
    session = new_session()
    sent = sdk.checked(sdk.beta.sessions.events.send(session.id, events=[message(*content)]))
    assert sdk.sent["data"][0]["content"] == content
    until_idle(sdk, session.id)
    listed = [event for event in sdk.beta.sessions.events.list(session.id) if event.type == "user.message"]
    assert sent.data is not None
    assert [event.to_dict()["content"] for event in listed] == [content]
    eventually(lambda: sdk.beta.sessions.retrieve(session.id).status == "idle", "it has ended")
