"""Holders of a session: which run, since when and what for; taking the session away from one that is stuck;"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools.think import ThinkToolset
from app.agent.toolset import ToolResult
from app.factory import Server
from app.store import tables
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.tools import instead_of
from tests.while_it_runs.conftest import Servers, run_threads
from tests.while_it_runs.talk import roles, said_by_user

ECHO = '[call shell {"cmd": "echo hands"}]'
DONE = "[then][say done]"
HELD = "[words 50][hold 5]"


def runs(client: LocalClient, query: str = "") -> list[dict[str, Any]]:
    return list(client.call("GET", f"/api/runs{query}"))


def one(client: LocalClient, session: str) -> dict[str, Any]:
    return dict(client.call("GET", f"/api/runs/{runs(client, f'?session={session}')[0]['id']}"))


def test_a_run_at_the_model_in_a_tool_and_waiting_says_so_in_every_process(
    here: LocalClient, there: LocalClient, model: OfflineServer, gate: Gate
) -> None:
    session = here.new_session(permissions={"allow": ["shell:cmd=cat*"]})
    with here.run(session, f"[words 20][hold 5]{gate.call}{ECHO}{DONE}", agent="tools") as stream:
        stream.until("agent_choice")
        assert (one(there, session)["phase"], "tool" in one(there, session)) == ("model", False)
        model.release()
        gate.wait_until_reached()
        assert (one(there, session)["phase"], one(there, session)["tool"]) == ("tool", "shell")
        gate.open()
        stream.until("tool_call_confirmation")
        waiting = one(there, session)
        assert (waiting["phase"], waiting["waiting_for"]["kind"]) == ("waiting", "approval")
        here.stop(session)
        stream.rest()
    ended = one(there, session)
    assert "phase" not in ended
    assert ended["status"] == "cancelled"


def test_a_run_shows_its_holder_and_its_lease(
    servers: Servers, here: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        run = one(here, session)
        owner = servers[0].runtime.owner
        assert (run["holder"], run["host"], run["pid"]) == (str(owner), owner.host, owner.pid)
        began, until = (datetime.fromisoformat(run[name]) for name in ("started_at", "lease_expires_at"))
        assert began < until
        model.release()
        stream.rest()
    assert "lease_expires_at" not in one(here, session)
    assert datetime.fromisoformat(one(here, session)["ended_at"]) >= began


def test_runs_are_filtered_by_status_age_session_and_holder(
    servers: Servers, here: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    here.say(session, "[say hello]")
    owner = servers[0].runtime.owner
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        query = f"?session={session}"

        def shown(more: str) -> list[str]:
            return [run["status"] for run in runs(here, f"{query}{more}")]

        assert shown("") == ["running", "finished"]  # newest first
        assert shown("&status=finished,failed") == ["finished"]
        assert shown("&status=running") == ["running"]
        assert shown("&older_than=0") == ["running", "finished"]
        assert shown("&older_than=1h") == []
        assert shown(f"&holder={owner.host}") == ["running", "finished"]
        assert shown(f"&holder={owner}") == ["running", "finished"]
        assert shown(f"&holder={owner.host}:1") == shown("&holder=elsewhere") == []
        model.release()
        stream.rest()
    here.call("GET", "/api/runs?status=busy", expect=422)
    here.call("GET", "/api/runs/nothing-such", expect=404)


def test_an_old_run_is_found_behind_any_number_of_newer_ones(local: LocalClient, server: Server) -> None:
    old = local.new_session()
    local.say(old, "[say hello]")
    session = local.new_session()
    local.say(session, "[say hello]")
    with server.store.database.writing() as connection:
        connection.execute(
            update(tables.runs)
            .where(tables.runs.c.session_id == old)
            .values(started_at=tables.runs.c.started_at - 7200)
        )
        [row] = connection.execute(select(tables.runs).where(tables.runs.c.session_id == session)).mappings()
        connection.execute(insert(tables.runs), [{**row, "id": f"copy-{n}"} for n in range(105)])
    assert [run["session_id"] for run in runs(local, "?older_than=1h")] == [old]


class Stuck:
    """A tool that neither ends nor hears anything, until the test lets it go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def __call__(self) -> ToolResult:
        self.reached.set()
        assert self.let_go.wait(30)
        return ToolResult("a late result")


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    tool = Stuck()
    instead_of(monkeypatch, ThinkToolset, "think", tool)
    yield tool
    tool.let_go.set()


THINK = f'[call think {{"thought": "hm"}}]{DONE}'


