"""A run that is about to end makes way for the next request, which may wait a moment for its end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.conversation.run import Answer, Run
from app.factory import build
from app.runtime import manager
from app.runtime.live_run import LiveRun
from app.runtime.manager import RuntimeManager
from app.runtime.run_finisher import Finisher
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.wire import text_of
from tests.test_sequences import call_text

TEAM = """
agents:
  root: {model: m, description: Thinks, max_iterations: 1, toolsets: [{type: think}]}
  leader: {model: m, description: Leads, sub_agents: [helper]}
  helper: {model: m, description: Helps, max_iterations: 1, toolsets: [{type: think}]}
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
permissions: {allow: [think, transfer_task]}
"""
AT_LIMIT = call_text("think", thought="hm") + "[then][say over the limit]"


WHERE = pytest.mark.parametrize(
    ("process", "kind", "step"), [(0, Finisher, "finish"), (1, LiveRun, "deliver")], ids=["same", "another"]
)
"""The process that gets the next message, and the step at which the run is held back."""


class HeldEnd:
    """Holds back the first run that comes to `step` of `kind`, until `let_go` is set; tells when a request waits."""

    def __init__(self, patched: pytest.MonkeyPatch, kind: type, step: str) -> None:
        self.reached, self.let_go, self.awaited = Event(), Event(), Event()
        take_step, has_stopped = getattr(kind, step), RuntimeManager._has_stopped

        def late(*given: Any) -> Any:
            self.reached.set()
            assert self.let_go.wait(30)
            return take_step(*given)

        def look(of: RuntimeManager, run: Run) -> bool:
            self.awaited.set()
            return has_stopped(of, run)

        patched.setattr(kind, step, late)
        patched.setattr(RuntimeManager, "_has_stopped", look)


@pytest.fixture
def servers(
    tmp_path: Path, model: OfflineServer, database_url: str
) -> Iterator[tuple[LocalClient, LocalClient]]:
    (tmp_path / "team.yaml").write_text(TEAM)
    settings = make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", database_url=database_url)
    first, second = build(settings), build(settings)
    yield LocalClient(first), LocalClient(second)
    first.close()
    second.close()


@pytest.fixture
def session(servers: tuple[LocalClient, LocalClient]) -> str:
    """Its run asks for more turns."""
    here, _ = servers
    session = here.new_session(title="limit")
    with here.run(session, AT_LIMIT, agent="team", query="?on_disconnect=continue") as stream:
        stream.until("max_iterations_reached")
    return session


def _say(client: LocalClient, session: str, text: str) -> str:
    return text_of(client.say(session, f"[say {text}]", agent="team"))


@WHERE
def test_a_message_after_a_refusal_of_more_turns_waits_for_the_end_of_the_run(
    servers: tuple[LocalClient, LocalClient],
    session: str,
    monkeypatch: pytest.MonkeyPatch,
    process: int,
    kind: type,
    step: str,
) -> None:
    held, client = HeldEnd(monkeypatch, kind, step), servers[process]
    client.resume(session, "reject")
    assert held.reached.wait(30)
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(_say, client, session, "two")
        assert held.awaited.wait(30)
        assert not said.done()
        held.let_go.set()
        assert said.result(30) == "two"


@WHERE
def test_a_run_that_does_not_end_refuses_the_message(
    servers: tuple[LocalClient, LocalClient],
    session: str,
    monkeypatch: pytest.MonkeyPatch,
    process: int,
    kind: type,
    step: str,
) -> None:
    monkeypatch.setattr(manager, "STOPPING_SECONDS", 0.01)
    held, client = HeldEnd(monkeypatch, kind, step), servers[process]
    client.resume(session, "reject")
    assert held.reached.wait(30)
    refused = client.try_run(session, "two", agent="team")
    held.let_go.set()
    assert (refused.status_code, refused.get_json()["code"]) == (409, "stopping")
    client.wait_until_free(session)
    assert [row["content"] for row in client.messages(session) if row["role"] == "user"] == [AT_LIMIT]


def test_a_refusal_of_more_turns_for_a_task_does_not_end_the_run_that_gave_it(
    servers: tuple[LocalClient, LocalClient],
) -> None:
    here, _ = servers
    session = here.new_session(title="task")
    task = call_text("transfer_task", agent="helper", task=AT_LIMIT, expected_output="")
    with here.run(session, f"{task}[then][hold 1]", agent="team/leader") as stream:
        stream.until("max_iterations_reached")
        here.resume(session, "reject")
        refused = here.try_run(session, "two", agent="team")
        assert refused.status_code == 409
        assert refused.get_json()["code"] != "stopping"  # though the question may still stand for a moment


def test_a_form_that_is_filled_in_with_the_mark_of_an_end_does_not_end_its_run() -> None:
    mark = Answer("reject").ending_run().content
    assert Answer("reject", content=mark).ends_run
    assert not Answer("accept", content=mark).ends_run


def test_a_run_that_is_deleted_with_its_session_has_ended(servers: tuple[LocalClient, LocalClient]) -> None:
    claims = servers[0].server.runtime.claims
    assert claims.await_end("no such run", 30)
