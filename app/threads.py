"""Threads that live as long as their process: housekeeping, the stream writer, the reader of models' answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from app.errors import ServerFull


class ServiceThread:
    """One thread that is started when it is first needed, so never before a fork.

    It counts as running only while it runs: a start that fails, or a thread that has died, is tried again by the
    next caller. Any thread may call any method.
    """

    def __init__(self, work: Callable[[], None], *, name: str) -> None:
        self._work = work
        self._name = name
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def ensure_running(self) -> None:
        """Starts the thread unless it runs or was closed. ServerFull if the system has no thread to give."""
        if self.running:
            return
        with self._guard:
            if self._closed or self.running:
                return
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise ServerFull("The server can't start another thread; try again in a moment.") from error
            self._thread = thread

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """From now on nobody starts it. It goes on until its own work ends; `join` waits for that."""
        with self._guard:
            self._closed = True

    def join(self) -> None:
        """Waits until the thread has ended; returns at once if it never ran, or is the caller."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()


class Service(Protocol):
    """Something with a thread of its own, started when it is first needed."""

    def ensure_running(self) -> None:
        """ServerFull if its thread can't be started."""
        ...

    def stop(self) -> None:
        """Ends the thread, and waits for it."""
        ...


class ThreadedService:
    """The base of services that work until `_stopping` is set. Their threads are started when they are first needed, so
    never before a fork."""

    def __init__(self, **works: Callable[[], None]) -> None:
        """Each work gets a thread of that name."""
        self._threads = [ServiceThread(work, name=name.replace("_", "-")) for name, work in works.items()]
        self._stopping = threading.Event()

    def ensure_running(self) -> None:
        """ServerFull if a thread can't be started."""
        for thread in self._threads:
            thread.ensure_running()

    def stop(self) -> None:
        """Ends the threads after what they are doing, and waits for them."""
        for thread in self._threads:
            thread.close()
        self._stopping.set()
        self._wake_up()
        for thread in self._threads:
            thread.join()

    def _wake_up(self) -> None:
        """For a service that waits for something else than `_stopping`."""


class Services:
    """Several that are needed together."""

    def __init__(self, *services: Service) -> None:
        self._services = services

    def ensure_running(self) -> None:
        """Starts those that don't run. ServerFull."""
        for service in self._services:
            service.ensure_running()

    def stop(self) -> None:
        """Ends them, the last one first."""
        for service in reversed(self._services):
            service.stop()
