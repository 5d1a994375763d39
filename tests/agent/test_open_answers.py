"""What is kept of a request while its answer is read."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import httpx2
import pytest

from app.agent.anthropic.anthropic_model import AnthropicModel
from tests.agent.socket_server import Peer, sse
from tests.agent.test_anthropic_model import HELLO, START, STOP, TEXT, Cancel, end, model_at, own_settings

__all__ = ["own_settings"]


def test_the_conversation_is_not_kept_once_more_while_the_answer_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The request's body has all of it."""
    sent: list[weakref.ref[Any]] = []
    post = AnthropicModel._post

    def posting(model: AnthropicModel, *arguments: Any) -> httpx2.Response:
        response = post(model, *arguments)
        sent.extend((weakref.ref(response), weakref.ref(response.request)))
        return response

    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        peer.chunk(sse(START, *TEXT[:2]))
        peer.chunk(sse(TEXT[2], end(), STOP))
        peer.chunk(b"")

    monkeypatch.setattr(AnthropicModel, "_post", posting)
    with model_at(script) as model:
        events = model.stream(HELLO, Cancel())
        next(events)
        gc.collect()
        assert [one() for one in sent] == [None, None]
        assert [*events]
