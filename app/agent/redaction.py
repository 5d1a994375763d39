"""Texts that look like secrets, masked: by the forms in which services give out their keys and tokens.

A secret without such a form, a password say, is not known from other words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from app.agent.toolset import ToolResult
from app.conversation.blocks import Block
from app.conversation.transcript import Message

MASK: Final = "[REDACTED]"

_FORMS: Final = (
    r"gh[oprsu]_[A-Za-z0-9]{36,255}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,255}",
    r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent)-[A-Za-z0-9_-]{20,300}",  # GitLab
    r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}",  # AWS: the name of a key
    r"xox[abeoprs]-(?:[0-9]+-)?[A-Za-z0-9-]{10,250}",  # Slack
    r"xapp-[0-9]-[A-Za-z0-9-]{10,250}",
    r"(?:rk|sk)_(?:live|test)_[A-Za-z0-9]{10,250}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{20,250}",
    r"sk-ant-[A-Za-z0-9_-]{20,300}",  # Anthropic
    r"sk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{32,300}",  # OpenAI and those like it
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"ya29\.[A-Za-z0-9_-]{20,500}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-[A-Za-z0-9_-]{50,500}",
    r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,100}",  # Docker
    r"hf_[A-Za-z0-9]{30,100}",  # Hugging Face
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}",  # SendGrid
    r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}",  # Shopify
    r"do[oprt]_v1_[a-f0-9]{64}",  # DigitalOcean
    r"hvs\.[A-Za-z0-9_-]{24,300}",  # Vault
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}",  # a JSON Web Token
)
_WHOLE: Final = re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_FORMS)})(?![A-Za-z0-9])")
_ESCAPED: Final = re.compile(
    r"(\\[nrtbf]|\\u00[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}|\x1b\[[0-9;]{0,20}[mK])"
    rf"(?:{'|'.join(_FORMS)})(?![A-Za-z0-9])"
)
"""Behind an escape of JSON or of an address, or a colour of a terminal, which ends in a letter or a digit."""
_KEY: Final = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.{16,}?"
    r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_PARTS: Final = (  # what stands before a secret stays
    re.compile(r"(https://hooks\.slack\.com/(?:services|workflows)/)[A-Za-z0-9/_-]{20,}"),
    re.compile(r"(https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/[0-9]+/)[A-Za-z0-9_-]{20,}"),
    re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/?#:@'\"]{0,200}:)[^\s/?#@'\"$]{1,500}(?=@)", re.IGNORECASE),
    re.compile(
        r"(\baws_?secret_?access_?key\b[\"']?\s{0,10}[:=]\s{0,10}[\"']?)[A-Za-z0-9/+=]{40}\b", re.IGNORECASE
    ),
    re.compile(
        r"(\bauthorization[\"']?\s{0,10}[:=]\s{0,10}[\"']?(?:bearer|basic|token)\s)[^\s\"']{8,}",
        re.IGNORECASE,
    ),
)


def redacted(text: str) -> str:
    """The text with each secret masked; the very same text if there is none."""
    masked = _WHOLE.sub(MASK, text)
    if "PRIVATE KEY" in masked:
        masked = _KEY.sub(MASK, masked)
    for part in (_ESCAPED, *_PARTS):
        masked = part.sub(rf"\1{MASK}", masked)
    return masked


def redacted_value(value: Any) -> Any:
    """The same for the texts of a JSON value; the very same value if there is none."""
    match value:
        case str():
            return redacted(value)
        case dict():
            changed = {key: redacted_value(inner) for key, inner in value.items()}
            return changed if any(changed[key] is not value[key] for key in value) else value
        case list() | tuple():
            items = [redacted_value(inner) for inner in value]
            return items if any(one is not other for one, other in zip(items, value, strict=True)) else value
    return value


def redacted_result(result: ToolResult) -> ToolResult:
    """Of a tool, with what only readers see of it."""
    structured, meta = redacted_value(result.structured), redacted_value(result.meta)
    return replace(result, output=redacted(result.output), structured=structured, meta=meta)


class Redaction:
    """Masks what a model is shown of a conversation. A row keeps its identity for as long as it is asked about again:
    by this a request is known to go on where the last one ended."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Message, Message]] = {}

    def rows(self, rows: Sequence[Message]) -> list[Message]:
        known = self._known
        self._known = {
            id(row): known[id(row)] if id(row) in known else (row, redacted_row(row)) for row in rows
        }
        return [self._known[id(row)][1] for row in rows]


def redacted_row(row: Message) -> Message:
    """The same row if there is nothing to be masked."""
    content = tuple(_redacted_block(block) for block in row.content)
    return replace(row, content=content) if any(map(_differs, content, row.content)) else row


def _differs(one: Block, other: Block) -> bool:
    return one is not other


def _redacted_block(block: Block) -> Block:
    """Thinking is signed over each of its letters, and was made from what was masked; pictures hold no text."""
    key = {"text": "text", "tool_use": "input", "tool_result": "content"}.get(str(block.get("type")))
    if key is None or key not in block:
        return block
    value = block[key]
    if isinstance(value, list):
        shown = [_redacted_block(one) if isinstance(one, dict) else one for one in value]
        return {**block, key: shown} if any(map(_differs, shown, value)) else block
    masked = redacted_value(value)
    return block if masked is value else {**block, key: masked}
