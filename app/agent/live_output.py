"""The output of one tool call, shown to readers while the call is at work. It is for them alone: the model gets the
result."""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Callable
from typing import Final

from app.conversation.call_events import ToolCallOutput
from app.conversation.events import Event, Json

MOST_BYTES: Final = 30_000
"""Bytes of one call's output that are shown while it runs: as many as its result may have."""

PAUSE_SECONDS: Final = 0.25
"""From one event of a call to the next. What comes meanwhile waits, and goes out as one."""

PIECE: Final = 8_000
"""Characters of one event, which stays within the bound of an event however they are escaped."""

LEFT_OUT: Final = "\n\n[The rest of the output is not shown while the command runs.]\n"


class LiveOutput:
    """Shows nothing before `open`, and after `close` only what was written before it. Any thread may call anything;
    `show` is called by one thread at a time, in the order of what was written, and must not block."""

    def __init__(
        self,
        show: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        """`mask` hides what nobody may see. It gets all of the output so far, in whole lines, and only what it returns
        is shown; where that changes what was shown already, the rest is left out."""
        self._show = show
        self._clock = clock
        self._mask = mask
        self._lines = self._masked = ""  # with a mask: the output so far, and as it was shown
        self._guard = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._room = MOST_BYTES
        self._is_open = False
        self._is_over = False
        self._next = 0.0  # by the clock: when something may be shown again

    def open(self) -> None:
        """The readers know of the call by now: what was written already is shown."""
        with self._guard:
            self._is_open = True
            self._tell()

    def write(self, data: bytes) -> None:
        """The next bytes of the output, cut anywhere. Beyond the bound, it is said once that the rest is left out."""
        if self._room < 0:
            return
        with self._guard:
            if self._is_over or self._room < 0:
                return
            within = data[: self._room]
            self._room -= len(data)
            self._held += self._decoder.decode(within).replace("\0", "\ufffd")
            if self._room < 0:
                self._held += LEFT_OUT
        self.flush()

    @property
    def due(self) -> float | None:
        """Seconds until `flush` has something to show; None if there is nothing."""
        return max(0.0, self._next - self._clock()) if self._held and self._is_open else None

    def flush(self) -> None:
        """Shows what was held back, if its time has come."""
        with self._guard:
            if self._clock() >= self._next:
                self._tell()

    def close(self) -> None:
        """The handler has ended: what is held back is shown, now or by `open`, and nothing is written any more."""
        with self._guard:
            self._is_over = True
            self._tell()

    def _tell(self) -> None:
        if not self._is_open or not self._held:
            return
        self._next = self._clock() + PAUSE_SECONDS
        text = self._take()
        for start in range(0, len(text), PIECE):
            self._show(text[start : start + PIECE])

    def _take(self) -> str:
        """What may be shown of what is held back."""
        if self._mask is None:
            text, self._held = self._held, ""
            return text
        end = len(self._held) if self._is_over else self._held.rfind("\n") + 1
        self._lines, self._held = self._lines + self._held[:end], self._held[end:]
        before, self._masked = self._masked, self._mask(self._lines)
        if self._masked.startswith(before):
            return self._masked[len(before) :]
        self._room, self._held, self._is_over = -1, "", True
        return LEFT_OUT


def output_of_call(
    publish: Callable[[Event], None],
    agent: str,
    call_id: str,
    definition: Callable[[], Json],
    *,
    mask: Callable[[str], str] | None = None,
) -> LiveOutput:
    """What that agent's call tells its readers, as events that go to `publish` on the handler's thread."""

    def show(text: str) -> None:
        publish(
            ToolCallOutput(agent_name=agent, tool_call_id=call_id, tool_definition=definition(), output=text)
        )

    return LiveOutput(show, mask=mask)
