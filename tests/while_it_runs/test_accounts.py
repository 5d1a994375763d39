"""The limits of a name, over two servers: runs at the same time, and dollars until the next safe point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.access_tokens import parse_token
from app.factory import build
from app.settings import Settings
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.wire import in_parallel
from tests.while_it_runs.conftest import Servers, let_go
from tests.while_it_runs.talk import body, queue, roles

ANN, BOB, OPS = (f"token-of-{name}-0123456789" for name in ("ann", "bob", "ops"))
RUNS: Final = 2
ONE_CALL: Final = 0.0001  # dollars; less than any model call costs
TWO_STEPS: Final = '[call think {"thought":"hm"}][then][say done]'


@pytest.fixture(scope="module")
def servers(settings: Settings) -> Iterator[Servers]:
    """Both with the same tokens and limits."""
    texts = (f"ann:{ANN}", f"bob:{BOB}", f"ops/operator:{OPS}")
    limited = replace(settings, auth_tokens=tuple(map(parse_token, texts)), runs_per_token=RUNS)
    first, second = build(limited), build(limited)
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def here(servers: Servers, model: OfflineServer) -> Iterator[LocalClient]:
    yield LocalClient(servers[0], token=ANN)
    for server in servers:
        let_go(server)


@pytest.fixture
def there(servers: Servers) -> LocalClient:
    return LocalClient(servers[1], token=ANN)


@pytest.fixture
def ops(servers: Servers) -> LocalClient:
    return LocalClient(servers[1], token=OPS)


def set_budget(ops: LocalClient, session: str, budget: float | None) -> None:
    ops.call("PATCH", f"/api/sessions/{session}/budget", {"budget": budget})


def test_of_runs_begun_at_once_on_two_servers_as_many_begin_as_may(
    here: LocalClient, there: LocalClient, servers: Servers, make_gate: Callable[[], Gate]
) -> None:
    sessions = [here.new_session(tools_approved=True) for _ in range(8)]
    gates = [make_gate() for _ in sessions]

    def start(number: int) -> Any:
        client = (here, there)[number % 2]
        path = f"/api/sessions/{sessions[number]}/agent/tools?stream=false"
        return client.ask("POST", path, body(f"{gates[number].call}[then][say done]"))

    answers = in_parallel([lambda n=n: start(n) for n in range(len(sessions))])
    begun = [number for number, answer in enumerate(answers) if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(begun) == RUNS
    assert {(answer.status_code, answer.get_json()["code"]) for answer in refused} == {(429, "too_many_runs")}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    bob = LocalClient(servers[1], token=BOB)
    bob.say(bob.new_session(), "[say another name has its own]")
    for number in begun:
        gates[number].open()
        (here, there)[number % 2].wait_until_free(sessions[number])
    quiet = next(number for number in range(8) if number not in begun)
    assert "messages" not in here.session(sessions[quiet])
    there.say(sessions[quiet], "[say there is room again]")


def test_an_operators_run_is_on_the_account_of_the_sessions_owner(
    here: LocalClient, ops: LocalClient, make_gate: Callable[[], Gate]
) -> None:
    gates = [make_gate() for _ in range(RUNS)]
    at_work = [here.new_session(tools_approved=True) for _ in gates]
    for session, gate in zip(at_work, gates, strict=True):
        path = f"/api/sessions/{session}/agent/tools?stream=false"
        here.call("POST", path, body(f"{gate.call}[then][say done]"), expect=202)
        gate.wait_until_reached()
    assert ops.try_run(here.new_session(), "hello").status_code == 429
    ops.say(ops.new_session(), "[say his own]")
    for session, gate in zip(at_work, gates, strict=True):
        gate.open()
        here.wait_until_free(session)


def test_a_run_that_has_spent_its_budget_stops_at_a_safe_point_and_goes_on_when_it_is_raised(
    here: LocalClient, there: LocalClient, ops: LocalClient
) -> None:
    session = here.new_session(tools_approved=True)
    set_budget(ops, session, ONE_CALL)
    events = here.say(session, TWO_STEPS, agent="tools")
    failed, stopped = events[-2:]
    assert (failed["type"], failed["code"], stopped["type"]) == ("error", "budget_reached", "stream_stopped")
    assert "$" in failed["error"]
    assert roles(here, session) == ["user", "assistant", "tool"], "the call under way has its result"
    (run,) = here.call("GET", f"/api/runs?session={session}")
    assert (run["status"], run["code"]) == ("failed", "budget_reached")
    before = here.session(session)
    refused = there.try_run(session, "[say more]")
    assert refused.status_code == 402
    told = refused.get_json()
    assert (told["code"], told["budget"], told["limit"]) == ("budget_reached", "session", ONE_CALL)
    assert told["spent"] >= ONE_CALL
    assert here.session(session) == before
    set_budget(ops, session, 100)
    there.say(session, "[say gone on]")  # the stand-in judges all of the transcript
    assert here.messages(session)[-1]["content"] == "gone on"


def test_a_budget_that_is_set_while_a_run_is_at_work_stops_it(
    here: LocalClient, ops: LocalClient, make_gate: Callable[[], Gate]
) -> None:
    gate, session = make_gate(), here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}[then][say too late]", agent="tools") as stream:
        gate.wait_until_reached()
        here.call("POST", f"/api/sessions/{session}/followup", body("[say later]"), expect=202)
        set_budget(ops, session, ONE_CALL)
        gate.open()
        stream.rest()
    assert stream.events[-2]["code"] == "budget_reached"
    assert roles(here, session) == ["user", "assistant", "tool"]
    assert queue(here, session) == ["[say later]"], "what waits goes on waiting"
    set_budget(ops, session, 0)
    here.say(session, "[say at last]")
    assert roles(here, session)[3:] == ["user", "assistant", "user", "assistant"]


TEAM = """
agents:
  root: {model: anthropic/claude-sonnet-5-5, description: leads, instruction: Lead., sub_agents: [helper]}
  helper: {model: anthropic/claude-sonnet-5-5, description: helps, instruction: Help., toolsets: [{type: think}]}
