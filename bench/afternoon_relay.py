"""A relay as a team would write it in an afternoon: Flask and the SDK's stream. No lock, no store, no limits."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import anthropic
from flask import Flask, Response, request

app = Flask(__name__)
client = anthropic.Anthropic()
sessions: dict[str, list[Any]] = {}


@app.get("/api/ping")
def ping() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/sessions")
def create() -> dict[str, str]:
    sessions[(session_id := uuid.uuid4().hex)] = request.get_json().get("messages", [])
    return {"id": session_id}


@app.post("/api/sessions/<session_id>/agent/<name>")
def run(session_id: str, name: str) -> Response:  # noqa: ARG001 - the route's
    messages = sessions[session_id] + request.get_json()

    def frames() -> Iterator[str]:
        said = ""
        for event in client.messages.create(
            model="claude-sonnet-5-5", max_tokens=32_000, messages=messages, stream=True
        ):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                said += event.delta.text
                yield f"data: {json.dumps({'type': 'agent_choice', 'content': event.delta.text})}\n\n"
        sessions[session_id] = [*messages, {"role": "assistant", "content": said}]

    return Response(frames(), content_type="text/event-stream")
