"""A server does all its work where there is nothing that only Linux has, and where Python says that it is macOS.

The kernel under these tests is Linux all the same: what kqueue and the rest of a real Mac do is not shown by them.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client, text_of
from tests.laptop.conftest import Laptop

GREETING = '[call shell {"cmd": "echo from the laptop"}] [then] [say done]'


@pytest.fixture(scope="module")
def here(laptop: Laptop) -> BatonProcess:
    """A server of two workers, with a stand-in of its own."""
    return laptop.start(BATON_WORKERS="2", ANTHROPIC_API_KEY="", ANTHROPIC_BASE_URL="")


@pytest.fixture(scope="module")
def there(laptop: Laptop, here: BatonProcess) -> BatonProcess:
    """Another server on the same database, of one worker."""
    return laptop.start()


@pytest.fixture
def client(here: BatonProcess) -> Iterator[Client]:
    one = Client(here.url)
    yield one
    one.close()


@pytest.fixture
def other(there: BatonProcess, model: OfflineServer) -> Iterator[Client]:
    one = Client(there.url)
    yield one
    one.close()


def test_a_tool_is_approved_and_runs_and_a_second_process_reads_along(client: Client, other: Client) -> None:
    session = client.new_session()
    with client.run(session, GREETING, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        with other.follow(session) as watcher:
            watcher.until("tool_call_confirmation")
            assert other.try_run(session, "[say me too]").status_code == 409
            assert other.resume(session, "approve").status_code == 200
            stream.rest()
            watcher.until("stream_stopped")
    assert "from the laptop" in [event.get("response", "").strip() for event in stream.events]
    assert text_of(stream.events) == text_of(watcher.events) == "done"


def test_a_run_is_stopped_in_a_command_and_its_session_is_free(client: Client, laptop: Laptop) -> None:
    session = client.new_session(tools_approved=True)
    gate = Gate(laptop.directory, "stop")
    with client.run(session, gate.call, agent="tools") as stream:
        gate.wait_until_reached()
        assert client.post(f"/api/sessions/{session}/cancel?wait=10").status_code == 200
        assert stream.rest()[-1]["type"] == "stream_stopped"
    gate.close()
    assert text_of(client.say(session, "[say again]")) == "again"


def test_a_reader_that_was_cut_reads_on_where_it_was(client: Client, other: Client) -> None:
    session = client.new_session()
    with client.run(session, "[words 40] [pace 100]", query="?on_disconnect=continue") as stream:
        stream.until("agent_choice")
        last = stream.ids[-1]
    for reader in (client, other):
        with reader.follow(session, since=last) as rest:
            rest.until("stream_stopped")
        assert rest.ids == list(range(last + 1, rest.ids[-1] + 1))


def test_a_client_that_hangs_up_stops_its_run(client: Client) -> None:
    session = client.new_session()
    with client.run(session, "[words 100000] [pace 20]") as stream:
        stream.until("agent_choice")
    runs = f"/api/runs?session={session}"
    eventually(lambda: client.get(runs).json()[0]["status"] == "cancelled", "the run was stopped")


def test_a_killed_server_leaves_no_stand_in_and_its_session_goes_to_the_next_one(
    laptop: Laptop, here: BatonProcess, other: Client
) -> None:
    """The last test: it ends the server of the others."""
    client = Client(here.url)
    session = client.new_session(tools_approved=True)
    gate = Gate(laptop.directory, "kill")
    stream = client.run(session, gate.call, agent="tools")
    gate.wait_until_reached()
    here.signal_all(signal.SIGKILL)
    assert text_of(other.say(session, "[say mine now]", query="?when_busy=wait")) == "mine now"
    results = [message for message in other.messages(session) if message["role"] == "tool"]
    assert len(results) == 1, "the call that was open has been closed"
    gate.open()
    gate.close()
    stream.hang_up()
    client.close()
    stand_in = Client(here.log().partition("plays the model, at ")[2].split()[0])
    eventually(lambda: _is_gone(stand_in), "the stand-in has ended too")
    stand_in.close()


def _is_gone(client: Client) -> bool:
    try:
        client.get("/")
    except OSError:
        return True
    return False
