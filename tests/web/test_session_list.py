"""The list of sessions by last activity, page by page."""

from __future__ import annotations

from typing import Any

from app.factory import Server
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually


def by_activity(client: LocalClient, more: str = "") -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = client.call("GET", f"/api/sessions?order=activity{more}")
    return sessions


def test_the_session_that_was_active_last_comes_first(server: Server, local: LocalClient) -> None:
    first, second, third = (local.new_session(title=name) for name in ("one", "two", "three"))
    assert [one["id"] for one in by_activity(local)] == [third, second, first]
    local.say(first, "hello", agent="plain")
    assert [one["id"] for one in by_activity(local)] == [first, third, second]
    local.call(
        "POST", f"/api/sessions/{second}/messages", {"message": {"role": "user", "content": "x"}}, expect=201
    )
    shown = by_activity(local)
    assert [one["id"] for one in shown] == [second, first, third]
    assert shown[1]["agent"] == "plain/root"
    assert not {"agent", "status", "last_active_at"} & shown[2].keys()
    assert shown[1]["last_active_at"] >= shown[1]["created_at"]
    assert [one["id"] for one in local.call("GET", "/api/sessions")] == [third, second, first]


def test_the_status_of_a_run_stands_in_the_list(server: Server, local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, '[call shell {"cmd":"true"}]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        (shown,) = local.call("GET", "/api/sessions?active=true&limit=10")
        assert (shown["status"], shown["streaming"], shown["agent"]) == (
            "awaiting_approval",
            True,
            "tools/root",
        )
        assert local.ask("POST", f"/api/sessions/{session}/cancel").status_code in (200, 202)
        stream.rest()
    eventually(lambda: not local.call("GET", "/api/sessions?active=true"), "nothing runs")


def test_pages_by_activity_name_each_session_once(server: Server, local: LocalClient) -> None:
    sessions = [local.new_session() for _ in range(7)]
    local.say(sessions[2], "hello", agent="plain")
    path, seen = "sessions?order=activity&limit=3", []
    while path:
        response = local.ask("GET", f"/api/{path}")
        seen += [one["id"] for one in response.get_json()]
        path = response.headers.get("Link", "")[1:].partition(">")[0]
    assert seen == [sessions[2], *(one for one in reversed(sessions) if one != sessions[2])]
    whole = [one["id"] for one in by_activity(local)]
    assert whole == seen
