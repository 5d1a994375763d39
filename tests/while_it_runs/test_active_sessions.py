"""The list of sessions says which of them a run has, in whatever process."""

from __future__ import annotations

from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient


def listed(client: LocalClient, query: str = "") -> dict[str, bool]:
    return {one["id"]: one.get("streaming", False) for one in client.call("GET", f"/api/sessions{query}")}


def test_sessions_with_a_run_at_work_can_be_had_alone(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    idle, busy = here.new_session(), here.new_session(tools_approved=True)
    here.say(idle, "[say hello]")
    with here.run(busy, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        for client in (here, there):
            everything = listed(client)
            assert (everything[idle], everything[busy]) == (False, True)
            assert listed(client, "?active=false").keys() == everything.keys()
            for query in ("?active=true", "?active=true&limit=5"):
                assert listed(client, query) == {busy: True}
        gate.open()
        stream.rest()
    assert listed(there, "?active=true") == {}


def test_pages_of_active_sessions_lead_to_the_next_one(here: LocalClient, gate: Gate) -> None:
    busy = [here.new_session(tools_approved=True) for _ in range(2)]
    text = f"{gate.call}[then][say done]"
    with here.run(busy[0], '[call user_prompt {"message": "?"}]', agent="tools") as first:
        first.until("elicitation_request")
        with here.run(busy[1], text, agent="tools") as second:
            gate.wait_until_reached()
            response = here.ask("GET", "/api/sessions?active=true&limit=1")
            assert [one["id"] for one in response.get_json()] == [busy[1]]
            following = response.headers["Link"].split(">")[0].removeprefix("<")
            assert listed(here, "?" + following.partition("?")[2]) == {busy[0]: True}
            gate.open()
            second.rest()
        here.stop(busy[0])
        first.rest()


def test_any_other_word_is_refused(local: LocalClient) -> None:
    local.call("GET", "/api/sessions?active=maybe", expect=422)
