"""One name can't take all of what a process has only so many of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.errors import ServerFull, ShareTaken
from app.factory import Server, build
from app.runtime.streams.stream_slots import Slots
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

ANN, BOB = "token-of-ann-0123456789", "token-of-bob-0123456789"
STALLED = "[words 4][stall 2]"
STREAMS, EACH = 8, 2  # a quarter


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    settings = make_settings(
        tmp_path,
        model.url,
        auth_tokens=(("ann", ANN), ("bob", BOB)),
        max_streams=STREAMS,
        threads=STREAMS + 1,  # of which a name has three
        share=0.25,
    )
    built = build(settings)
    yield built
    built.close()


@pytest.fixture
def ann(server: Server) -> LocalClient:
    return LocalClient(server, token=ANN)


@pytest.fixture
def bob(server: Server) -> LocalClient:
    return LocalClient(server, token=BOB)


def refusal(client: LocalClient, session: str) -> tuple[int, str]:
    response = client.ask("GET", f"/api/sessions/{session}/events")
    answer = response.get_json(silent=True) or {}
    response.close()
    return response.status_code, answer.get("code", "")


def test_a_name_has_its_share_of_the_streams_and_others_have_theirs(
    server: Server, ann: LocalClient, bob: LocalClient
) -> None:
    anns, bobs = ann.new_session(), bob.new_session()
    with ExitStack() as opened:
        for _ in range(EACH):
            opened.enter_context(ann.follow(anns))
        assert refusal(ann, anns) == (429, "share_taken")
        opened.enter_context(bob.follow(bobs))
        assert server.runtime.slots.taken == EACH + 1
    eventually(lambda: server.runtime.slots.taken == 0, "all are given back")
    with ann.follow(anns):
        pass


def start(client: LocalClient, expect: int) -> str:
    session = client.new_session()
    body = [{"role": "user", "content": STALLED}]
    client.call("POST", f"/api/sessions/{session}/agent/plain?stream=false", body, expect=expect)
    return session


def test_a_name_has_its_share_of_the_runs_also_without_streams(
    server: Server, ann: LocalClient, bob: LocalClient
) -> None:
    working = [start(ann, 202) for _ in range(EACH)]
    refused = start(ann, 429)
    assert ann.messages(refused) == []
    start(bob, 202)
    ann.call("POST", f"/api/sessions/{working[0]}/cancel?wait=10", {})
    start(ann, 202)


def test_requests_that_wait_count_towards_a_share_of_the_threads(
    server: Server, ann: LocalClient, bob: LocalClient
) -> None:
    session = start(ann, 202)
    with ExitStack() as opened:
        for _ in range(EACH):
            opened.enter_context(ann.follow(session))

        def wait() -> None:
            LocalClient(server, token=ANN).try_run(session, "[say x]", query="?when_busy=wait").close()

        waiting = threading.Thread(target=wait)
        waiting.start()
        eventually(lambda: len(server.control.line) == 1, "it waits")
        assert ann.call("GET", "/api/me", expect=429)["code"] == "share_taken"
        assert bob.call("GET", "/api/me")["name"] == "bob"
    bob_cannot = bob.ask("POST", f"/api/sessions/{session}/cancel", {})
    assert bob_cannot.status_code == 404
    eventually(lambda: ann.ask("GET", "/api/me").status_code == 200, "the streams' threads are free")
    ann.ask("POST", f"/api/sessions/{session}/cancel", {})
    waiting.join(30)
    assert not waiting.is_alive()


def test_places_without_a_name_know_no_share() -> None:
    slots = Slots(3, share=0.5)
    taken = [slots.take() for _ in range(3)]
    with pytest.raises(ServerFull):
        slots.take("ann")
    for place in taken:
        place.give_back()
        place.give_back()
    assert slots.taken == 0


def test_a_share_is_at_least_one_place_and_is_given_back() -> None:
    slots = Slots(3, share=0.01)
    first = slots.take("ann")
    with pytest.raises(ShareTaken):
        slots.take("ann")
    slots.take("ann", admitted=True).give_back()
    slots.take("bob")
    first.give_back()
    slots.take("ann")


def test_a_single_name_has_nobody_to_share_with(tmp_path: Path, model: OfflineServer) -> None:
    alone = make_settings(tmp_path, model.url, auth_tokens=(("ann", ANN),), share=0.25)
    several = make_settings(tmp_path, model.url, auth_tokens=(("ann", ANN), ("bob", BOB)), share=0.25)
    assert (alone.share_of_a_name, several.share_of_a_name) == (1.0, 0.25)
