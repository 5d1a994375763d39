"""A session's status, as seen from whichever process."""

from __future__ import annotations

from typing import Any

from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient


def status(client: LocalClient, session: str, *, expect: int = 200) -> Any:
    return client.call("GET", f"/api/sessions/{session}/status", expect=expect)


def test_the_status_says_whether_a_run_is_at_work_in_any_process(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    new = status(there, session)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        during = status(there, session)
        gate.open("the result")
        stream.rest()
    after = status(there, session)
    assert (new["streaming"], new["agent"], new["num_messages"]) == (False, "", 0)
    assert (during["streaming"], during["agent"]) == (True, "root")
    assert (after["streaming"], after["num_messages"]) == (False, 4)
    assert set(after) == {
        *("id", "title", "streaming", "agent"),
        *("input_tokens", "output_tokens", "num_messages"),
    }


def test_tokens_that_were_set_are_shown(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    counts = {"input_tokens": 12, "output_tokens": 3}
    assert here.call("PATCH", f"/api/sessions/{session}/tokens", counts) == {"status": "updated"}
    assert {name: status(there, session)[name] for name in counts} == counts


def test_a_star_is_kept(here: LocalClient) -> None:
    session = here.new_session()
    path = f"/api/sessions/{session}/starred"
    assert here.call("PATCH", path, {"starred": True}) == {"status": "updated"}
    assert here.server.store.sessions.get(session).starred
    here.call("PATCH", path, {"starred": False})
    assert not here.server.store.sessions.get(session).starred
    here.call("PATCH", path, {"starred": "yes"}, expect=422)


def test_there_is_no_status_of_a_session_that_is_not_there(here: LocalClient) -> None:
    assert status(here, "nobody", expect=404)["code"] == "unknown_session"
