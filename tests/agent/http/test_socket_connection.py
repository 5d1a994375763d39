"""A connection that is closed both ways takes no option on macOS; that is no error, its end is still to be read."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest

from app.agent.anthropic.http.socket_connection import SocketConnection


class OfMacOS(socket.socket):
    number = errno.EINVAL

    def setsockopt(self, *_: Any) -> None:
        raise OSError(self.number, os.strerror(self.number))


def connection() -> SocketConnection:
    ours, theirs = socket.socketpair()
    theirs.close()
    return SocketConnection(OfMacOS(ours.family, ours.type, ours.proto, fileno=ours.detach()))


def test_a_limit_for_a_connection_that_is_over_is_needless() -> None:
    over = connection()
    over.wait_at_most(1.0)
    assert over.receive() == b""
    over.close()


def test_any_other_error_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OfMacOS, "number", errno.EBADF)
    over = connection()
    with pytest.raises(OSError, match="Bad file descriptor"):
        over.wait_at_most(1.0)
    over.close()
