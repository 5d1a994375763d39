"""The delivered nginx configuration, in a real nginx in front of a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.nginx import Nginx, find_nginx
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client, Stream, text_of

pytestmark = [
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed"),
]


@pytest.fixture(scope="module")
def baton(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("baton")
    limit = {"BATON_MAX_BODY_BYTES": "20000"}
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS, settings=limit) as process:
        yield process


@pytest.fixture(scope="module")
def nginx(baton: BatonProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with Nginx(tmp_path_factory.mktemp("nginx"), baton.port) as one:
        yield one


@pytest.fixture
def client(nginx: Nginx, model: OfflineServer) -> Iterator[Client]:
    one = Client(nginx.url)
    yield one
    one.close()


def test_each_event_arrives_while_the_model_is_still_at_the_next(
    client: Client, model: OfflineServer
) -> None:
    """The model stands still after each few words until the test has read them."""
    session = client.new_session()
    for held in (1, 2, 3, 7):
        with client.run(session, f"[words 8][hold {held}]") as stream:
            said = [stream.until("agent_choice")["content"]]
            while len(said) < held:
                said.append(stream.until("agent_choice")["content"])
            assert model.stats().open_streams == 1
            model.release()
            assert stream.rest()[-1]["type"] == "stream_stopped"


def test_a_session_that_stands_still_shows_its_events_so_far(client: Client, model: OfflineServer) -> None:
    session = client.new_session()
    with client.run(session, "[words 8][hold 4]") as stream:
        stream.until("agent_choice")
        with client.follow(session, since=0) as follower:
            assert follower.until("user_message")["message"] == "[words 8][hold 4]"
            assert follower.until("agent_choice")["content"]
        model.release()
        stream.rest()


def test_a_hang_up_reaches_the_server_however_silent_the_stream_is(
    client: Client, model: OfflineServer
) -> None:
    session = client.new_session()
    with client.run(session, "[words 8][hold 4]") as stream:
        stream.until("agent_choice")
        assert model.wait_until(lambda stats: stats.open_streams == 1)
    assert model.wait_until(lambda stats: stats.open_streams == 0, timeout=10)
    eventually(lambda: client.session(session).get("run") is None, "the session is free")
    assert text_of(client.say(session, "[say back]")) == "back"


def test_a_refusal_passes_through_whole(client: Client, model: OfflineServer) -> None:
    session = client.new_session()
    with client.run(session, "[words 8][hold 4]") as stream:
        stream.until("agent_choice")
        refused = client.try_run(session, "me too")
        assert refused.status_code == 409
        assert refused.json()["code"] == "session_busy"
        assert refused.headers["Retry-After"] == "2"
        assert refused.headers["Location"] == f"/api/sessions/{session}/events"
        assert refused.headers["X-Request-ID"] == refused.json()["request_id"]
        client.post(f"/api/sessions/{session}/cancel?wait=30")
        stream.rest()


def test_a_chunked_request_arrives_with_its_length(client: Client) -> None:
    """Baton itself refuses chunked bodies; nginx has read the whole of it."""
    session = client.new_session()
    body = json.dumps([{"role": "user", "content": "[say whole]"}]).encode()
    response = client.request(
        "POST",
        f"/api/sessions/{session}/agent/plain",
        data=iter([body[:10], body[10:]]),
        headers={"Content-Type": "application/json"},
        stream=True,
    )
    assert response.status_code == 200, response.text
    with Stream(response) as stream:
        assert text_of(stream.rest()) == "whole"


def test_a_body_beyond_nginxs_limit_is_refused_before_the_server_sees_it(
    baton: BatonProcess, model: OfflineServer, tmp_path: Path
) -> None:
    with Nginx(tmp_path, baton.port, body_limit="10k") as nginx:
        client = Client(nginx.url)
        session = client.new_session()
        refused = client.try_run(session, "x" * 15_000)
        assert refused.status_code == 413
        assert "nginx" in refused.text
        assert client.messages(session) == []
        client.close()


def test_a_body_beyond_the_servers_own_limit_gets_its_own_refusal(client: Client) -> None:
    session = client.new_session()
    refused = client.try_run(session, "x" * 20_000)
    assert (refused.status_code, refused.json()["code"]) == (413, "request_too_large")
    assert client.messages(session) == []


def test_below_a_path_everything_works_as_it_does_at_the_root(
    baton: BatonProcess, model: OfflineServer, tmp_path: Path
) -> None:
    with Nginx(tmp_path, baton.port, path="/some/where") as nginx:
        client = Client(nginx.url)
        assert client.get("/api/ping").json() == {"status": "ok"}
        session = client.new_session()
        assert text_of(client.say(session, "[say hello]")) == "hello"
        with client.run(session, "[words 8][hold 4]") as stream:
            stream.until("agent_choice")
            refused = client.try_run(session, "me too")
            assert refused.headers["Location"] == f"/some/where/api/sessions/{session}/events"
            model.release()
            stream.rest()
        client.close()
