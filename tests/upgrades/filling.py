"""Fills a database through a server's API: a session for each thing that a database can hold, found by its title."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

AGENTS: Final = Path(__file__).with_name("agents")
ANN: Final = "the-token-of-ann-in-tests"
OPERATOR: Final = "the-token-of-the-operator-in-tests"
SETTINGS: Final = {
    "BATON_AUTH_TOKENS": f"ann:{ANN},op/operator:{OPERATOR}",
    "BATON_TOKEN_BUDGET": "1000",
    "BATON_REQUESTS_PER_MINUTE": "100000",
    "BATON_RUNS_PER_TOKEN": "100",
    "BATON_ON_DISCONNECT": "continue",
}
KEY: Final = {"Idempotency-Key": "the-key-of-a-finished-run"}
FOLLOW_UP_KEY: Final = {"Idempotency-Key": "the-key-of-a-follow-up"}
APPROVED_FILE: Final = "approved"
"""In the session's directory; the call that waits for an approval adds a line to it."""

Start = Callable[[], BatonProcess]


def call(name: str, **arguments: Any) -> str:
    return f"[call {name} {json.dumps(arguments)}]"


FINISHED: Final = (
    call("shell", cmd="echo done")
    + call("think", thought="first")
    + "[then]"
    + call("create_todo", description="the first thing")
    + "[then][say finished]"
)


def fill(start: Start, directory: Path) -> None:
    """Ends with a kill, so that a run at work, an open call and a place in line are left as they were."""
    server = start()
    client = Client(server.url, token=ANN)
    converse(client)
    with _at_work(client, directory, "a run whose server died"):
        server.kill()
    server = start()
    client = Client(server.url, token=ANN)
    leave_questions(client)
    eventually(lambda: _status(client, "a run whose server died") == "interrupted", "the sweep has found it")
    with _at_work(client, directory, "a run at work") as session:
        _stand_in_line(server, session)
        server.kill()


def converse(client: Client) -> None:
    """Everything that comes to an end by itself."""
    _finished(client)
    _failed(client)
    _decided(client)
    _cut(client)
    _edited(client)
    _told(client)
    _given_away(client)


def session_of(client: Client, title: str) -> str:
    [found] = [one["id"] for one in client.get("/api/sessions").json() if one["title"] == title]
    return str(found)


def _new(client: Client, title: str, **body: Any) -> str:
    session = client.new_session(**body)
    assert client.request("PATCH", f"/api/sessions/{session}/title", json={"title": title}).ok
    return session


def _status(client: Client, title: str) -> str:
    session = session_of(client, title)
    return str(client.get("/api/runs", params={"session": session}).json()[0]["status"])


def _finished(client: Client) -> None:
    session = _new(client, "finished", tools_approved=True, permissions={"deny": ["shell:cmd=forbidden*"]})
    client.say(session, FINISHED, agent="crew", headers=KEY)
    assert client.request("PATCH", f"/api/sessions/{session}/starred", json={"starred": True}).ok
    thinking = _new(client, "thinking")
    assert client.post(f"/api/sessions/{thinking}/thinking/toggle").ok
    client.say(thinking, "[think about the weather][say it rains]")


def _failed(client: Client) -> None:
    client.say(_new(client, "failed"), "[fail 400]")
    client.say(_new(client, "refused"), "[refuse]")
    session = _new(client, "a failed call", tools_approved=True)
    client.say(session, call("no_such_tool", a=1) + "[then][say so]", agent="hands")


def _decided(client: Client) -> None:
    session = _new(client, "rejected")
    with client.run(session, call("shell", cmd="echo no") + "[then][say rejected]", agent="hands") as stream:
        stream.until("tool_call_confirmation")
        assert client.resume(session, "reject", reason="not today").ok
        stream.rest()
    session = _new(client, "approved")
    with client.run(session, call("shell", cmd="echo yes") + "[then][say yes]", agent="hands") as stream:
        stream.until("tool_call_confirmation")
        assert client.resume(session, "approve-tool", tool_name="shell:cmd=echo *").ok
        stream.rest()
    session = _new(client, "cancelled")
    with client.run(session, call("shell", cmd="echo never"), agent="hands") as stream:
        stream.until("tool_call_confirmation")
        assert client.post(f"/api/sessions/{session}/cancel").ok
        stream.rest()


