"""What the file tools of `agent_toolset` say of a path that can't be used, in the words of Anthropic's own worker."""

from __future__ import annotations

from app.agent.tools.sandbox import FileRefused


def refusal_words(name: str, path: str, refusal: FileRefused) -> str:
    if not refusal.reason:
        return f"{name}: path {path!r} is outside the session's working directory"
    return f"{name}: {path}: {refusal.reason}"
