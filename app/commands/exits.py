"""How `baton` exits, for scripts: each number says what kind of thing went wrong."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2  # Click's own
BUSY: Final = 3
NOT_FOUND: Final = 4
NOT_ALLOWED: Final = 5
UNAVAILABLE: Final = 6
WAITING: Final = 7
LIMITED: Final = 8
INTERRUPTED: Final = 130

MEANINGS: Final = {
    OK: "done",
    FAILED: "the server refused, the run failed, or a check found something",
    USAGE: "the command line makes no sense",
    BUSY: "somebody else has the session",
    NOT_FOUND: "no such session, run, agent or message",
    NOT_ALLOWED: "a missing or wrong token, or a host name that the server does not answer to",
    UNAVAILABLE: "the server can't be reached, or has no room",
    WAITING: "the run waits for a person, and there is no terminal to ask one",
    LIMITED: "the budget is used up, or there are too many requests, runs or waiting messages",
    INTERRUPTED: "Ctrl-C; a run that was sent is stopped",
}
