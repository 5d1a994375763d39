"""A network in between that counts: how often a client of PostgreSQL waits for an answer."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import Self

ASIDE = b"synchronous_commit"
"""Said at the beginning of the connection for leases and brakes, whose use depends on time."""


@dataclass
class _Wire:
    client: socket.socket
    server: socket.socket
    asked: bool = False  # the client spoke last
    aside: bool = False


class CountingProxy:
    """Listens on a port of its own, and passes everything on. A round trip is what the client says at once, up to the
    server's next word."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._guard = threading.Lock()
        self._open: list[_Wire] = []
        self.trips: list[bytes] = []
        """What the client said in each, of its connections but the one aside."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for wire in self._open:
            for one in (wire.client, wire.server):
                one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            wire = _Wire(client, socket.create_connection(("127.0.0.1", self._target)))
            for one in (client, wire.server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(wire)
            for work in (self._forth, self._back):
                threading.Thread(target=work, args=(wire,), daemon=True).start()

    def _forth(self, wire: _Wire) -> None:
        try:
            while piece := wire.client.recv(1 << 16):
                with self._guard:
                    wire.aside = wire.aside or ASIDE in piece
                    if wire.asked and self.trips:
                        self.trips[-1] += piece
                    elif not wire.aside:
                        self.trips.append(piece)
                    wire.asked = True
                wire.server.sendall(piece)
        except OSError:
            pass
        wire.server.close()

    def _back(self, wire: _Wire) -> None:
        try:
            while piece := wire.server.recv(1 << 16):
                with self._guard:
                    wire.asked = False
                wire.client.sendall(piece)
        except OSError:
            pass
        wire.client.close()
