"""A wait on one descriptor, with poll and without it."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator

import pytest

from app import io_wait
from app.io_wait import READABLE, WRITABLE, is_ready

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=[selectors.PollSelector, selectors.SelectSelector])
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(io_wait, "_Selector", request.param)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_socket_with_bytes_is_readable_and_one_without_is_not(pair: Pair) -> None:
    ours, theirs = pair
    assert not is_ready(ours, READABLE)
    assert is_ready(ours, WRITABLE)
    theirs.send(b"!")
    assert is_ready(ours, READABLE, within=None)
    assert is_ready(ours.fileno(), READABLE)


def test_an_end_is_something_to_read(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    assert is_ready(ours, READABLE, within=10)