@pytest.mark.parametrize("whose", ["here", "there"])
def test_a_stuck_holder_loses_the_session_and_writes_nothing_any_more(
    here: LocalClient, there: LocalClient, servers: Servers, stuck: Stuck, whose: str
) -> None:
    asked = here if whose == "here" else there
    session = here.new_session()
    with here.run(session, THINK, agent="tools") as stream:
        assert stuck.reached.wait(20)
        run = one(asked, session)["id"]
        released = asked.call("POST", f"/api/runs/{run}/release", {"reason": "it hangs"})["run"]
        assert (released["status"], released["code"]) == ("interrupted", "interrupted")
        assert "127.0.0.1: it hangs" in released["error"]
        refusal = asked.call("POST", f"/api/runs/{run}/release", {}, expect=409)
        assert refusal["code"] == "not_running"
        assert stream.rest()[-1]["type"] == "stream_stopped"  # though its tool is as stuck as before
        here.say(session, "[say somebody else]")
    before, events = here.messages(session), servers[0].store.events.bounds(session)
    stuck.let_go.set()
    eventually(lambda: not run_threads(), "the thread that was stuck has ended")
    assert here.messages(session) == before
    assert servers[0].store.events.bounds(session) == events
    assert roles(here, session) == ["user", "assistant", "tool", "user", "assistant"]
    assert "not known whether" in before[2]["content"]
    assert stream.types.count("stream_stopped") == 1
    assert one(here, session)["status"] == "finished"


def test_who_reads_elsewhere_is_told_who_took_the_session_and_why(
    here: LocalClient, there: LocalClient, stuck: Stuck
) -> None:
    session = here.new_session()
    with here.run(session, THINK, agent="tools") as stream, there.follow(session) as reader:
        reader.until("tool_call")
        here.call("POST", f"/api/runs/{one(here, session)['id']}/release", {"reason": "it hangs"})
        error = reader.until("error")
        reader.until("stream_stopped")
        stuck.let_go.set()
        stream.rest()
    assert "it hangs" in error["error"]
    assert error["code"] == "interrupted"
    here.wait_until_free(session)


def test_a_message_for_a_conversation_that_went_on_is_refused_with_what_was_missed(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    with here.run(session, "[say one]", headers={"If-Match": "-1"}) as stream:
        stream.rest()
    here.say(session, "[say two]")
    asked = len(model.requests)
    response = there.try_run(session, "[say three]", headers={"If-Match": '"1"'})
    refusal = response.get_json()
    assert (response.status_code, refusal["code"]) == (412, "stale")
    assert refusal["last_position"] == 3
    assert [item["message"]["content"] for item in refusal["missed"]] == ["[say two]", "two"]
    assert len(model.requests) == asked
    assert said_by_user(here, session) == ["[say one]", "[say two]"]
    with there.run(session, "[say three]", headers={"If-Match": '"3"'}) as stream:
        stream.rest()
    assert here.messages(session)[-1]["content"] == "three"


def test_a_precondition_that_says_nothing_is_none(local: LocalClient) -> None:
    session = local.new_session()
    for given in ("*", None):
        with local.run(session, "[say hello]", headers={"If-Match": given} if given else None) as stream:
            stream.rest()
    assert local.try_run(session, "me", headers={"If-Match": "soon"}).status_code == 422


def test_of_two_who_have_seen_the_same_the_second_is_told_at_once(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    """Also if the second one would wait: the first one's message is in the conversation already."""
    session = here.new_session()
    with here.run(session, HELD, headers={"If-Match": "-1"}) as stream:
        stream.until("agent_choice")
        assert Late(there, session, seen=-1).status() == 412
        model.release()
        stream.rest()
    assert said_by_user(here, session) == [HELD]


def test_a_request_that_waits_is_told_what_the_run_before_it_added(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        waiter = Late(there, session, seen=0)
        eventually(lambda: len(there.server.control.line) == 1, "the second one waits")
        model.release()
        stream.rest()
    assert waiter.status() == 412
    assert said_by_user(here, session) == [HELD]


class Late(threading.Thread):
    def __init__(self, client: LocalClient, session: str, *, seen: int) -> None:
        super().__init__()
        self._client = client
        self._session = session
        self._seen = seen
        self._status = 0
        self.start()

    def run(self) -> None:
        response = self._client.try_run(
            self._session, "me", query="?when_busy=wait", headers={"If-Match": str(self._seen)}
        )
        self._status = response.status_code

    def status(self) -> int:
        self.join(30)
        return self._status
