"""Custom tools: the session's client makes the call, and the run waits for it as long as it takes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from PIL import Image

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed import run_answers
from app.managed.id_validation import number_of
from app.managed.run_answers import RunAnswers
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import CALL, RESULT, WEATHER, result
from tests.managed.test_sessions import AROUND, IDLE, REQUEST, say, types, until_idle

ASKED = ["span.model_request_start", "agent.custom_tool_use", "span.model_request_end"]


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, database_url=database_url))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


NewSession = Callable[..., str]


@pytest.fixture
def new(sdk: Sdk) -> NewSession:
    agent = sdk.beta.agents.create(name="Custom", model="claude-sonnet-5-5", tools=[WEATHER])
    environment = sdk.beta.environments.create(name="here")

    def make(text: str = "") -> str:
        made = sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        if text:
            sdk.beta.sessions.events.send(made.id, events=[say(text)])
        return made.id

    return make


def send(sdk: Sdk, session: str, *events: Any) -> Any:
    return sdk.checked(sdk.beta.sessions.events.send(session, events=list(events)))


def events(sdk: Sdk, session: str, *kinds: str) -> list[Any]:
    listed = list(sdk.beta.sessions.events.list(session))
    sdk.checked(sdk.beta.sessions.events.list(session))
    return [event for event in listed if not kinds or event.type in kinds]


def waiting(sdk: Sdk, session: str, *, times: int = 1) -> list[str]:
    """The events for which the session is idle."""
    until_idle(sdk, session, times=times)
    stop = events(sdk, session, "session.status_idle")[-1].stop_reason
    assert stop.type == "requires_action"
    return list(stop.event_ids)


def told_model(model: OfflineServer) -> list[Any]:
    """The results in the last request to the model."""
    last = model.requests[-1]["messages"][-1]["content"]
    return [block for block in last if block["type"] == "tool_result"]


def test_a_call_waits_for_its_client_and_goes_on_with_the_result(
    sdk: Sdk, new: NewSession, model: OfflineServer
) -> None:
    session = new(f"{CALL}[then][say Take a coat.]")
    (use,) = waiting(sdk, session)
    (called,) = events(sdk, session, "agent.custom_tool_use")
    assert (called.id, called.name, called.input) == (use, "get_weather", {"town": "Ulm"})
    assert sdk.beta.sessions.retrieve(session).status == "idle"
    offered = model.requests[0]["tools"]
    assert [tool["name"] for tool in offered] == ["get_weather"]
    sent = send(sdk, session, result(use))
    assert sent.data[0].custom_tool_use_id == use
    until_idle(sdk, session, times=2)
    assert types(sdk, session) == [
        *AROUND,
        "user.message",
        *ASKED,
        *IDLE,
        RESULT,
        *AROUND,
        *REQUEST,
        *IDLE,
    ]
    (given,) = events(sdk, session, RESULT)
    assert given.id == sent.data[0].id
    assert [block["content"] for block in told_model(model)] == ["Rain."]
    assert events(sdk, session, "session.status_idle")[-1].stop_reason.type == "end_turn"


def test_the_run_goes_on_when_every_call_has_its_result(
    sdk: Sdk, new: NewSession, model: OfflineServer
) -> None:
    session = new(f"{CALL}{CALL}[then][say Done.]")
    first, second = waiting(sdk, session)
    send(sdk, session, result(second, "Second."))
    assert sdk.beta.sessions.retrieve(session).status == "idle"
    with pytest.raises(anthropic.BadRequestError, match=first):
        send(sdk, session, say("Hello?"))
    send(sdk, session, result(first, "First."))
    until_idle(sdk, session, times=2)
    assert [block["content"] for block in told_model(model)] == ["First.", "Second."]
    assert types(sdk, session).count("session.status_running") == 2
    assert len(events(sdk, session, RESULT)) == 2


def test_both_results_may_come_in_one_request(sdk: Sdk, new: NewSession, model: OfflineServer) -> None:
    session = new(f"{CALL}{CALL}[then][say Done.]")
    first, second = waiting(sdk, session)
    send(sdk, session, result(first, "First."), result(second, "Second."), say("[say And this.]"))
    eventually(lambda: "And this." in str(events(sdk, session, "agent.message")), "the message is answered")
    assert [block["content"] for block in told_model(model)] == ["First.", "Second."]


def test_a_second_result_changes_nothing(sdk: Sdk, new: NewSession, model: OfflineServer) -> None:
    session = new(f"{CALL}[then][say Done.]")
    (use,) = waiting(sdk, session)
    first = send(sdk, session, result(use, "Rain.")).data[0]
    again = send(sdk, session, result(use, "Sun.")).data[0]
    assert (again.id, again.content) == (first.id, first.content)
    until_idle(sdk, session, times=2)
    before = types(sdk, session)
    late = send(sdk, session, result(use, "Snow.")).data[0]
    assert (late.id, late.content[0].text) == (first.id, "Rain.")
    assert types(sdk, session) == before
    assert [block["content"] for block in told_model(model)] == ["Rain."]


def test_a_result_is_taken_that_a_process_has_stored_and_not_told_the_run_of(
    sdk: Sdk, server: Server, new: NewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = new(f"{CALL}[then][say Done.]")
    (use,) = waiting(sdk, session)
    with monkeypatch.context() as dying:
        dying.setattr(RunAnswers, "give", lambda *_, **__: None)
        send(sdk, session, result(use))
    assert server.store.decisions.stranded(0.0) == [number_of(session)]
    monkeypatch.setattr(run_answers, "STRANDED_SECONDS", 0.0)
    RunAnswers(server.store, server.control).give_stranded()
    until_idle(sdk, session, times=2)
    assert server.store.decisions.stranded(0.0) == []


def test_two_results_of_one_call_in_one_request_count_once(
    sdk: Sdk, new: NewSession, model: OfflineServer
) -> None:
    session = new(f"{CALL}[then][say Done.]")
    (use,) = waiting(sdk, session)
    first, second = send(sdk, session, result(use, "Rain."), result(use, "Sun.")).data
    assert (first.id, first.content) == (second.id, second.content)
    until_idle(sdk, session, times=2)
    assert [block["content"] for block in told_model(model)] == ["Rain."]


def test_a_request_under_a_key_has_its_effect_once(sdk: Sdk, new: NewSession, model: OfflineServer) -> None:
    session = new()
    headers = {"Idempotency-Key": "one"}
    first = sdk.beta.sessions.events.send(session, events=[say("[say Hello.]")], extra_headers=headers)
    until_idle(sdk, session)
    again = sdk.beta.sessions.events.send(session, events=[say("[say Hello.]")], extra_headers=headers)
    assert again == first
    with pytest.raises(anthropic.ConflictError):
        sdk.beta.sessions.events.send(session, events=[say("[say Bye.]")], extra_headers=headers)
    assert types(sdk, session).count("user.message") == 1
    assert len(model.requests) == 1


def test_the_result_of_another_thing_is_refused(sdk: Sdk, new: NewSession) -> None:
    session = new(f"{CALL}[then][say Done.]")
    (use,) = waiting(sdk, session)
    other = new()
    (said,) = [event.id for event in events(sdk, session, "user.message")]
    for place, wanted in ((session, said), (session, "sevt_unknown"), (other, use)):
        with pytest.raises(
            anthropic.BadRequestError, match="custom_tool_use_id: there is no custom tool use"
        ):
            send(sdk, place, result(wanted))
    confirmed = {"type": "user.tool_confirmation", "tool_use_id": use, "result": "allow"}
    with pytest.raises(anthropic.BadRequestError, match="tool_use_id: there is no tool use"):
        send(sdk, session, confirmed)
    assert events(sdk, session, RESULT) == []
    send(sdk, session, result(use))
    until_idle(sdk, session, times=2)


def test_an_error_and_an_empty_result_are_told_to_the_model(
    sdk: Sdk, new: NewSession, model: OfflineServer
) -> None:
    session = new(f"{CALL}{CALL}{CALL}[then][say Done.]")
    first, second, third = waiting(sdk, session)
    send(
        sdk,
        session,
        result(first, "No such town.", is_error=True),
        {"type": RESULT, "custom_tool_use_id": second},
        {"type": RESULT, "custom_tool_use_id": third, "content": [], "is_error": True},
    )
    until_idle(sdk, session, times=2)
    given = [(block["content"], block.get("is_error", False)) for block in told_model(model)]
    assert given == [("No such town.", True), ("(no output)", False), ("The tool failed.", True)]


def test_an_interrupt_closes_the_calls_and_ends_the_turn(
    sdk: Sdk, new: NewSession, model: OfflineServer
) -> None:
    session = new(f"{CALL}{CALL}[then][say Done.]")
    first, second = waiting(sdk, session)
    send(sdk, session, result(second, "Second."))
    send(sdk, session, {"type": "user.interrupt"})
    until_idle(sdk, session, times=2)
    assert events(sdk, session, "session.status_idle")[-1].stop_reason.type == "end_turn"
    given = {event.custom_tool_use_id: event for event in events(sdk, session, RESULT)}
    assert (given[first].is_error, given[second].is_error) == (True, None)
    assert given[second].content[0].text == "Second."
    late = send(sdk, session, result(first)).data[0]
    assert (late.id, late.is_error) == (given[first].id, True)
    send(sdk, session, say("[say Here again.]"))
    until_idle(sdk, session, times=3)
    assert len(told_model(model)) == 2


def test_a_message_may_come_with_an_interrupt(sdk: Sdk, new: NewSession) -> None:
    session = new(f"{CALL}[then][say Done.]")
    waiting(sdk, session)
    send(sdk, session, {"type": "user.interrupt"}, say("[say Something else.]"))
    eventually(lambda: "Something else." in str(events(sdk, session, "agent.message")), "it is answered")
    until_idle(sdk, session, times=3)


def test_a_person_at_the_other_door_can_answer_in_the_clients_place(
    sdk: Sdk, server: Server, new: NewSession, model: OfflineServer
) -> None:
    session = new(f"{CALL}[then][say Done.]")
    (use,) = waiting(sdk, session)
    number = number_of(session)
    run = server.store.runs.live_run(number)
    assert run is not None
    assert run.waiting_for is not None
    assert "get_weather" in run.waiting_for.details["message"]
    answered = server.app.test_client().post(
        f"/api/sessions/{number}/elicitation", json={"action": "accept", "content": {"result": "Fog."}}
    )
    assert answered.status_code == 200
    until_idle(sdk, session, times=2)
    assert [block["content"] for block in told_model(model)] == ["Fog."]
    (given,) = events(sdk, session, RESULT)
    assert (given.custom_tool_use_id, given.content[0].text) == (use, "Fog.")


def test_a_result_may_have_pictures_documents_and_search_results(
    sdk: Sdk, new: NewSession, model: OfflineServer
) -> None:
    session = new(f"{CALL}[then][say Done.]")
    (use,) = waiting(sdk, session)
    content = [
        {"type": "text", "text": "See:"},
        picture(),
        {"type": "document", "source": pdf(), "title": "Report"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Plain."}},
        {
            "type": "search_result",
            "source": "https://weather.example",
            "title": "Ulm",
            "content": [{"type": "text", "text": "It rains."}],
            "citations": {"enabled": True},
        },
    ]
    sent = {"type": RESULT, "custom_tool_use_id": use, "content": content}
    send(sdk, session, sent)
    assert sdk.sent["data"][0]["content"] == content
    until_idle(sdk, session, times=2)
    (block,) = told_model(model)
    assert [part["type"] for part in block["content"]] == ["text", "image", "document"]
    assert block["content"][0]["text"] == "See:\nReport\nPlain.\nUlm\nhttps://weather.example\nIt rains."
    assert sdk.sent is not None
    assert events(sdk, session, RESULT)[0].to_dict()["content"] == content


def picture() -> Any:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def pdf() -> Any:
    data = base64.b64encode(b"%PDF-1.4\n%%EOF").decode()
    return {"type": "base64", "media_type": "application/pdf", "data": data}
