"""Anything that a model can do, in any order, with people who approve, reject, stop and hang up: never a
transcript that the API refuses, never a session that stays busy, never an exception that nobody expected."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence

import pytest

from app.factory import Server
from tests.harness.in_process import LocalClient, LocalStream
from tests.test_sequences import at_rest, call_text

SESSIONS = 12
RUNS = 5  # in each of them

SPEECH = (
    "[say one two three]",
    "[words 12]",
    "[think][say so]",
    "[redact]",
    "[unknown]",
    "words of no meaning",
)
ODD = (
    "[empty]",
    "[blank]",
    "[same-ids]",
    "[empty-id]",
    "[max_tokens]",
    "[context_window]",
    "[refuse]",
    "[pause]",
)
BROKEN = (
    *(
        "[fail 403]",
        "[fail 529 1]",
        "[fail 500 2]",
        "[fail 429 1 retry-after 0]",
        "[hang-up 1]",
        "[malformed]",
    ),
    *("[drop 0 times 1]", "[drop 3]", "[drop 9]", "[error overloaded_error 4]", "[nostop]"),
    *("[truncate]", "[truncate-as-tool_use]"),
)
CALLS = (
    call_text("think", thought="a [then] b"),
    call_text("think"),
    call_text("think", thought=7),
    call_text("shell", cmd="echo out; exit 3"),
    call_text("shell", cmd="true"),
    call_text("shell", cmd="forbidden"),
    call_text("read_file", path="../../etc/passwd"),
    call_text("write_file", path="a.txt", content="ä\n"),
    call_text("read_file", path="a.txt"),
    call_text("create_todo", description="x"),
    call_text("list_todos"),
    call_text("user_prompt", message="Which?"),
    call_text("no_such_tool", x=[1]),
)
CONFIRMATIONS = ("approve", "approve", "approve-tool", "approve-session", "reject")
ACTIONS = ("accept", "decline", "cancel")


def script(dice: random.Random) -> str:
    """One to three rounds of what the model does."""
    rounds = []
    for _ in range(dice.randint(1, 3)):
        parts = dice.choices(SPEECH, k=dice.randint(0, 2)) + dice.choices(CALLS, k=dice.randint(0, 3))
        parts += dice.choices(ODD, k=dice.random() < 0.3) + dice.choices(BROKEN, k=dice.random() < 0.3)
        dice.shuffle(parts)
        rounds.append("".join(parts))
    return "Please: " + "[then]".join(rounds)


def follow(client: LocalClient, session: str, stream: LocalStream, dice: random.Random) -> None:
    """Reads to the end and answers what is asked; sometimes stops the run or hangs up instead."""
    patience = dice.randint(0, 40) if dice.random() < 0.25 else 10_000
    for number, event in enumerate(stream):
        if number == patience:
            if dice.random() < 0.5:
                client.stop(session)
            return
        match event["type"]:
            case "tool_call_confirmation":
                client.resume(session, dice.choice(CONFIRMATIONS))
            case "max_iterations_reached":
                client.resume(session, dice.choice(("approve", "reject")))
            case "elicitation_request":
                client.elicit(session, dice.choice(ACTIONS), {"answer": 1})
    assert stream.types[-1] == "stream_stopped"
    assert stream.types.count("stream_stopped") == 1


def unexpected(records: Sequence[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records if record.levelno >= logging.ERROR or record.exc_info]


@pytest.mark.parametrize("seed", range(SESSIONS))
def test_whatever_happens_in_a_session_its_next_run_is_accepted_by_the_api(
    server: Server, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    dice = random.Random(seed)
    client = LocalClient(server)
    session = client.new_session(tools_approved=dice.random() < 0.3)
    agent = dice.choice(("tools", "tools", "tools", "limited", "plain"))
    for _ in range(RUNS):
        if dice.random() < 0.3:
            client.call("POST", f"/api/sessions/{session}/thinking/toggle")
        with client.run(session, script(dice), agent=agent) as stream:
            follow(client, session, stream, dice)
        client.wait_until_free(session)
        at_rest(client, session)
    # the `model` fixture looks for transcripts that were refused
    assert unexpected(caplog.records) == []
