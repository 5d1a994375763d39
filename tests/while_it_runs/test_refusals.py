"""A refused request has changed nothing: no row is other than before, and the run at work works on.

Every route that writes is here, with every way to be refused that needs no second machine; a new route fails
`test_every_writing_route_is_tried` until it has come here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.door import ManagedDoor
from app.settings import Settings
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient, LocalStream
from tests.harness.process import eventually
from tests.harness.rows import Rows, all_rows
from tests.while_it_runs.conftest import run_threads
from tests.while_it_runs.talk import follow_up

HELD = "[words 3][hold 1]"
SAY = [{"role": "user", "content": "me"}]
MESSAGE = {"message": {"role": "user", "content": "x"}}


@dataclass(frozen=True)
class Refused:
    """A request to a route. `{s}` is the busy session, `{gone}` one that is not there, `{run}` the run at work,
    `{queued}` a message that waits."""

    method: str
    route: str
    path: str
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.headers.items())
        return f"{self.method} {self.path} {said}{self.status}".replace("{", "").replace("}", "")


RUN = "/api/sessions/<session:session_id>/agent/<key>"
NAMED = f"{RUN}/<path:name>"
WAIT = "/turns/<session:turn_id>/wait"
TODO = "/todos/<todo_id>"
TOOLSET = "/toolsets/<path:name>/restart"
PROMPT = "/mcp/prompts/<path:name>/execute"
STALE = {"If-Match": "7"}


def runs_refused() -> Iterator[Refused]:
    for when in ("reject", "wait", "interrupt", "queue"):
        query = f"?when_busy={when}&wait_timeout=10ms"
        at = "/api/sessions/{s}/agent/"
        busy = when == "reject"
        yield Refused("POST", RUN, f"{at}nothing{query}", 404, SAY)
        yield Refused("POST", NAMED, f"{at}plain/nobody{query}", 404, SAY)
        yield Refused("POST", RUN, f"{at}plain{query}", 409 if busy else 412, SAY, STALE)
        yield Refused("POST", RUN, f"{at}plain{query}", 422, SAY, {"If-Match": "x"})
        yield Refused("POST", RUN, f"{at}plain{query}", 422, [])
        yield Refused("POST", RUN, f"{at}plain{query}&stream=maybe", 422, SAY)
        yield Refused("POST", RUN, f"{at}plain{query}&on_disconnect=maybe", 422, SAY)
        yield Refused("POST", RUN, f"{at}plain{query}", 422, {"messages": SAY, "model": "nobody's"})
        yield Refused("POST", RUN, f"{at}plain{query}", 409, SAY, {"Idempotency-Key": "used"})
        yield Refused("POST", RUN, "/api/sessions/{gone}/agent/plain" + query, 404, SAY)
    yield Refused("POST", RUN, "/api/sessions/{s}/agent/plain?when_busy=interrupt&wait_timeout=x", 422, SAY)
    yield Refused("POST", RUN, "/api/sessions/{s}/agent/plain?when_busy=wait&wait_timeout=10ms", 409, SAY)
    yield Refused("POST", RUN, "/api/sessions/{s}/agent/tools?when_busy=queue", 409, SAY)
    model = {"messages": SAY, "model": "anthropic/claude-haiku-5-5"}
    yield Refused("POST", RUN, "/api/sessions/{s}/agent/plain?when_busy=queue", 422, model)


def others_refused() -> Iterator[Refused]:
    root, at = "/api/sessions/<session:session_id>", "/api/sessions/{s}"
    too_long = {"title": "x" * 5000}
    body: Any
    yield Refused("POST", f"{root}/queue/begin", "/api/sessions/{gone}/queue/begin", 404)
    for method, end, path, body in (
        ("POST", "/fork", "/fork", {"user_message_index": 99}),
        ("POST", "/fork", "/fork", {"user_message_index": -1}),
        ("PATCH", "/title", "/title", too_long),
        ("PATCH", "/starred", "/starred", {}),
        ("PATCH", "/tokens", "/tokens", {"input_tokens": -1, "output_tokens": 0}),
        ("PATCH", "/permissions", "/permissions", {"permissions": {"deny": [1]}}),
        ("PATCH", "/budget", "/budget", {"budget": -1}),
        ("PATCH", "/safety-policy", "/safety-policy", {"safety_policy": "reckless"}),
        ("PATCH", "/mode", "/mode", {"mode": "reckless"}),
        ("PATCH", "/model", "/model", {"model": "nobody's"}),
        ("PATCH", "/model", "/model", {}),
        ("PATCH", "/thinking-level", "/thinking-level", {"level": "minimal"}),
        ("PATCH", "/delegation-policy", "/delegation-policy", {"enabled": 1}),
        ("POST", "/branches", "/branches", {}),
        ("POST", "/branches", "/branches", {"position": -1}),
        ("POST", "/switch-agent", "/switch-agent", {"agent_name": "root"}),
        ("POST", "/switch-agent", "/switch-agent", {"agent_name": "nobody"}),
        ("POST", "/steer", "/steer", {"messages": []}),
        ("POST", "/followup", "/followup", {"messages": []}),
        ("POST", "/messages", "/messages", MESSAGE),
        ("POST", "/summaries", "/summaries", {"summary": "short"}),
        ("POST", "/summaries", "/summaries", {"summary": " "}),
        ("POST", "/undo", "/undo", {}),
        ("POST", "/undo", "/undo", {"user_message_index": 99}),
        ("PATCH", "/messages/<message:position>", "/messages/0", MESSAGE),
        ("PATCH", "/messages/<message:position>", "/messages/99", MESSAGE),
        ("PATCH", "/queue/<session:message_id>", "/queue/nothing", SAY),
        ("PATCH", "/queue/<session:message_id>", "/queue/{queued}", SAY * 2),
        ("DELETE", "/queue/<session:message_id>", "/queue/nothing", None),
        ("POST", "/resume", "/resume", {"confirmation": "approve"}),
        ("POST", "/resume", "/resume", {"confirmation": "approve-session"}),
        ("POST", "/resume", "/resume", {"confirmation": "maybe"}),
        ("POST", "/resume", "/resume", {"confirmation": "approve", "call_id": "another"}),
        ("POST", "/elicitation", "/elicitation", {"action": "accept", "content": {}}),
        ("POST", "/cancel", "/cancel", {"run_id": "another"}),
        ("POST", "/cancel", "/cancel?at=once", {}),
        ("POST", "/cancel", "/cancel?wait=x", {}),
        ("POST", "/retry", "/retry", {}),
        ("POST", "/compact", "/compact", {}),
        ("POST", "/compact", "/compact", {"additional_prompt": "x" * 10_001}),
        ("POST", WAIT, "/turns/nothing/wait", None),
        ("POST", WAIT, "/turns/{run}/wait?timeout=x", None),
        ("PATCH", TODO, "/todos/todo_1", {"status": "completed"}),
        ("PATCH", TODO, "/todos/todo_1", {"status": "done"}),
        ("DELETE", TODO, "/todos/todo_1", None),
        ("POST", "/toolsets/restart", "/toolsets/restart", {"name": "nothing"}),
        ("POST", "/toolsets/restart", "/toolsets/restart", {"name": ""}),
        ("POST", TOOLSET, "/toolsets/nothing/restart", None),
        ("POST", "/mcp/prompts/execute", "/mcp/prompts/execute", {"name": "nothing"}),
        ("POST", "/mcp/prompts/execute", "/mcp/prompts/execute", {"name": "nothing", "args": {"a": 1}}),
        ("POST", PROMPT, "/mcp/prompts/nothing/execute", {}),
        ("POST", PROMPT, "/mcp/prompts/nothing/execute", {"a": 1}),
        ("DELETE", "", "?wait=maybe", None),
        ("DELETE", "", "?timeout=x", None),
    ):
        yield Refused(method, root + end, at + path, 0, body)
    for method, end, path, body in (
        ("POST", "/tools/toggle", "/tools/toggle", None),
        ("POST", "/thinking/toggle", "/thinking/toggle", None),
        ("POST", "/thinking-level/cycle", "/thinking-level/cycle", None),
        ("POST", "/stop-subtree", "/stop-subtree", None),
        ("POST", "/fork", "/fork", {}),
        ("POST", "/steer", "/steer", {"messages": SAY}),
        ("POST", "/followup", "/followup", {"messages": SAY}),
        ("POST", "/cancel", "/cancel", {}),
        ("POST", "/cancel", "/cancel", {"turn_id": "another"}),
        ("POST", "/retry", "/retry", {}),
        ("POST", "/compact", "/compact", {}),
        ("POST", "/pause", "/pause", None),
        ("PATCH", TODO, "/todos/todo_1", {"status": "completed"}),
        ("DELETE", TODO, "/todos/todo_1", None),
        ("POST", "/toolsets/restart", "/toolsets/restart", {"name": "nothing"}),
        ("POST", TOOLSET, "/toolsets/nothing/restart", None),
        ("POST", "/mcp/prompts/execute", "/mcp/prompts/execute", {"name": "nothing"}),
        ("POST", PROMPT, "/mcp/prompts/nothing/execute", {}),
        ("POST", WAIT, "/turns/{run}/wait", None),
        ("POST", "/resume", "/resume", {"confirmation": "approve-session"}),
        ("DELETE", "", "", None),
    ):
        yield Refused(method, root + end, "/api/sessions/{gone}" + path, 404, body)
    yield Refused("POST", f"{root}/retry", f"{at}/retry", 409, {}, {"Idempotency-Key": "used"})
    yield Refused("POST", "/api/runs/<session:run_id>/release", "/api/runs/{gone}/release", 404, {})
    yield Refused("POST", "/api/runs/<session:run_id>/release", "/api/runs/{run}/release", 422, {"reason": 1})
    yield Refused("POST", "/api/sessions", "/api/sessions", 422, {"working_dir": "/nowhere/at/all"})
    yield Refused("POST", "/api/sessions", "/api/sessions", 409, {}, {"Idempotency-Key": "used"})
    yield Refused("POST", "/api/sessions/import", "/api/sessions/import", 422, {"messages": 1})
    yield Refused(
        "POST", "/api/sessions/batch/delete", "/api/sessions/batch/delete", 422, {"session_ids": []}
    )
    yield Refused(
        "POST", "/api/sessions/batch/delete", "/api/sessions/batch/delete", 200, {"session_ids": ["no"]}
    )


REFUSED = [*runs_refused(), *others_refused()]
READS = {"/api/sessions/batch/export"}
OF_OPERATORS = {"/api/owners/<name>"}  # see tests/web/test_owners.py


def test_every_writing_route_is_tried(server: Server) -> None:
    writing = {
        (method, rule.rule)
        for rule in server.app.url_map.iter_rules()
        for method in (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
        if rule.rule not in READS | OF_OPERATORS
        and not rule.rule.startswith(ManagedDoor.prefix)  # see tests/managed
    }
    assert writing == {(one.method, one.route) for one in REFUSED}


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The module's one run goes on from test to test; `busy` waits for its end."""


