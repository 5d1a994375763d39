"""F4, F5, F36: a session that is free says so, and looking at one disturbs nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess
from tests.harness.wire import Client, Stream, in_parallel, text_of


def converse(client: Client, turns: int) -> None:
    """Each turn is posted the moment the one before it has ended; any refusal fails."""
    session = client.new_session()
    for turn in range(turns):
        response = client.try_run(session, f"[say {turn}]")
        assert response.status_code == 200, f"turn {turn}: {response.text}"
        assert Stream(response).rest()[-1]["type"] == "stream_stopped"


@pytest.mark.parametrize("rounds", [8, pytest.param(25, marks=pytest.mark.thorough)])
def test_f4_a_session_is_never_busy_after_its_end_was_seen(
    baton: BatonProcess, model: OfflineServer, rounds: int
) -> None:
    """Read to the end, post at once; a thousand times where there is time for it. Short conversations, or history
    would be the cost."""

    def talk() -> None:
        client = Client(baton.url)
        for _ in range(rounds):
            converse(client, 10)
        client.close()

    in_parallel([talk] * 4)
    assert model.stats().requests == rounds * 40


def test_f4_nor_after_its_last_event_was_seen_though_the_stream_is_still_open(client: Client) -> None:
    session = client.new_session()
    with ExitStack() as streams:
        for turn in range(50):
            response = client.try_run(session, f"[say {turn}]")
            assert response.status_code == 200, response.text
            streams.enter_context(Stream(response)).until("stream_stopped")


@contextmanager
def looking(baton: BatonProcess, looks: list[Callable[[Client], object]]) -> Iterator[None]:
    """Meanwhile, somebody looks on with each of these, again and again. A look that fails, fails the test."""
    over = threading.Event()
    failures: list[BaseException] = []

    def look_on(look: Callable[[Client], object]) -> None:
        client = Client(baton.url)
        try:
            while not over.is_set():
                look(client)
                over.wait(0.3)
        except BaseException as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=look_on, args=(look,)) for look in looks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[0]


def all_looks(session: str) -> list[Callable[[Client], object]]:
    return [
        lambda client: client.session(session),
        lambda client: client.get("/api/runs").json(),
        lambda client: client.get("/api/sessions").json(),
        lambda client: client.follow(session, since=0).hang_up(),
        lambda client: client.follow(session).hang_up(),
    ]


def test_f5_polling_makes_nobody_busy(baton: BatonProcess, client: Client) -> None:
    session = client.new_session()
    with looking(baton, all_looks(session) * 4):  # twenty of them
        for turn in range(50):
            response = client.try_run(session, f"[say {turn}]")
            assert response.status_code == 200, f"turn {turn}: {response.text}"
            Stream(response).rest()


def test_f5_an_idle_session_never_seems_busy_to_any_of_many_who_look(client: Client) -> None:
    session = client.new_session()
    client.say(session, "[say hello]")
    seen = in_parallel([lambda: [client.session(session).get("run") for _ in range(10)]] * 8)
    assert {str(run) for runs in seen for run in runs} == {"None"}


def test_f36_readers_of_all_kinds_come_and_go_and_the_run_goes_on(
    baton: BatonProcess, client: Client, gate: Gate
) -> None:
    session = client.new_session(tools_approved=True)
    script = f"[words 200][pace 200]{gate.call}[then][say done]"
    with (
        client.run(session, script, agent="tools") as stream,
        looking(baton, all_looks(session) * 2),
    ):
        gate.wait_until_reached()
        faithful = client.follow(session)
        client.request("HEAD", f"/api/sessions/{session}/events")
        gate.open()
        events = stream.rest()
    assert text_of(events).endswith("done")
    faithful.until("stream_stopped")
    assert [event["type"] for event in faithful.events] == [event["type"] for event in events]
    faithful.hang_up()
