"""Odd servers of HTTP: all on one port, told apart by the first part of the path."""

from __future__ import annotations

from typing import Protocol

from tests.agent.socket_server import Peer, Request, SocketServer


class Place(Protocol):
    def serve(self, peer: Peer, method: str, target: str, body: bytes) -> None:
        """Answers one request; whoever ends the connection says so."""
        ...

    def close(self) -> None:
        """Lets go of whoever still waits for it."""
        ...


class Web:
    """All odd servers of HTTP on one port, by path."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.server: SocketServer | None = None

    def add(self, place: Place) -> str:
        """The address at which the place answers from now on."""
        name = str(len(self.places) + 1)
        self.places[name] = place
        return self.address(name)

    def address(self, name: str) -> str:
        assert self.server is not None
        return f"{self.server.url}/{name}"

    def serve(self, peer: Peer) -> None:
        while (request := _next(peer)) is not None:
            method, target, _ = request.line.split(" ", 2)
            place = self.places.get(target.lstrip("/").partition("?")[0].partition("/")[0])
            if place is None:
                peer.answer(b"", "connection: close", status="404 Not Found")
            else:
                place.serve(peer, method, target, request.body)

    def close(self) -> None:
        for place in self.places.values():
            place.close()


def _next(peer: Peer) -> Request | None:
    """None once the client has closed, or has been silent for long."""
    try:
        return peer.request()
    except TimeoutError:
        return None
