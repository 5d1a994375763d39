"""A request over a socket, answered in chunks as gunicorn does: streams are carried, and hang-ups noticed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from werkzeug.test import TestResponse

from tests.harness.in_process import LocalClient

NAME = "connection"


class SocketResponse:
    """As much of a response as a reader of events needs. `close` hangs up. `aside` is entered for what the server has
    no part in."""

    def __init__(
        self, client: LocalClient, path: str, body: Any, aside: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Sends the request; its answer may be a refusal, which has come in whole."""
        with aside():
            self._here, self._there = socket.socketpair()
            self._thread = threading.Thread(target=self._answer, name=NAME, daemon=True)
        self._request = (client, path, body)
        self._begun = threading.Event()
        self._response: TestResponse | None = None
        self._error: BaseException | None = None
        with aside():
            self._thread.start()
        self._begun.wait()
        if self._error is not None:
            raise self._error

    def _answer(self) -> None:
        """The server's side, on a thread of its own as under gunicorn."""
        client, path, body = self._request
        try:
            self._response = client.open(path, body, {"gunicorn.socket": self._there})
        except BaseException as error:
            self._error = error
        finally:
            self._begun.set()
        if self._response is None:
            return
        try:
            for chunk in self._response.iter_encoded():
                if chunk:
                    self._there.sendall(b"%X\r\n%b\r\n" % (len(chunk), chunk))
            self._there.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # the client is gone
        finally:
            self._response.close()
            self._there.close()

    @property
    def status_code(self) -> int:
        assert self._response is not None
        return self._response.status_code

    @property
    def headers(self) -> Any:
        assert self._response is not None
        return self._response.headers

    def get_data(self, as_text: bool = False) -> Any:
        return b"".join(self.iter_encoded()).decode() if as_text else b"".join(self.iter_encoded())

    def iter_encoded(self) -> Iterator[bytes]:
        """Chunk by chunk. ConnectionError if the server breaks off."""
        self._here.settimeout(30)
        with self._here.makefile("rb") as lines:
            while size := int(lines.readline().strip() or b"-1", 16):
                if size < 0:
                    raise ConnectionError("the server has broken off")
                yield lines.read(size)
                lines.readline()

    def close(self) -> None:
        self._here.close()
        self._thread.join(30)
