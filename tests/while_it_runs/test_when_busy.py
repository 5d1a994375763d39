"""`when_busy`: a way forward for who finds the session busy: wait in line, interrupt, or queue."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
import requests
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.runtime.waiting_line import WaitingLine
from app.store.tables import waiting_requests
from app.store.waiting_line_store import WaitingLineStore
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient, LocalStream
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client, in_parallel, text_of
from tests.while_it_runs.conftest import Servers
from tests.while_it_runs.talk import queue, said_by_user

HELD = "[words 50][hold 5]"
PLACES = 12  # in line, of a server as it is


class Waiter(threading.Thread):
    """Asks to run, from a thread of its own, and reads the run to its end."""

    def __init__(self, server: Server, session: str, text: str, *, query: str = "?when_busy=wait") -> None:
        super().__init__()
        self._client = LocalClient(server)
        self._request = (session, text, query)
        self.response: TestResponse | None = None
        self.start()

    def run(self) -> None:
        session, text, query = self._request
        self.response = self._client.try_run(session, text, query=query)
        if self.response.status_code == 200:
            with LocalStream(self.response) as stream:
                stream.rest()

    @property
    def status(self) -> int:
        self.join(30)
        assert self.response is not None
        return self.response.status_code


def waiting(server: Server, count: int) -> None:
    eventually(lambda: len(server.control.line) == count, f"{count} requests wait")


def test_to_be_rejected_is_the_default_and_can_be_said(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    with local.run(session, HELD) as stream:
        stream.until("agent_choice")
        for query in ("", "?when_busy=reject"):
            assert local.try_run(session, "me", query=query).status_code == 409
        assert local.try_run(session, "me", query="?when_busy=maybe").status_code == 422
        model.release()
        stream.rest()


def test_waiters_are_served_in_the_order_in_which_they_came(
    server: Server, local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    with local.run(session, HELD) as stream:
        stream.until("agent_choice")
        waiters = []
        for number in range(6):
            waiters.append(Waiter(server, session, f"[say {number}]"))
            waiting(server, number + 1)
        model.release()
        stream.rest()
    assert [waiter.status for waiter in waiters] == [200] * 6
    assert said_by_user(local, session)[1:] == [f"[say {number}]" for number in range(6)]


def test_waiters_of_several_processes_are_served_in_the_order_in_which_they_came(
    servers: Servers, here: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        waiters = []
        for number, which in enumerate((1, 0, 0, 1, 0, 1)):
            waiters.append(Waiter(servers[which], session, f"[say {number}]"))
            eventually(lambda total=number + 1: in_line(servers[0]) == total, f"{number + 1} stand in line")
        model.release()
        stream.rest()
    assert [waiter.status for waiter in waiters] == [200] * 6
    assert said_by_user(here, session)[1:] == [f"[say {number}]" for number in range(6)]
    eventually(lambda: in_line(servers[0]) == 0, "nobody stands in line")


def test_a_place_in_line_is_left_before_the_next_one_of_the_process_looks(
    servers: Servers, here: LocalClient, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or that one would take it for its own, and come before somebody who has waited longer in another process."""
    session, held = here.new_session(), []
    leave = WaitingLineStore._leave

    def watched(places: WaitingLineStore, place: str) -> None:
        held.append(len(servers[0].control.line))
        leave(places, place)

    monkeypatch.setattr(WaitingLineStore, "_leave", watched)
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        waiter = Waiter(servers[0], session, "[say next]")
        eventually(lambda: in_line(servers[0]) == 1, "it stands in line")
        model.release()
        stream.rest()
        assert waiter.status == 200
    assert held[0] == 1


def in_line(server: Server) -> int:
    with server.store.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(waiting_requests)).scalar_one())


def test_who_died_in_line_holds_up_nobody(servers: Servers, here: LocalClient, model: OfflineServer) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        with servers[1].store.waiting_line.place(session, "a process that dies"):
            waiter = Waiter(servers[0], session, "[say at last]")
            eventually(lambda: in_line(servers[0]) == 2, "two stand in line")
            model.release()
            stream.rest()
            assert waiter.status == 200
            servers[0].store.waiting_line.prune()
            assert in_line(servers[0]) == 0
    assert said_by_user(here, session)[1:] == ["[say at last]"]