"""


def test_a_delegated_task_is_stopped_too_and_its_caller_is_told(
    tmp_path: Path, settings: Settings, model: OfflineServer
) -> None:
    """The call that delegated has its result therefore, and the next run goes on from there."""
    (tmp_path / "team.yaml").write_text(TEAM)
    server = build(replace(settings, agents=tmp_path))
    client = LocalClient(server)
    session = client.new_session(tools_approved=True)
    cost_of_a_call = _cost_of_a_call(client)
    task = '[call think {\\"thought\\":\\"a\\"}][then][call think {\\"thought\\":\\"b\\"}][then][say helped]'
    text = f'[call transfer_task {{"agent":"helper","task":"{task}","expected_output":""}}][then][say done]'
    set_budget(client, session, cost_of_a_call * 1.5)
    events = client.say(session, text, agent="team")
    codes = [event["code"] for event in events if event["type"] == "error"]
    assert codes == ["budget_reached", "budget_reached"]
    assert events[-1]["session_id"] == session
    assert roles(client, session) == ["user", "assistant", "tool"]
    assert "budget" in client.messages(session)[-1]["content"]
    set_budget(client, session, None)
    client.say(session, "[say gone on]", agent="team")
    let_go(server)
    server.close()


def _cost_of_a_call(client: LocalClient) -> float:
    """The cost of the first call that such a team makes."""
    (usage,) = [
        e for e in client.say(client.new_session(), "[say x]", agent="team") if e["type"] == "token_usage"
    ]
    return float(usage["usage"]["cost"])


def test_a_name_that_has_spent_its_budget_of_the_day_begins_nothing_more(
    settings: Settings, model: OfflineServer
) -> None:
    token = parse_token(f"dora:{ANN}")
    server = build(replace(settings, auth_tokens=(token,), token_budget=ONE_CALL))
    client = LocalClient(server, token=ANN)
    events = client.say(client.new_session(), TWO_STEPS, agent="tools")
    client.wait_until_free(events[-1]["session_id"])
    refused = client.try_run(client.new_session(), "hello")
    assert (refused.status_code, refused.get_json()["budget"]) == (402, "token")
    let_go(server)
    server.close()


def test_a_model_without_a_price_that_is_allowed_is_warned_of_where_there_is_a_budget(
    tmp_path: Path, settings: Settings, model: OfflineServer
) -> None:
    (tmp_path / "new.yaml").write_text(
        "agents: {root: {model: anthropic/claude-mythos-5-2, description: d, instruction: i}}"
    )
    for budget, warned in ((5.0, 1), (0.0, 0)):
        allowed = replace(settings, unpriced_models="allow", agents=tmp_path, session_budget=budget)
        server = build(allowed)
        client = LocalClient(server)
        events = client.say(client.new_session(), "[say hello]", agent="new")
        warnings = [event["message"] for event in events if event["type"] == "warning"]
        assert len(warnings) == warned
        assert all("claude-mythos-5-2" in warning for warning in warnings)
        let_go(server)
        server.close()
