"""A network in between that breaks: it passes bytes on, and cuts connections in the middle of an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Self


class BreakingProxy:
    """Listens on a port of its own. `allowance()` says for each new connection how many bytes of the server's
    answer come through before it is cut; None: all of them."""

    def __init__(self, target_port: int, allowance: Callable[[], int | None] = lambda: None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.allowance = allowance
        self.holds_streams_back = False
        """Does it wait for the end of a stream before it passes anything on, as proxies do that buffer?"""
        self.cuts = 0
        self.requests: list[bytes] = []
        """The first bytes of each connection."""
        self.falls_silent = False
        """Does it keep a connection open, without a further byte, where it would cut it?"""
        self._target = target_port
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Hangs up every connection."""
        for one in list(self._open):
            _hang_up(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._open |= {client, server}
            for work in (self._forth, self._back):
                threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while piece := client.recv(65_536):
                self.requests.append(piece)
                server.sendall(piece)
        except OSError:
            pass
        _hang_up(server)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        left, held = self.allowance(), False
        try:
            while piece := server.recv(4096):
                held = held or (self.holds_streams_back and b"text/event-stream" in piece)
                if held:
                    continue
                if left is not None and len(piece) >= left:
                    client.sendall(piece[:left])
                    self.cuts += 1
                    if not self.falls_silent:
                        break
                    held = True
                else:
                    left = None if left is None else left - len(piece)
                    client.sendall(piece)
        except OSError:
            pass
        for one in (client, server):
            _hang_up(one)
            self._open.discard(one)


def _hang_up(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    one.close()
