"""People's use of a filled database, whatever code serves it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.harness.wire import Client, Stream, text_of
from tests.upgrades.filling import APPROVED_FILE, FINISHED, KEY, session_of

RUNS: Final = {"finished": 11, "failed": 2, "cancelled": 2, "awaiting_approval": 2, "awaiting_input": 1}
"""How many there are of each, besides those whose server died."""


def read_everything(client: Client, operator: Client) -> None:
    """Everything can be seen, and nothing of it is lost."""
    counted = Counter(run["status"] for run in client.get("/api/runs").json())
    assert {status: counted[status] for status in RUNS} == RUNS
    for session in client.get("/api/sessions").json():
        read_session(client, session["id"])
    finished = session_of(client, "finished")
    with client.follow(finished, since=0) as stream:
        stream.until("stream_stopped")
        assert text_of(stream.events) == "finished"
    again = client.try_run(finished, FINISHED, agent="crew", headers=KEY)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert text_of(Stream(again).rest()) == "finished"
    waiting = client.get(f"/api/sessions/{session_of(client, 'waits for an approval')}/queue").json()
    assert [message["content"] for message in waiting["messages"]] == ["[say steered]", "[say followed]"]
    assert {entry["who"] for entry in operator.get("/api/audit").json()["entries"]} == {"ann"}


def read_session(client: Client, session: str) -> dict[str, Any]:
    whole = client.session(session)
    for view in ("snapshot", "status", "queue"):
        assert client.get(f"/api/sessions/{session}/{view}").ok
    return whole


def go_on(client: Client, directory: Path) -> None:
    """Each question is answered, each run goes on, and every session can be used."""
    approve_both_calls(client, directory)
    answer_form(client)
    give_leave(client)
    for session in client.get("/api/sessions").json():
        said = text_of(client.say(session["id"], "[calm][say and on]"))
        assert said.endswith("and on"), session["title"]


def approve_both_calls(client: Client, directory: Path) -> None:
    """Each of the two calls runs once; then the steer is delivered, and the follow-up has its turn."""
    session = session_of(client, "waits for an approval")
    first = client.session(session)["run"]["waiting_for"]["call_id"]
    with client.follow(session, since=_last_event(client, session)) as stream:
        assert client.resume(session, "approve", call_id=first).ok
        _until_asked_about_another_call(stream, first)
        assert client.resume(session, "approve").ok
        stream.until("stream_stopped")
    assert (directory / APPROVED_FILE).read_text() == "ran\nsecond\n"
    said = [message["content"] for message in client.messages(session) if message["role"] == "user"]
    assert said[1:3] == ["[say steered]", "[say followed]"]


def answer_form(client: Client) -> None:
    session = session_of(client, "waits for a form")
    with client.follow(session, since=_last_event(client, session)) as stream:
        answer = {"action": "accept", "content": {"way": "left"}}
        assert client.post(f"/api/sessions/{session}/elicitation", answer).ok
        stream.until("stream_stopped")
        assert text_of(stream.events) == "thanks"


def give_leave(client: Client) -> None:
    session = session_of(client, "waits for leave to go on")
    with client.follow(session, since=_last_event(client, session)) as stream:
        assert client.resume(session, "approve").ok
        stream.until("stream_stopped")
        assert text_of(stream.events) == "thought"


def _until_asked_about_another_call(stream: Stream, first: str) -> None:
    """The stream may begin with the question about the first one: its holder stores events with a delay."""
    while stream.until("tool_call_confirmation")["tool_call"]["id"] == first:
        pass


def _last_event(client: Client, session: str) -> int:
    return int(client.get(f"/api/sessions/{session}/snapshot").json()["last_event_seq"])
