"""Hang-ups of clients: told once, of the very connection that was closed, whatever the system lacks meanwhile."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from app.runtime.streams.disconnects import DisconnectWatcher
from tests.harness.descriptors import connection_with
from tests.harness.process import eventually

PATIENCE = 20.0


class Peer:
    """Both ends of a connection."""

    def __init__(self, *, number: int | None = None) -> None:
        """With a `number` the server's end has that descriptor."""
        self.client, self.server = socket.socketpair() if number is None else connection_with(number)

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture
def make_peer() -> Iterator[Callable[..., Peer]]:
    with ExitStack() as stack:

        def make(**more: int) -> Peer:
            peer = Peer(**more)
            stack.callback(peer.close)
            return peer

        yield make


class Gate:
    """A callback that holds the watcher's thread until the test opens it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.open.wait(PATIENCE)


def test_a_hang_up_is_told(make_peer: Callable[..., Peer]) -> None:
    watcher, peer, told = DisconnectWatcher(), make_peer(), threading.Event()
    with watcher.watching(peer.server, told.set):
        peer.client.close()
        assert told.wait(PATIENCE)


def test_unread_bytes_do_not_hide_a_hang_up(make_peer: Callable[..., Peer]) -> None:
    watcher, peer, told = DisconnectWatcher(), make_peer(), threading.Event()
    with watcher.watching(peer.server, told.set):
        peer.client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        peer.client.close()
        assert told.wait(PATIENCE)


def test_the_event_of_a_closed_connection_is_not_told_to_the_next_one_of_its_number(
    make_peer: Callable[..., Peer],
) -> None:
    watcher = DisconnectWatcher()
    first, old, other = make_peer(), make_peer(), make_peer()
    first_gate, gates = Gate(), {old: Gate(), other: Gate()}
    right = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(watcher.watching(first.server, first_gate))
        watches = {peer: ExitStack() for peer in gates}
        for peer, watch in watches.items():
            watch.enter_context(watcher.watching(peer.server, gates[peer]))
        first.client.close()
        assert first_gate.entered.wait(PATIENCE)
        for peer in gates:  # their events come to the thread together
            peer.client.close()
        first_gate.open.set()
        eventually(lambda: any(gate.entered.is_set() for gate in gates.values()), "the first of both is told")
        victim = next(peer for peer, gate in gates.items() if not gate.entered.is_set())
        holder = next(peer for peer in gates if peer is not victim)
        number = victim.server.fileno()
        watches[victim].close()
        victim.server.close()
        new = make_peer(number=number)
        stack.enter_context(watcher.watching(new.server, right.set))
        gates[holder].open.set()
        last, told = make_peer(), threading.Event()
        stack.enter_context(watcher.watching(last.server, told.set))
        last.client.close()
        assert told.wait(PATIENCE)  # the old event has been dealt with by now
        assert not right.is_set(), "the new connection's client is still there"
        assert not gates[victim].entered.is_set()
        new.client.close()
        assert right.wait(PATIENCE), "and is watched all the same"
        watches[holder].close()


def test_a_watcher_that_could_not_start_starts_with_the_next_connection(
    make_peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, peer, told = DisconnectWatcher(), make_peer(), threading.Event()

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with watcher.watching(peer.server, told.set):
            pass
    with watcher.watching(peer.server, told.set):
        peer.client.close()
        assert told.wait(PATIENCE)


def test_a_connection_that_can_not_be_watched_is_served(
    make_peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, peer, told = DisconnectWatcher(), make_peer(), threading.Event()

    def no_descriptor() -> selectors.BaseSelector:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(selectors, "DefaultSelector", no_descriptor)
        with watcher.watching(peer.server, told.set):
            peer.client.sendall(b"still here")
    with watcher.watching(peer.server, told.set):
        peer.client.close()
        assert told.wait(PATIENCE)