@dataclass
class Busy:
    """A session whose run stands inside the model, with a message that waits behind it."""

    session: str
    stream: LocalStream
    names: dict[str, str]


@pytest.fixture(scope="module")
def settings(directory: Any, stand_in: OfflineServer) -> Settings:
    return make_settings(directory, stand_in.url)


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    built = build(settings)
    yield built
    built.close()


@pytest.fixture(scope="module")
def busy(server: Server, stand_in: OfflineServer) -> Iterator[Busy]:
    """One for the module: no request here may change anything about it."""
    stand_in.reset()
    client = LocalClient(server)
    session = client.new_session()
    client.call("POST", "/api/sessions", {"max_iterations": 3}, headers={"Idempotency-Key": "used"})
    with client.run(session, HELD) as stream:
        stream.until("agent_choice")
        (queued,) = follow_up(client, session, "[say later]")
        (run,) = client.call("GET", f"/api/runs?session={session}")
        eventually(lambda: _written(server, session), "its events are stored")
        yield Busy(session, stream, {"s": session, "gone": "not-there", "run": run["id"], "queued": queued})
        stand_in.release()
        assert stream.rest()[-1]["type"] == "stream_stopped"
    assert client.messages(session)[-1]["content"] == "later"
    eventually(lambda: not run_threads(), "the run's thread has ended")
    assert stand_in.violations == []


