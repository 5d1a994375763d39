"""A client of Baton's API for scripts, on `requests`. It imports nothing else of this package, and nothing by this
package's name, so that its directory can be copied to where a script is.

    from app.client import Baton, Text, ToolApproval

    baton = Baton("http://127.0.0.1:8080")
    with baton.run(baton.create_session()["id"], "What is in this directory?", agent="coder") as run:
        for event in run:
            match event:
                case Text(text=text):
                    print(text, end="")
                case ToolApproval(call_id=call_id):
                    run.approve(call_id)

Its promises: a run whose connection drops is attached to again, and no event is lost or comes twice (what the server
itself has lost is a `Gap`). Calls that fail on their way are repeated for `retry_seconds`, and nothing happens twice by
it; calls that were too many (429) are repeated when the server says. Nothing waits for ever: the server sends a byte
every 15 s, and a server that is silent for longer is gone.

A `Baton` belongs to one thread at a time; threads that share nothing may each have one.
"""

from .baton import Baton
from .calls import LIVE, Json, Message
from .errors import (
    BatonError,
    BudgetReached,
    Conflict,
    NotAllowed,
    NotFound,
    RunFailed,
    SessionBusy,
    TooMany,
    Unavailable,
)
from .events import (
    Event,
    Failed,
    Form,
    Gap,
    MoreIterations,
    Stopped,
    Text,
    Thinking,
    ToolApproval,
    ToolCall,
    ToolResult,
    UserMessage,
    Warned,
    event_of,
)
from .run import Run

__all__ = [
    "LIVE",
    "Baton",
    "BatonError",
    "BudgetReached",
    "Conflict",
    "Event",
    "Failed",
    "Form",
    "Gap",
    "Json",
    "Message",
    "MoreIterations",
    "NotAllowed",
    "NotFound",
    "Run",
    "RunFailed",
    "SessionBusy",
    "Stopped",
    "Text",
    "Thinking",
    "TooMany",
    "ToolApproval",
    "ToolCall",
    "ToolResult",
    "Unavailable",
    "UserMessage",
    "Warned",
    "event_of",
]
