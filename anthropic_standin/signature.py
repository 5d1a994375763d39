"""The signature of a thinking block: bound to its text, its model and everything that stands before it.

A signature carries digests of what it was made over, so that the judge can say which part has changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from enum import Enum
from typing import Any

import orjson

from anthropic_standin.refusal import Json
from anthropic_standin.rules.roles import blocks_of

_KEY = b"the stand-in signs for nobody but itself"
_MAC_BYTES = 16


class SignatureFinding(Enum):
    """The finding on a signed block that came back."""

    VALID = "valid"
    FORGED = "forged"
    MODIFIED = "modified"
    OTHER_MODEL = "other model"
    SYSTEM = "system"
    TOOLS = "tools"
    THINKING = "thinking"
    MESSAGES = "messages"


class Prefix:
    """The conversation before one of its points, as digests. Grows with `add`, in prompt order.

    Blocks count with their role, not with their message, so merging neighbours of one role changes nothing.
    """

    def __init__(self, body: Json) -> None:
        self.model: str = body["model"]
        self._system = _digest([bare(block) for block in _system_blocks(body.get("system"))])
        self._tools = _digest([bare(tool) for tool in body.get("tools") or []])
        self._blocks = hashlib.sha256()
        self._thinking = hashlib.sha256()

    def add(self, role: str, block: Json) -> None:
        entry = orjson.dumps([role, bare(block)], option=orjson.OPT_SORT_KEYS)
        self._blocks.update(entry)
        if block["type"] in ("thinking", "redacted_thinking"):
            self._thinking.update(entry)

    def sign(self, text: str) -> str:
        payload = orjson.dumps([self.model, _digest(text), *self._state()])
        return base64.b64encode(_mac(payload) + payload).decode()

    def examine(self, text: str, signature: str) -> SignatureFinding:
        """Compare a block that came back with the prefix it came back behind."""
        payload = _open(signature)
        if payload is None:
            return SignatureFinding.FORGED
        model, digest, *state = orjson.loads(payload)
        if digest != _digest(text):
            return SignatureFinding.MODIFIED
        if model != self.model:
            return SignatureFinding.OTHER_MODEL
        reasons = (
            SignatureFinding.SYSTEM,
            SignatureFinding.TOOLS,
            SignatureFinding.THINKING,
            SignatureFinding.MESSAGES,
        )
        changed = (
            reason for reason, was, now in zip(reasons, state, self._state(), strict=True) if was != now
        )
        return next(changed, SignatureFinding.VALID)

    def _state(self) -> list[str]:
        return [self._system, self._tools, self._thinking.hexdigest()[:16], self._blocks.hexdigest()[:16]]


def bare(block: Json) -> Json:
    """The block without what is not part of the prompt: cache marks, and fields that are null."""
    kept = {name: part for name, part in block.items() if name != "cache_control" and part is not None}
    if block.get("type") in ("tool_result", "search_result") and "content" in kept:
        kept["content"] = [bare(part) for part in blocks_of(block)]
    return kept


def _system_blocks(system: Any) -> list[Json]:
    return blocks_of({"content": system or []})


def _open(signature: str) -> bytes | None:
    """The payload, if this is a signature of ours."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    return payload if hmac.compare_digest(mac, _mac(payload)) else None


def _mac(payload: bytes) -> bytes:
    return hmac.digest(_KEY, payload, "sha256")[:_MAC_BYTES]


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
