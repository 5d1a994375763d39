"""The same promises between real worker processes, of which one dies by SIGKILL in the middle of its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess
from tests.harness.wire import Client, Stream, text_of
from tests.while_it_runs.cutting import Connect, Connection, Cutter, numbered
from tests.while_it_runs.talk import body, confirmed, said_by_user

DONE = "[then][say done]"
ECHO = '[call shell {"cmd": "echo hands"}]'


class HttpConnection:
    def __init__(self, stream: Stream) -> None:
        self._response = stream.response

    def chunks(self) -> Iterator[bytes]:
        return iter(self._response.iter_content(None))

    def hang_up(self) -> None:
        self._response.close()


def connect(client: Client, session: str) -> Connect:
    def open_after(number: int) -> Connection:
        return HttpConnection(client.follow(session, since=number))

    return open_after


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """In the directory of the real processes."""
    one = Gate(tmp_path)
    yield one
    one.close()


def test_a_run_is_controlled_and_watched_through_another_process(
    start_baton: Callable[..., BatonProcess], model: OfflineServer
) -> None:
    here, there = (Client(start_baton().url) for _ in range(2))
    session = here.new_session()
    with here.run(session, f"{ECHO}{ECHO}[then][words 200]", agent="tools") as stream:
        stream.until("tool_call_confirmation")
        with there.follow(session) as watcher:
            watcher.until("tool_call_confirmation")
            steered = there.post(f"/api/sessions/{session}/steer", body("[say and this]")).json()
            assert there.resume(session, "approve-session").status_code == 200
            stream.rest()
            watcher.until("stream_stopped")
    assert numbered(bytes(watcher.raw)) == numbered(bytes(stream.raw))
    ids = [steered["messages"][0]["id"]]
    assert confirmed(stream.events, ids) == ids
    assert text_of(stream.events).endswith("and this")
    cutter = Cutter(Random(7), mean_bytes=1000)
    first, last = stream.ids[0], stream.ids[-1]
    both = [connect(client, session) for client in (here, there)]
    assert cutter.collect(both, after=first - 1, last=last) == numbered(bytes(stream.raw))
    assert cutter.cuts > 5
    for client in (here, there):
        client.close()


def test_what_was_accepted_survives_a_kill_and_readers_are_told(
    start_baton: Callable[..., BatonProcess], gate: Gate, model: OfflineServer
) -> None:
    baton = start_baton()
    client = Client(baton.url)
    session = client.new_session(tools_approved=True)
    text = f"{gate.call}{DONE}"
    key = {"Idempotency-Key": "before-the-kill"}
    stream = client.run(session, text, agent="tools", headers=key)
    gate.wait_until_reached()
    for route, words in (("steer", "left"), ("followup", "[say later]")):
        assert client.post(f"/api/sessions/{session}/{route}", body(words)).status_code == 202
    stream.until("tool_call")
    baton.kill()
    stream.hang_up()
    client.close()

    client = Client(start_baton(port=baton.port).url)
    queue = client.get(f"/api/sessions/{session}/queue").json()["messages"]
    assert [(message["kind"], message["content"]) for message in queue] == [
        ("steer", "left"),
        ("followup", "[say later]"),
    ]
    with client.follow(session, since=stream.ids[-1]) as reader:
        error = reader.until("error")
        reader.until("stream_stopped")
    assert error["code"] == "interrupted"
    assert reader.ids[0] > stream.ids[-1]
    with client.run(session, text, agent="tools", headers=key) as replay:
        replay.rest()
    assert replay.types.count("stream_stopped") == 1
    assert "interrupted" in [event.get("code") for event in replay.events]
    client.say(session, "[say hello]", agent="tools")
    assert client.get(f"/api/sessions/{session}/queue").json()["messages"] == []
    said = said_by_user(client, session)
    assert (said.count("left"), said.count("[say later]")) == (1, 1)
    client.close()
