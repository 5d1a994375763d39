"""F6, F7: readers that leave in mid-stream, and readers that stay and read nothing."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from anthropic_standin.standin_server import OfflineServer
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client, in_parallel, text_of

STREAMING = "[words 5000][pace 200]"


def threads_of(baton: BatonProcess) -> int:
    [worker] = baton.worker_pids()
    return len(list(Path(f"/proc/{worker}/task").iterdir()))


@contextlib.contextmanager
def raw_run(baton: BatonProcess, session: str, text: str) -> Iterator[socket.socket]:
    """A run whose answer is read by nobody but the test, byte by byte if it wants to."""
    body = json.dumps([{"role": "user", "content": text}]).encode()
    head = (
        f"POST /api/sessions/{session}/agent/plain HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", baton.port))
        connection.sendall(head.encode() + body)
        yield connection


def read_bytes(connection: socket.socket, count: int) -> bytes:
    """That many bytes, or less at the end of the stream."""
    received = b""
    while len(received) < count and (piece := connection.recv(count - len(received))):
        received += piece
    return received


def cut_streams(baton: BatonProcess, seed: int, count: int) -> None:
    """Cut anywhere: before the first byte, within the head, in the middle of an event. Each next one is begun
    in the session where the one before it was cut."""
    dice = random.Random(seed)
    client = Client(baton.url)
    session = client.new_session()
    for index in range(count):
        length = dice.choice([0, dice.randrange(1, 400), dice.randrange(400, 8_000)])
        let_in = partial(cut_stream, baton, session, length)
        eventually(let_in, f"stream {index} of {seed} was let in")
        if index % 5 == 4:  # or the history would be all the cost
            session = client.new_session()
    client.close()


def cut_stream(baton: BatonProcess, session: str, length: int) -> bool:
    """False if it was refused, because the server has not noticed yet that the one before it was cut."""
    with raw_run(baton, session, STREAMING) as connection:
        if length == 0:
            return True
        if not read_bytes(connection, len("HTTP/1.1 200")).endswith(b"200"):
            return False
        read_bytes(connection, length)
        return True


def test_f6_five_hundred_cut_streams_leave_every_session_free_and_no_thread_behind(
    baton: BatonProcess, model: OfflineServer
) -> None:
    in_parallel([lambda seed=seed: cut_streams(baton, seed, 2) for seed in range(10)])
    eventually(lambda: model.stats().open_streams == 0, "the model's streams were closed")
    baseline = threads_of(baton)
    in_parallel([lambda seed=seed: cut_streams(baton, seed, 50) for seed in range(100, 110)])
    eventually(lambda: model.stats().open_streams == 0, "the model's streams were closed")
    eventually(lambda: threads_of(baton) <= baseline + 10, "the runs' threads have ended")


def statuses(client: Client, session: str) -> list[str]:
    """The states of the session's runs, newest first."""
    return [run["status"] for run in client.get("/api/runs").json() if run["session_id"] == session]


def test_f7_a_client_that_reads_nothing_holds_up_neither_its_run_nor_its_session(
    baton: BatonProcess, client: Client, model: OfflineServer
) -> None:
    session = client.new_session()
    with raw_run(baton, session, "[words 60000]"):
        eventually(lambda: statuses(client, session) == ["finished"], "the run ended", seconds=30)
        assert text_of(client.say(session, "[calm][say and on]")).endswith("and on")


def test_f7_another_clients_cancel_frees_the_session_of_a_client_that_reads_nothing(
    baton: BatonProcess, client: Client, model: OfflineServer
) -> None:
    session = client.new_session()
    with raw_run(baton, session, "[words 60000][hold 50000]"):
        assert model.wait_until(lambda stats: stats.open_streams == 1)
        cancelled = client.post(f"/api/sessions/{session}/cancel?wait=30")
        assert cancelled.json()["run"]["status"] == "cancelled"
        assert text_of(client.say(session, "[calm][say and on]")).endswith("and on")


def test_f7_so_does_deleting_it(baton: BatonProcess, client: Client, model: OfflineServer) -> None:
    session = client.new_session()
    with raw_run(baton, session, "[words 60000][hold 50000]"):
        assert model.wait_until(lambda stats: stats.open_streams == 1)
        assert client.request("DELETE", f"/api/sessions/{session}").status_code == 200
        eventually(lambda: model.stats().open_streams == 0, "the model's stream was closed")
        assert client.get(f"/api/sessions/{session}").status_code == 404
