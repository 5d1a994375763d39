"""A person approves a call with other arguments than the model gave it: through any process, once, and told to all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from anthropic_standin.standin_server import OfflineServer
from app.store.engine import Database
from app.store.tables import runs
from tests.harness.in_process import LocalClient, LocalStream
from tests.while_it_runs.conftest import Servers

OWN = {"path": "own.txt", "content": "mine\n"}
OTHERS = {"path": "other.txt", "content": "theirs\n"}
WRITE = f"[call write_file {json.dumps(OWN)}][then][say done]"


def confirmed(stream: LocalStream) -> str:
    return str(stream.until("tool_call_confirmation")["tool_call"]["id"])


def change(call: str, arguments: Any = None) -> dict[str, Any]:
    return {"call_id": call, "arguments": OTHERS if arguments is None else arguments}


def post(client: LocalClient, session: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = client.ask("POST", f"/api/sessions/{session}/resume", body)
    return response.status_code, response.get_json()


def results(client: LocalClient, session: str) -> list[str]:
    return [m["content"] for m in client.messages(session) if m["role"] == "tool"]


@pytest.fixture(params=["announced", "unannounced"])
def hand(there: LocalClient, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LocalClient:
    if request.param == "unannounced":
        monkeypatch.setattr(Database, "notify", lambda *_: None)
    return there


def test_the_call_runs_with_them_and_the_model_is_told(
    here: LocalClient, hand: LocalClient, directory: Path, model: OfflineServer
) -> None:
    (directory / "own.txt").unlink(missing_ok=True)
    session = here.new_session()
    with here.run(session, WRITE, agent="tools") as stream:
        call = confirmed(stream)
        hand.resume(session, "approve", change(call))
        stream.rest()
    assert (directory / "other.txt").read_text() == "theirs\n"
    assert not (directory / "own.txt").exists()
    [result] = results(here, session)
    line, _, rest = result.partition("\n\n")
    told = "A person changed the arguments of this call before it ran. It ran with: "
    assert line.startswith(told)
    assert json.loads(line.removeprefix(told)) == OTHERS
    assert rest == "File written successfully: other.txt (7 bytes)"
    running = [event for event in stream.events if event["type"] == "tool_call"]
    assert [json.loads(event["tool_call"]["function"]["arguments"]) for event in running] == [OTHERS]
    [answered] = [event for event in stream.events if event["type"] == "tool_call_response"]
    assert json.loads(answered["tool_call"]["function"]["arguments"]) == OTHERS
    assert answered["response"] == result
    [said] = [message for message in here.messages(session) if message.get("tool_calls")]
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == OWN, "the model's words stay"
    sent = json.dumps(model.requests[-1])
    assert "own.txt" in sent
    assert "A person changed" in sent
    assert model.violations == []


def test_the_ledger_and_the_trail_say_what_ran(servers: Servers, here: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, WRITE, agent="tools") as stream:
        call = confirmed(stream)
        here.resume(session, "approve", change(call))
        stream.rest()
    row = servers[0].store.journal.ledger(session)[call]
    assert (row.arguments, row.state, row.decision) == (OTHERS, "completed", "approve")
    [entry] = [
        one
        for one in here.call("GET", f"/api/audit?session={session}")["entries"]
        if one["action"] == "approve"
    ]
    assert call in entry["detail"]
    assert '"path":"other.txt"' in entry["detail"]


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"path": 5, "content": ""}, "path must be a string"),
    ({"path": "a"}, "content is missing"),
    ({**OTHERS, "mode": "0777"}, "mode"),
    ({}, "path is missing"),
]


@pytest.mark.parametrize(("arguments", "words"), UNFIT)
def test_what_does_not_fit_the_tool_is_refused_by_name_and_the_run_goes_on_waiting(
    here: LocalClient, there: LocalClient, arguments: dict[str, Any], words: str
) -> None:
    session = here.new_session()
    with here.run(session, WRITE, agent="tools") as stream:
        call = confirmed(stream)
        for client in (here, there):
            status, body = post(client, session, {"confirmation": "approve", **change(call, arguments)})
            assert (status, body["code"]) == (400, "invalid_request")
            assert words in body["message"]
        assert here.session(session)["run"]["status"] == "awaiting_approval"
        here.resume(session, "approve")
        stream.rest()
    assert results(here, session) == ["File written successfully: own.txt (5 bytes)"]


@pytest.mark.parametrize("confirmation", ["approve-tool", "approve-session", "approve-balanced", "reject"])
def test_they_are_for_one_call(here: LocalClient, confirmation: str) -> None:
    session = here.new_session()
    with here.run(session, WRITE, agent="tools") as stream:
        call = confirmed(stream)
        assert post(here, session, {"confirmation": confirmation, **change(call)})[0] == 400
        assert post(here, session, {"confirmation": "approve", "arguments": OTHERS})[0] == 400
        assert post(here, session, {"confirmation": "approve", **change(call, [])})[0] == 422
        other = post(here, session, {"confirmation": "approve", **change("toolu_other")})
        assert (other[0], other[1]["code"]) == (409, "nothing_to_answer")
        assert here.session(session)["run"]["status"] == "awaiting_approval"
        here.stop(session)


def test_a_denial_that_matches_them_refuses_and_changes_nothing(
    here: LocalClient, there: LocalClient, directory: Path
) -> None:
    session = here.new_session(permissions={"deny": ["write_file:path=secret*"]})
    with here.run(session, WRITE, agent="tools") as stream:
        call = confirmed(stream)
        for client in (here, there):
            arguments = {"path": "secret.txt", "content": "x"}
            status, body = post(client, session, {"confirmation": "approve", **change(call, arguments)})
            assert (status, body["code"]) == (403, "call_denied")
            spelled = {"path": "./a/../secret.txt", "content": "x"}
            assert post(client, session, {"confirmation": "approve", **change(call, spelled)})[0] == 403
        assert here.session(session)["run"]["status"] == "awaiting_approval"
        here.resume(session, "approve", change(call, {"path": "open.txt", "content": "x"}))
        stream.rest()
    assert (directory / "open.txt").exists()
    assert not (directory / "secret.txt").exists()


def test_a_denial_of_the_agents_file_counts_too(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, '[call shell {"cmd": "echo fine"}][then][say done]', agent="tools") as stream:
        call = confirmed(stream)
        status, body = post(
            there, session, {"confirmation": "approve", **change(call, {"cmd": "forbidden x"})}
        )
        assert (status, body["code"]) == (403, "call_denied")
        there.resume(session, "approve", change(call, {"cmd": "echo changed"}))
        stream.rest()
    assert results(here, session)[0].endswith("\n\nchanged")


def test_the_first_answer_wins_and_a_second_learns_of_it(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, WRITE, agent="tools") as stream:
        call = confirmed(stream)
        here.resume(session, "approve", change(call))
        stream.rest()
        status, body = post(there, session, {"confirmation": "approve", **change(call)})
        assert (status, body["code"], body["decision"]) == (409, "answered_already", "approve")


def test_a_long_change_is_told_by_what_differs(here: LocalClient) -> None:
    session = here.new_session()
    long = "0123456789\n" * 1000
    with here.run(session, WRITE, agent="tools") as stream:
        here.resume(session, "approve", change(confirmed(stream), {**OWN, "content": long}))
        stream.rest()
    line = results(here, session)[0].partition("\n\n")[0]
    assert len(line) < 1000
    assert "11,000 characters" in line
    assert "own.txt" not in line


def test_who_looks_sees_the_schema_of_the_arguments(here: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, WRITE, agent="tools") as stream:
        call = confirmed(stream)
        run = here.session(session)["run"]
        asked = here.call("GET", f"/api/sessions/{session}/question")
        assert asked["schema"]["required"] == ["path", "content"]
        assert (asked["call_id"], asked["arguments"], asked["run_id"]) == (call, OWN, run["id"])
        assert "definition" not in asked
        [listed] = here.call("GET", f"/api/runs?session={session}")
        assert set(listed["waiting_for"]) == {"kind", "call_id", "tool", "arguments", "agent"}
        here.resume(session, "reject", {"call_id": call})
        stream.rest()
    nothing = here.call("GET", f"/api/sessions/{session}/question", expect=409)
    assert nothing["code"] == "nothing_to_answer"


def test_a_question_of_an_earlier_version_takes_no_changes(servers: Servers, here: LocalClient) -> None:
    """Its process would run the call with the model's arguments."""
    session = here.new_session()
    with here.run(session, WRITE, agent="tools") as stream:
        call = confirmed(stream)
        with servers[0].store.database.writing() as connection:
            here_it_is = runs.c.session_id == session
            asked = json.loads(
                connection.execute(select(runs.c.waiting_for_json).where(here_it_is)).scalar_one()
            )
            del asked["details"]["definition"]
            connection.execute(update(runs).where(here_it_is).values(waiting_for_json=json.dumps(asked)))
        status, body = post(here, session, {"confirmation": "approve", **change(call)})
        assert (status, "earlier version" in body["message"]) == (400, True)
        here.resume(session, "approve", {"call_id": call})
        stream.rest()
    assert results(here, session) == ["File written successfully: own.txt (5 bytes)"]
