"""A client of Baton's API for scripts, on `requests`. It imports nothing of the server, and nothing by this
package's name, so that its directory can be copied to where a script is.

    from baton_client import BatonClient, TextEvent, ToolApprovalEvent

    baton = BatonClient("http://127.0.0.1:8080")
    with baton.run(baton.create_session()["id"], "What is in this directory?", agent="coder") as run:
        for event in run:
            match event:
                case TextEvent(text=text):
                    print(text, end="")
                case ToolApprovalEvent(call_id=call_id):
                    run.approve(call_id)

Its promises: a run whose connection drops is attached to again, and no event is lost or comes twice (what the server
itself has lost is a `GapEvent`). Calls that fail on their way are repeated for `retry_seconds`, and nothing happens
twice by it; calls that were too many (429) are repeated when the server says. Nothing waits for ever: the server
sends a byte every 15 s, and a server that is silent for longer is gone.

Answers are plain dictionaries; type checkers know their keys (`Session`, `Run`, `QueuedMessage`…).
`baton_client.asynchronous` is the same for asyncio.

A `BatonClient` belongs to one thread at a time; threads that share nothing may each have one.
"""

from .api_call import LIVE, Json, Message
from .api_types import (
    Agent,
    ChatMessage,
    ModelChoice,
    NewSession,
    Question,
    QueuedMessage,
    Run,
    SearchHit,
    Session,
    SessionSummary,
    StoredMessage,
)
from .baton_client import BatonClient
from .client_errors import (
    BatonError,
    BudgetReachedError,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    RunFailedError,
    SessionBusyError,
    TooManyError,
    UnavailableError,
)
from .run_stream import RunStream
from .stream_events import (
    ErrorEvent,
    FormEvent,
    GapEvent,
    MoreIterationsEvent,
    StoppedEvent,
    StreamEvent,
    TextEvent,
    ThinkingEvent,
    ToolApprovalEvent,
    ToolCallEvent,
    ToolOutputEvent,
    ToolResultEvent,
    UserMessageEvent,
    WarningEvent,
    event_of,
)

__all__ = [
    "LIVE",
    "Agent",
    "BatonClient",
    "BatonError",
    "BudgetReachedError",
    "ChatMessage",
    "ConflictError",
    "ErrorEvent",
    "FormEvent",
    "GapEvent",
    "Json",
    "Message",
    "ModelChoice",
    "MoreIterationsEvent",
    "NewSession",
    "NotAllowedError",
    "NotFoundError",
    "Question",
    "QueuedMessage",
    "Run",
    "RunFailedError",
    "RunStream",
    "SearchHit",
    "Session",
    "SessionBusyError",
    "SessionSummary",
    "StoppedEvent",
    "StoredMessage",
    "StreamEvent",
    "TextEvent",
    "ThinkingEvent",
    "TooManyError",
    "ToolApprovalEvent",
    "ToolCallEvent",
    "ToolOutputEvent",
    "ToolResultEvent",
    "UnavailableError",
    "UserMessageEvent",
    "WarningEvent",
    "event_of",
]