def test_one_waits_for_a_run_of_another_process(
    servers: Servers, here: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        waiter = Waiter(servers[1], session, "[say at last]")
        waiting(servers[1], 1)
        model.release()
        stream.rest()
    assert waiter.status == 200
    assert here.messages(session)[-1]["content"] == "at last"


def test_who_has_waited_long_enough_is_told_who_holds_the_session(local: LocalClient, gate: Gate) -> None:
    session = local.new_session()
    with local.run(session, gate.call, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        response = local.try_run(session, "me", query="?when_busy=wait&wait_timeout=20ms")
        refusal = response.get_json()
        assert (response.status_code, refusal["code"]) == (409, "awaiting_approval")
        assert refusal["run"]["waiting_for"]["tool"] == "shell"
        local.stop(session)
        stream.rest()
    assert said_by_user(local, session) == [gate.call]


def test_too_many_waiters_are_turned_away(
    server: Server, local: LocalClient, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.control.line, "_here", WaitingLine(limit=2))
    session = local.new_session()
    with local.run(session, HELD) as stream:
        stream.until("agent_choice")
        waiters = []
        for number in range(2):
            waiters.append(Waiter(server, session, f"[say {number}]"))
            waiting(server, number + 1)
        response = local.try_run(session, "me", query="?when_busy=wait")
        assert (response.status_code, response.get_json()["code"]) == (503, "server_full")
        assert response.headers["Retry-After"]
        model.release()
        stream.rest()
    assert [waiter.status for waiter in waiters] == [200, 200]
    assert len(server.control.line) == 0


def test_who_interrupts_ends_the_other_run_and_goes_next(here: LocalClient, there: LocalClient) -> None:
    for asked in (here, there):
        session = here.new_session()
        with here.run(session, HELD) as stream:
            stream.until("agent_choice")
            with asked.run(session, "[say me first]", query="?when_busy=interrupt") as mine:
                assert text_of(mine.rest()) == "me first"
            assert stream.rest()[-1]["type"] == "stream_stopped"
        statuses = [run["status"] for run in here.call("GET", f"/api/runs?session={session}")]
        assert statuses == ["finished", "cancelled"]


def test_nobody_has_to_be_there_to_be_interrupted(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, "[say hello]", query="?when_busy=interrupt") as stream:
        assert text_of(stream.rest()) == "hello"


def test_what_the_stopped_run_adds_itself_does_not_make_a_precondition_stale(
    here: LocalClient, there: LocalClient
) -> None:
    for asked in (here, there):
        session = here.new_session()
        with here.run(session, HELD) as stream:
            stream.until("agent_choice")
            known = {"If-Match": str(len(here.messages(session)) - 1)}
            with asked.run(session, "[say me]", query="?when_busy=interrupt", headers=known) as mine:
                assert text_of(mine.rest()) == "me"
            stream.rest()
        roles = [message["role"] for message in here.messages(session)]
        assert roles == [
            "user",
            "assistant",
            "user",
            "assistant",
        ]  # the second is what the stopped run had said


@pytest.mark.parametrize("lack", ["budget", "room"])
def test_an_interrupt_that_could_not_be_followed_by_a_run_stops_nothing(
    server: Server, local: LocalClient, model: OfflineServer, lack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = local.new_session()
    local.say(session, "[say something that costs]")
    with local.run(session, HELD) as stream, monkeypatch.context() as patch:
        stream.until("agent_choice")
        if lack == "budget":
            local.call("PATCH", f"/api/sessions/{session}/budget", {"budget": 1e-9})
        else:
            patch.setattr(server.runtime.slots, "limit", server.runtime.slots.taken)
        response = local.try_run(session, "me", query="?when_busy=interrupt")
        assert response.status_code == {"budget": 402, "room": 503}[lack]
        live = server.runtime.runs.find(session)
        assert live is not None
        assert not live.cancellation.is_set()
        model.release()
        stream.rest()
    assert said_by_user(local, session) == ["[say something that costs]", HELD]


def test_a_queued_run_for_the_agent_at_work_is_accepted_by_its_name(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        for agent, status in (("plain/root", 202), ("plain", 202), ("tools", 409), ("plain/nobody", 404)):
            response = there.try_run(session, f"[say {agent}]", agent=agent, query="?when_busy=queue")
            assert response.status_code == status
        refusal = there.try_run(session, "x", agent="tools", query="?when_busy=queue").get_json()
        assert (refusal["code"], refusal["run"]["agent"]) == ("session_busy", "plain/root")
        assert "not by tools" in refusal["message"]
        assert queue(here, session) == ["[say plain/root]", "[say plain]"]
        model.release()
        stream.rest()
    assert here.messages(session)[-1]["content"] == "plain"


def test_a_queued_run_gets_its_turn_in_the_one_at_work(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        response = there.try_run(session, "[say later]", query="?when_busy=queue")
        assert response.status_code == 202
        assert response.headers["Location"] == f"/api/sessions/{session}/events"
        assert response.get_json()["status"] == "queued_streaming"
        assert queue(here, session) == ["[say later]"]
        model.release()
        stream.rest()
    assert here.messages(session)[-1]["content"] == "later"


def test_who_leaves_the_line_gives_its_place_back_and_its_message_is_never_said(
    start_baton: Callable[..., BatonProcess], model: OfflineServer
) -> None:
    baton = start_baton()
    client = Client(baton.url)
    session = client.new_session()
    path = f"/api/sessions/{session}/agent/plain?when_busy=wait&wait_timeout=200ms"

    def wait_a_moment() -> int:
        body = [{"role": "user", "content": "the word of one who gave up"}]
        return requests.post(f"{baton.url}{path}", json=body, timeout=30).status_code

    with client.run(session, HELD) as stream:
        stream.until("agent_choice")
        leavers = [ask_to_wait(baton, session) for _ in range(PLACES)]

        def is_full() -> bool:
            if wait_a_moment() == 503:
                return True
            leavers.append(ask_to_wait(baton, session))  # a probe whether it is full may take the last place
            return False

        eventually(is_full, "the line is full")
        for leaver in leavers:
            leaver.close()
        everybody = [wait_a_moment] * PLACES
        eventually(lambda: set(in_parallel(everybody)) == {409}, "all places are free again", seconds=30)
        model.release()
        stream.rest()
    with client.run(session, "[say free]", query="?when_busy=wait") as mine:
        assert text_of(mine.rest()) == "free"
    assert said_by_user(client, session) == [HELD, "[say free]"]
    client.close()


def ask_to_wait(baton: BatonProcess, session: str) -> socket.socket:
    """A client that has asked to run and waits in line."""
    sent = b'[{"role": "user", "content": "the word of a leaver"}]'
    path = f"/api/sessions/{session}/agent/plain?when_busy=wait"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(sent)}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", baton.port), timeout=20)
    connection.sendall(head.encode() + sent)
    return connection
