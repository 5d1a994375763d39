"""A model as the loop needs it: a stream of small records that ends in a whole turn, or in an error that says what
was already there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.conversation.blocks import Block
from app.conversation.usage import Usage


class Cancellation(Protocol):
    """How a run learns that it should stop. `threading.Event` with callbacks, seen from below."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool:
        """Sleeps up to `timeout` seconds; True as soon as the run was cancelled."""
        ...

    def calling(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        """While inside, a cancel calls `callback` once, on the canceller's thread; at once if it came before."""
        ...


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    text: str


Show = Callable[[TextDelta | ThinkingDelta], None]
"""Shows a piece of text to readers. Called on a thread that serves every stream of the process: it must not block."""


Held = Callable[[float], bool]
"""Told, on the caller's thread, for how many seconds a call is about to be held because the API has refused others.
False: the call fails with `rate_limited` instead."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of the Messages API. `messages` are JSON texts of whole messages, in order: what has not
    changed since the last call is not encoded again."""

    model: str
    system: bytes  # JSON array of text blocks, or b"" for none
    tools: bytes  # JSON array of tool definitions, or b"" for none
    messages: Sequence[bytes]
    max_tokens: int
    options: dict[str, Any] = field(default_factory=dict)  # thinking, output_config, tool_choice, …
    betas: Sequence[str] = ()
    base_url: str = ""  # another endpoint than the client's own
    held: Held | None = None
    show: Show | None = None  # once the stream has begun, text may go there instead of into the stream


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A tool call is being written. The first one of a call has no `partial_json`. A model may give two calls one id: a
    call that `begins` is another one."""

    id: str
    name: str
    partial_json: str
    begins: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """A model's answer to one call, block by block as it came. `stop_reason` is never empty in a turn that ended by
    itself.

    `broken_calls` are the ids of tool calls whose input could not be read as JSON; their `input` is then an
    object that holds the raw text.
    """

    content: tuple[Block, ...]
    stop_reason: str
    usage: Usage | None
    model: str
    stop_details: dict[str, Any] | None = None
    broken_calls: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt has failed; another one is made soon. `status` is the API's answer, if there was one."""

    words: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt begins. Not told of one that the client holds back."""


ModelEvent = TextDelta | ThinkingDelta | CallDelta | Turn | Retrying | Again

FailureKind = Literal[
    "overflow", "rate_limited", "retryable", "final", "thinking_mismatch", "picture_refused", "cancelled"
]


class ModelError(Exception):
    """A model call that did not end in a whole turn.

    `kind` says what to do about it; `retry_after` is in seconds, if the server named a time; `partial` is
    what may be kept of the cut turn, unfinished text included but nothing unsigned and no unfinished call
    (empty if nothing was shown); `shown` tells whether any delta was yielded before; `usage` is what the call has
    used all the same, None if the API did not begin to answer. `braked`: the client itself holds the next call.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind,
        status: int | None = None,
        retry_after: float | None = None,
        partial: Turn | None = None,
        shown: bool = False,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        self.partial = partial
        self.shown = shown
        self.usage = usage
        self.braked = False


class ModelClient(Protocol):
    """Talks to a model. One object serves all threads of a process."""

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        """Yields deltas and, last, one Turn. Makes exactly one attempt.

        Raises ModelError, with kind `cancelled` within milliseconds of a cancel in whatever phase.
        """
        ...
