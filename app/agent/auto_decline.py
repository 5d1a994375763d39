"""Runs that nobody follows: there is no person to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.agent.loop_steps import Ask, Steps
from app.conversation.run import Answer, QuestionKind

NOBODY: Final = "Nobody follows a background agent, so nobody can be asked."

_ANSWERS: Final[Mapping[QuestionKind, Answer]] = {
    "approval": Answer("reject", reason=NOBODY),
    "elicitation": Answer("cancel"),
    "max_iterations": Answer("reject"),
    "pause": Answer("resume"),  # which no loop asks for
}


def unattended(steps: Steps) -> Steps:
    """The same steps, but each question is answered in the negative at once, and nobody hears of it."""
    reply: Any = None
    try:
        while True:
            step = steps.send(reply)
            reply = _ANSWERS[step.question.kind] if isinstance(step, Ask) else (yield step)
    except StopIteration:
        return
    finally:
        steps.close()
