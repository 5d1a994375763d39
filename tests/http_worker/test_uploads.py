"""A file that is uploaded may be longer than any other body. It waits on disk until it is complete."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from app.store.engine import Database
from app.store.file_store import FileStore
from tests.conftest import AGENTS
from tests.harness.process import BatonProcess
from tests.harness.sqlite import NAME

VERSION = {"anthropic-version": "2026-10-21"}
SETTINGS = {"BATON_MAX_BODY_BYTES": "100000", "BATON_MAX_FILE_BYTES": "3000000"}
DATA = b"".join(hashlib.sha256(bytes([number])).digest() * 6_000 for number in range(13))


@pytest.fixture(scope="module")
def baton(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("baton")
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS, settings=SETTINGS) as process:
        yield process


def test_a_long_file_arrives_and_the_connection_goes_on(baton: BatonProcess) -> None:
    assert 2_000_000 < len(DATA) < 3_000_000
    with requests.Session() as http:
        for name in ("a.bin", "b.bin"):
            answer = http.post(f"{baton.url}/v1/files", headers=VERSION, files={"file": (name, DATA)})
            assert answer.status_code == 200, answer.text
            assert answer.json()["size_bytes"] == len(DATA)
        longer = http.post(f"{baton.url}/v1/files", headers=VERSION, files={"file": ("c", DATA + DATA)})
        assert (longer.status_code, longer.json()["error"]["type"]) == (413, "request_too_large")
        other = http.post(f"{baton.url}/v1/agents", headers=VERSION, data=b"x" * 200_000)
        assert other.status_code in (404, 413)
    database = Database(f"sqlite:///{baton.directory / NAME}")
    store = FileStore(database)
    found = store.get(answer.json()["id"], owner=None)
    assert b"".join(store.pieces(found.content_id)) == DATA
    database.close()


def test_two_requests_may_come_behind_one_another(baton: BatonProcess) -> None:
    head = (
        "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nanthropic-version: 2026-10-21\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n\r\n"
    )
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + DATA + b"\r\n--x--"
    last = b"GET /api/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    parts = urlsplit(baton.url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30) as connection:
        connection.sendall(head.format(len(form)).encode() + form + last)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert str(len(DATA)).encode() in answer