def _cut(client: Client) -> None:
    session = _new(client, "cut")
    with client.run(session, "[hold 3][words 20]") as stream:
        stream.until("agent_choice")
        assert client.post(f"/api/sessions/{session}/cancel").ok
        stream.rest()


def _edited(client: Client) -> None:
    session = _new(client, "edited")
    path = f"/api/sessions/{session}/messages"
    assert client.post(path, {"message": {"role": "user", "content": "I am Ann."}}).ok
    words = {"message": {"role": "user", "content": "I am still Ann."}}
    assert client.request("PATCH", f"{path}/0", json=words).ok
    client.say(session, "[say hello]")
    assert client.post(f"/api/sessions/{session}/fork").ok


def _told(client: Client) -> None:
    session = _new(client, "summarized", tools_approved=True)
    client.say(session, call("shell", cmd="echo one") + "[then][say done]", agent="hands")
    assert client.post(f"/api/sessions/{session}/summaries", {"summary": "One was said."}).ok
    client.say(session, "[say two]", agent="hands")


def _given_away(client: Client) -> None:
    session = _new(client, "delegated", tools_approved=True)
    task = {"agent": "helper", "task": "[say helped]", "expected_output": ""}
    client.say(session, call("transfer_task", **task) + "[then][say delegated]", agent="crew")
    session = _new(client, "background", tools_approved=True)
    work = {"agent": "helper", "task": "[say worked]", "expected_output": ""}
    client.say(session, call("run_background_agent", **work) + "[then][say begun]", agent="crew")

    def ended() -> bool:
        found = client.get("/api/runs").json()
        return all(run["status"] == "finished" for run in found if run["agent"] == "crew/helper")

    eventually(ended, "the background task has ended")


def leave_questions(client: Client) -> None:
    """Runs that wait for a person."""
    session = _new(client, "waits for an approval")
    text = call("shell", cmd=f"echo ran >> {APPROVED_FILE}") + call(
        "shell", cmd=f"echo second >> {APPROVED_FILE}"
    )
    with client.run(session, text + "[then][say both]", agent="hands") as stream:
        stream.until("tool_call_confirmation")
        assert client.post(f"/api/sessions/{session}/steer", _said("[say steered]")).ok
        follow_up = f"/api/sessions/{session}/followup"
        assert client.post(follow_up, _said("[say followed]"), headers=FOLLOW_UP_KEY).ok
    session = _new(client, "waits for a form")
    form = call("user_prompt", message="Which way?", schema={"type": "object"})
    with client.run(session, f"{form}[then][say thanks]", agent="crew") as stream:
        stream.until("elicitation_request")
    session = _new(client, "waits for leave to go on")
    thoughts = "[then]".join(call("think", thought=word) for word in ("a", "b", "c"))
    with client.run(session, f"{thoughts}[then][say thought]", agent="limited") as stream:
        stream.until("max_iterations_reached")


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@contextmanager
def _at_work(client: Client, directory: Path, title: str) -> Iterator[str]:
    """Inside the first of two tool calls."""
    name = f"gate-{title.replace(' ', '-')}"
    gate = Gate(directory, name)
    session = _new(client, title, tools_approved=True)
    try:
        with client.run(
            session, call("shell", cmd=f"cat {name}") + call("think", thought="later"), agent="hands"
        ):
            gate.wait_until_reached()
            yield session
    finally:
        gate.close()


def _stand_in_line(server: BatonProcess, session: str) -> None:
    client = Client(server.url, token=ANN)

    def wait() -> None:
        try:
            client.try_run(session, "[say next]", agent="hands", query="?when_busy=wait&wait_timeout=60s")
        except OSError:
            pass  # its server was killed

    threading.Thread(target=wait, daemon=True).start()
    operator = Client(server.url, token=OPERATOR)
    eventually(lambda: _waiting_requests(operator) == 1, "a request stands in line")


def _waiting_requests(client: Client) -> int:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith("baton_waiting_requests"):
            return int(float(line.rpartition(" ")[2]))
    return 0
