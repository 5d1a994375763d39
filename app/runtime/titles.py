"""Titles for sessions that have none: one small model call beside the run, which never waits for it.

A title that is ready before the run ends is told to its readers; one that comes later is only stored. A title
that somebody has set meanwhile is left alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import orjson

from app.agent.model_client import ModelClient, ModelError, ModelRequest, TextDelta
from app.conversation.blocks import clean
from app.conversation.events import SessionTitle
from app.errors import AppError
from app.event_encoder import EventEncoder
from app.runtime.live_run import LiveRun, RunCancellation
from app.store.session_store import SessionStore
from app.team.model_definition import ModelSpec
from app.telemetry.tracing import Tracing

log = logging.getLogger(__name__)

MAX_TOKENS: Final = 64
MAX_SECONDS: Final = 30.0
MAX_AT_ONCE: Final = 32
MAX_TEXT: Final = 2_000  # characters of each message that the model is shown
MAX_TITLE: Final = 200

_SYSTEM: Final = (
    "You write the title of a conversation. Answer with the title alone: one line, at most 50 characters, in the "
    "language of the conversation, without quotation marks."
)


class Titles:
    """Shared by all runs of a process."""

    def __init__(self, sessions: SessionStore, tracing: Tracing | None = None) -> None:
        self._sessions = sessions
        self._tracing = tracing or Tracing()
        self._guard = threading.Lock()
        self._under_way: dict[threading.Thread, RunCancellation] = {}

    def begin(
        self, live: LiveRun, client: ModelClient, models: Sequence[ModelSpec], texts: Sequence[str]
    ) -> None:
        """Starts on a title for the run's session, by the first of the models that has one; does nothing if too
        many are under way. Never raises: the run has begun, and goes on without a title."""
        try:
            self._begin(live, client, models, texts)
        except Exception:
            log.warning("no title for session %s", live.run.session_id, exc_info=True)

    def _begin(
        self, live: LiveRun, client: ModelClient, models: Sequence[ModelSpec], texts: Sequence[str]
    ) -> None:
        cancellation = RunCancellation()
        thread = threading.Thread(
            target=self._work,
            args=(live, client, [_request(model, texts) for model in models], cancellation),
            name=f"title-{live.run.id[:8]}",
            daemon=True,
        )
        with self._guard:
            if len(self._under_way) >= MAX_AT_ONCE:
                return
            self._under_way[thread] = cancellation
        try:
            thread.start()
        except BaseException:  # no more threads to be had; the next run tries again
            self._forget(thread)
            raise

    @property
    def under_way(self) -> int:
        with self._guard:
            return len(self._under_way)

    def stop(self) -> None:
        """Cuts off what is under way, and waits for its threads."""
        with self._guard:
            under_way = dict(self._under_way)
        for thread, cancellation in under_way.items():
            cancellation.cancel("shutdown")
            thread.join()

    def _work(
        self,
        live: LiveRun,
        client: ModelClient,
        requests: Sequence[ModelRequest],
        cancellation: RunCancellation,
    ) -> None:
        try:
            with live.context.entered(self._tracing, session=live.run.session_id, run=live.run.id):
                try:
                    with _limited(cancellation, f"title-timer-{live.run.id[:8]}"):
                        self._write(live, client, requests, cancellation)
                except Exception:
                    log.exception("no title for session %s", live.run.session_id)
        finally:
            self._forget(threading.current_thread())

    def _write(
        self,
        live: LiveRun,
        client: ModelClient,
        requests: Sequence[ModelRequest],
        cancellation: RunCancellation,
    ) -> None:
        try:
            title = _first_title(client, requests, cancellation)
            if title and self._sessions.set_title(live.run.session_id, title, if_empty=True):
                event = SessionTitle(session_id=live.run.session_id, title=title)
                live.log.publish(EventEncoder().encode(event), live.end)
        except (ModelError, AppError) as error:
            log.info("no title for session %s: %s", live.run.session_id, error)

    def _forget(self, thread: threading.Thread) -> None:
        with self._guard:
            self._under_way.pop(thread, None)


@contextmanager
def _limited(cancellation: RunCancellation, name: str) -> Iterator[None]:
    """Cancels what happens inside if it takes too long."""
    timer = threading.Timer(MAX_SECONDS, cancellation.cancel, ("too slow",))
    timer.name, timer.daemon = name, True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _request(model: ModelSpec, texts: Sequence[str]) -> ModelRequest:
    listed = "\n".join(f"{number}. {clean(text[:MAX_TEXT])}" for number, text in enumerate(texts, 1))
    words = f"Write a title for the conversation that begins with these messages:\n{listed}"
    return ModelRequest(
        model=model.model,
        system=orjson.dumps([{"type": "text", "text": _SYSTEM}]),
        tools=b"",
        messages=[orjson.dumps({"role": "user", "content": [{"type": "text", "text": words}]})],
        max_tokens=MAX_TOKENS,
        base_url=model.base_url,
    )


def _first_title(client: ModelClient, requests: Sequence[ModelRequest], cancellation: RunCancellation) -> str:
    """Empty if no model has one; the last one's ModelError if it failed."""
    for place, request in enumerate(requests, 1):
        try:
            if title := _first_line(_ask(client, request, cancellation)):
                return title
        except ModelError as error:
            if place == len(requests) or error.kind == "cancelled":
                raise
    return ""


def _ask(client: ModelClient, request: ModelRequest, cancellation: RunCancellation) -> str:
    events = client.stream(request, cancellation)
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def _first_line(text: str) -> str:
    lines = (line.replace("\r", "").strip() for line in text.splitlines())
    return next((line for line in lines if line), "")[:MAX_TITLE]
