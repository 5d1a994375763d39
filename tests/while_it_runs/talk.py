"""Messages that the tests of this directory send to a session in many places, and the answers that they look for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tests.harness.in_process import LocalClient


class Caller(Protocol):
    """A user, of whatever server."""

    def messages(self, session_id: str) -> list[dict[str, Any]]: ...


def body(*texts: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


def steer(client: LocalClient, session: str, *texts: str) -> list[str]:
    """The ids of what was accepted."""
    answer = client.call("POST", f"/api/sessions/{session}/steer", body(*texts), expect=202)
    return [message["id"] for message in answer["messages"]]


def follow_up(client: LocalClient, session: str, *texts: str) -> list[str]:
    answer = client.call("POST", f"/api/sessions/{session}/followup", body(*texts), expect=202)
    return [message["id"] for message in answer["messages"]]


def queue(client: LocalClient, session: str) -> list[str]:
    """The texts that wait."""
    return [m["content"] for m in client.call("GET", f"/api/sessions/{session}/queue")["messages"]]


def said_by_user(client: Caller, session: str) -> list[str]:
    return [m["content"] for m in client.messages(session) if m["role"] == "user"]


def roles(client: Caller, session: str) -> list[str]:
    return [message["role"] for message in client.messages(session)]


def confirmed(events: Sequence[dict[str, Any]], ids: Sequence[str]) -> list[str]:
    """Those of the queued messages with these ids that `user_message` events have confirmed, as often as they have."""
    said = [event["message_id"] for event in events if event["type"] == "user_message"]
    return [message_id for message_id in said if message_id in ids]
