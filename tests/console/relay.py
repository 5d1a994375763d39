"""A network that can fail: passes bytes between a browser and a server until it is told to cut."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Listens on a free loopback port, in front of a server at `port`."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> int:
        """Breaks every connection off where it stands, both ways; how many sockets that were."""
        with self._guard:
            broken, self._open = self._open, set()
        for one in broken:
            _shut(one)
        return len(broken)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="relay", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _shut(self._listener)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                client.close()
                continue
            with self._guard:
                self._open |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass_on, args=(source, target), name="relay", daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while piece := source.recv(65_536):
                target.sendall(piece)
        except OSError:
            pass
        finally:
            _shut(target)
            source.close()
            with self._guard:
                self._open.discard(source)


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is shut already
        pass
