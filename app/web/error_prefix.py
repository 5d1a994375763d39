"""The contract's words around a refusal: `failed to delete session: session not found`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import AgentNotFound, InvalidAgentConfig, MissingEnvironment, SessionNotFound


@contextmanager
def error_prefix(what: str) -> Iterator[None]:
    """Says of what is missing what it was needed for; class, status and code stay as they are."""
    try:
        yield
    except (SessionNotFound, AgentNotFound, InvalidAgentConfig, MissingEnvironment) as error:
        raise type(error)(f"failed to {what}: {error.message}", **error.details) from error