def _written(server: Server, session: str) -> bool:
    live = server.runtime.runs.find(session)
    return live is not None and live.log.unwritten(live.run.id) is None


def rows(server: Server) -> Rows:
    """All that a request could change; leases are renewed and jobs are done meanwhile."""
    found = all_rows(server.store.database)
    for name in ("runs", "scheduled_jobs"):
        del found[name]
    return found


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_a_refused_request_changes_nothing(server: Server, busy: Busy, refused: Refused) -> None:
    before, runs_before = rows(server), server.store.runs.recent()
    path = re.sub(r"\{(\w+)\}", lambda found: busy.names[found[1]], refused.path)
    response = LocalClient(server).ask(refused.method, path, refused.body, headers=refused.headers)
    if refused.status:
        assert response.status_code == refused.status, response.get_data(as_text=True)
    else:
        assert 400 <= response.status_code < 500, response.get_data(as_text=True)
    assert rows(server) == before
    after = server.store.runs.recent()
    assert [(run.id, run.status, run.stopped_by) for run in after] == [
        (run.id, run.status, run.stopped_by) for run in runs_before
    ]
    live = server.runtime.runs.find(busy.session)
    assert live is not None
    assert not live.cancellation.is_set()
    assert not live.stops_at_safe_point


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("resume", {"confirmation": "approve-session", "call_id": "another"}),
        ("resume", {"confirmation": "approve-tool", "tool_name": "*", "call_id": "another"}),
        ("elicitation", {"action": "accept", "content": {}}),
        ("elicitation", {"action": "cancel", "call_id": "another"}),
        ("agent/plain?when_busy=interrupt", []),
        ("agent/plain/nobody?when_busy=interrupt", SAY),
        ("cancel", {"run_id": "another"}),
    ],
)
def test_what_does_not_fit_a_question_leaves_it_open(server: Server, route: str, body: Any) -> None:
    client = LocalClient(server)
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}][then][say done]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        eventually(lambda: _written(server, session), "its events are stored")
        before = rows(server)
        assert 400 <= client.ask("POST", f"/api/sessions/{session}/{route}", body).status_code < 500
        assert rows(server) == before
        client.resume(session, "approve")
        assert stream.rest()[-1]["type"] == "stream_stopped"
    assert client.messages(session)[-1]["content"] == "done"
    client.wait_until_free(session)
    thread = f"run-{stream.response.headers['X-Run-ID'][:8]}"
    eventually(lambda: thread not in run_threads(), "the run's thread has ended")
