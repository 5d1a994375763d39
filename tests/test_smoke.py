"""The main job, once, end to end: a real gunicorn, a real agent, a real tool, and a second request refused."""

from __future__ import annotations

import pytest

from tests.conftest import StartBaton
from tests.harness.process import BatonProcess
from tests.harness.wire import Client, text_of


@pytest.fixture
def baton(start_baton: StartBaton) -> BatonProcess:
    """Started as an operator does it, with everything still to be imported."""
    return start_baton(cold=True)


def test_a_plain_answer_streams_and_is_stored(client: Client) -> None:
    session = client.new_session()
    events = client.say(session, "[say hello there]")
    assert text_of(events) == "hello there"
    assert events[-1]["type"] == "stream_stopped"
    assert [message["content"] for message in client.messages(session)] == [
        "[say hello there]",
        "hello there",
    ]


def test_a_second_request_is_refused_while_a_call_waits_for_approval_and_the_first_goes_on(
    client: Client,
) -> None:
    session = client.new_session()
    with client.run(
        session, '[call shell {"cmd":"echo from-the-shell"}][then][say done]', agent="tools"
    ) as stream:
        stream.until("tool_call_confirmation")
        refused = client.try_run(session, "me too", agent="tools")
        assert refused.status_code == 409
        assert refused.json()["code"] == "awaiting_approval"
        assert client.resume(session, "approve").status_code == 200
        events = stream.rest()
    responses = [event["response"] for event in events if event["type"] == "tool_call_response"]
    assert responses == ["from-the-shell"]
    assert text_of(events) == "done"
