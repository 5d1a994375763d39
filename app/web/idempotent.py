"""Requests that have an effect once, however often they are sent."""

from __future__ import annotations

import hashlib

from flask import request

from app.store.idempotency import KeyUse
from app.web.access import own_name
from app.web.query_parameters import IDEMPOTENCY_KEY


def session_key(session_id: str) -> KeyUse | None:
    """How a follow-up uses its `Idempotency-Key` in the later generation: for this session alone, whatever the body
    says and whoever sends it. None if it has none."""
    key = IDEMPOTENCY_KEY.read()
    return (
        KeyUse(f"session/{session_id}", key, "followup") if key is not None else None
    )  # no token's name has a slash


def idempotency_key(body: object) -> KeyUse | None:
    """How this request uses its `Idempotency-Key`; None if it has none."""
    key = IDEMPOTENCY_KEY.read()
    if key is None:
        return None
    digest = hashlib.sha256(f"{request.method} {request.path}\0{body!r}".encode()).hexdigest()
    return KeyUse(own_name(), key, digest)
