"""The `webhook` toolset: messages to one address that the agent's author wrote down."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from app.agent.tools.configured_http import SECONDS, HttpAnswer, Redirected, RequestFailed, send
from app.agent.tools.fetch import USER_AGENT
from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.toolset import CANCELLED, ToolCancelled, ToolContext, ToolResult
from app.team.webhook_spec import WebhookSpec

WAITS: Final = (1.0, 2.0, 4.0)
"""Seconds before each further attempt, unless the receiver says how long."""
LONGEST_WAIT: Final = 30.0
SAME_AGAIN: Final = 30.0
"""Seconds in which the same message is not sent again."""
APART: Final = 1.0
"""Seconds between two messages."""
_MAX_BODY: Final = 64 << 10
_SHOWN: Final = 200  # characters of an answer
_SECRET: Final = 6  # characters: what is shorter gives nothing away


class WebhookToolset(FunctionToolset):
    """Remembers for one run what was sent. The address is a secret, so no answer shows it."""

    category = "webhook"
    instructions = (
        "send_webhook brings a message to where the agent's author wants it; you choose neither the place nor its "
        "credentials. It is tried again where that helps, so do not send the same again by yourself."
    )

    def __init__(
        self,
        spec: WebhookSpec,
        *,
        timeout: float = 0,
        waits: Sequence[float] = WAITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._seconds = timeout or SECONDS
        self._waits = waits
        self._clock = clock
        self._sent: dict[str, float] = {}

    @tool(title="Send Webhook", takes_description=True)
    def send_webhook(
        self,
        context: ToolContext,
        message: Annotated[str, "The text of the message"],
        value2: Annotated[str, "A second value, for IFTTT alone"] = "",
        value3: Annotated[str, "A third value, for IFTTT alone"] = "",
    ) -> ToolResult:
        """Sends a message to the webhook of this agent."""
        if not message.strip():
            return ToolResult.error("Error: message is required.")
        kind, now = self._spec.kind, self._clock()
        digest = hashlib.sha256("\0".join((message, value2, value3)).encode("utf-8", "replace")).hexdigest()
        if now - self._sent.get(digest, -SAME_AGAIN) < SAME_AGAIN:
            words = f"Suppressed: an identical message was already delivered to the {kind} webhook"
            return ToolResult(f"{words} within the last {SAME_AGAIN:.0f}s.")
        if self._sent and now - max(self._sent.values()) < APART:
            return ToolResult.error("Error: rate limited; wait a second before sending another notification.")
        result = self._deliver(self._payload(message, value2, value3), context)
        if not result.is_error:
            self._sent[digest] = now
        return result

    def _payload(self, message: str, value2: str, value3: str) -> bytes:
        match self._spec.kind:
            case "discord":
                body = {"content": message}
            case "ifttt":
                values = {"value1": message, "value2": value2, "value3": value3}
                body = {name: value for name, value in values.items() if value}
            case "telegram":
                body = {"chat_id": self._spec.chat_id, "text": message}
            case _:
                body = {"text": message}
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")

    def _deliver(self, body: bytes, context: ToolContext) -> ToolResult:
        kind, most, problem = self._spec.kind, len(self._waits) + 1, ""
        for attempt in range(1, most + 1):
            wait = 0.0
            try:
                answer = self._post(body, context)
            except Redirected:  # to send it again would lead there again, and it may have arrived
                words = f"Delivery to the {kind} webhook failed permanently: it answers with a redirect"
                return ToolResult.error(words)
            except RequestFailed as failure:
                problem = self._hidden(f"request failed: {failure}")
            else:
                if answer.status < 300:
                    return ToolResult(f"Delivered to the {kind} webhook (attempt {attempt}/{most}).")
                said = self._hidden(answer.text.strip())[:_SHOWN] or "(no body)"
                problem = f"HTTP {answer.status}: {said}"
                if answer.status != 429 and answer.status < 500:
                    return ToolResult.error(f"Delivery to the {kind} webhook failed permanently: {problem}")
                wait = min(answer.retry_after, LONGEST_WAIT)
            if attempt < most and context.cancellation.wait(wait or self._waits[attempt - 1]):
                raise ToolCancelled(CANCELLED)
        return ToolResult.error(f"Delivery to the {kind} webhook failed after {most} attempt(s): {problem}")

    def _hidden(self, words: str) -> str:
        """Without the address and the headers, which errors and answers may repeat."""
        address = urlsplit(self._spec.url)
        parts = [*address.path.split("/"), *(value for _, value in parse_qsl(address.query))]
        whole = (self._spec.url, f"{address.path}?{address.query}", address.path, address.query)
        secrets = {*whole, *parts, address.netloc.rpartition("@")[0], *self._spec.headers.values()}
        for secret in sorted(secrets | set(map(unquote, secrets)), key=len, reverse=True):
            words = words.replace(secret, "***") if len(secret) >= _SECRET else words
        return words

    def _post(self, body: bytes, context: ToolContext) -> HttpAnswer:
        """OutcomeUnknown if the message has left and no answer came: it is not sent a second time."""
        return send(
            "POST",
            self._spec.url,
            headers={"User-Agent": USER_AGENT, "Content-Type": "application/json", **self._spec.headers},
            body=body,
            cancellation=context.cancellation,
            limit=_MAX_BODY,
            seconds=self._seconds,
            changes=True,
        )
