"""A user's actions while the world goes wrong. Each scenario plays in a server of its own, in a child process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.harness.process import eventually
from tests.walk import managed_scenarios
from tests.walk.journal import Journal
from tests.walk.stage import Stage, call


@dataclass(frozen=True, slots=True)
class Scenario:
    """`before` plays in a server that is killed before the one under test starts. A scenario that `leaves` has
    closed its server at the end. A scenario `again` is played once more in another server afterwards. One with an
    `agent` is played at the Managed Agents API, in a session of such an agent."""

    play: Callable[[Stage], None]
    session: Mapping[str, Any] = field(default_factory=lambda: {"tools_approved": True})
    before: Callable[[Stage], None] | None = None
    leaves: bool = False
    again: bool = False
    agent: Mapping[str, Any] | None = None


def short(stage: Stage) -> None:
    stage.person.read(stage.person.run("[say hello]"))


def tool(stage: Stage) -> None:
    stage.person.read(stage.person.run(f"{stage.shell('a')}[then][say done]"))


def parallel(stage: Stage) -> None:
    calls = stage.call("note", "a") + stage.shell("b") + stage.call("note", "c")
    stage.person.read(stage.person.run(f"{calls}[then][say done]"))


def form(stage: Stage) -> None:
    text = f"{stage.call('pay', 'a')}[then][say done]"
    stage.person.read(stage.person.run(text), elicitation_request=stage.person.answer)


def approve_here(stage: Stage) -> None:
    text = f"{stage.call('note', 'a')}[then][say done]"
    stage.person.read(stage.person.run(text), tool_call_confirmation=stage.person.answer)


def approve_elsewhere(stage: Stage) -> None:
    text = f"{stage.call('note', 'a')}[then][say done]"
    stage.person.read(stage.person.run(text), tool_call_confirmation=stage.ask_the_walker)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ask_and_die(stage: Stage) -> None:
    text = f"{stage.call('note', 'a')}[then][say done]"
    stage.person.read(stage.person.run(text), tool_call_confirmation=die)


def approve_after_kill(stage: Stage) -> None:
    """The answer adopts the run, which goes on here."""
    stage.person.answer()
    stage.person.settle()


def change_here(stage: Stage) -> None:
    text = f"{stage.call('note', 'a')}[then][say done]"
    stage.person.read(stage.person.run(text), tool_call_confirmation=stage.person.change)


def change_after_kill(stage: Stage) -> None:
    """An approval with other arguments adopts the run."""
    stage.person.change()
    stage.person.settle()


def steer(stage: Stage) -> None:
    """And a follow-up, while a tool is at work."""
    response = stage.person.run(f"{stage.call('wait', 'a')}[then][say done]")
    try:
        if stage.wait_for_tool():
            stage.queue("steer", "left")
            stage.queue("followup", "later")
    finally:
        Journal.gate.set()
        stage.person.read(response)


def task(stage: Stage) -> None:
    inner = f"{stage.call('note', 'a')}[then][say found]"
    text = call("transfer_task", agent="helper", task=inner, expected_output="")
    stage.person.read(stage.person.run(f"{text}[then][say done]"))


def drain(stage: Stage) -> None:
    """The server is told to stop while a tool is at work, which ends in time."""
    response = stage.person.run(f"{stage.call('wait', 'a')}[then][say done]")
    leaving = threading.Thread(target=stage.server.close, kwargs={"drain_seconds": 5.0}, name="leaving")
    try:
        if stage.wait_for_tool():
            with stage.aside():
                leaving.start()
            eventually(
                lambda: stage.server.runtime.runs.draining or not leaving.is_alive(), "the drain has begun"
            )
    finally:
        Journal.gate.set()
        try:
            stage.person.read(response)
        finally:
            if leaving.ident is not None:
                leaving.join()


def park(stage: Stage) -> None:
    """The server is told to stop while its run waits for a person."""
    response = stage.person.run(f"{stage.call('note', 'a')}[then][say done]")
    try:
        stage.person.read(response, until="tool_call_confirmation")
    finally:
        stage.server.close(drain_seconds=1.0)


def reattach(stage: Stage) -> None:
    """The reader hangs up in the middle and comes back through the session's events."""
    text = f"{stage.call('note', 'a')}[then][say done]"
    response = stage.person.run(text, query="?on_disconnect=continue")
    last = stage.person.read(response, most=4)
    if not stage.person.told_the_end:
        stage.person.read(stage.person.follow(last), until="stream_stopped")


def carried(stage: Stage) -> None:
    """The stream comes over a socket, which the stream writer writes to."""
    stage.person.read(stage.connect(f"{stage.call('note', 'a')}[then][say done]"))


def hang_up(stage: Stage) -> None:
    """The client leaves in the middle of a tool, which stops the run."""
    response = stage.connect(f"{stage.call('wait', 'a')}[then][say done]")
    try:
        stage.wait_for_tool()
    finally:
        response.close()


def same_again(stage: Stage) -> None:
    """The same request with one key, until it is answered and its stream has ended."""
    for _ in range(2):
        headers = {"Idempotency-Key": stage.word}
        stage.person.read(stage.person.run(f"{stage.call('note', 'a')}[then][say done]", headers=headers))


def retry(stage: Stage) -> None:
    """The model fails after a tool has run; the turn is taken up again, with one key until that is answered."""
    text = f"{stage.call('note', 'a')}[then][fail 400 1][say done]"
    last = stage.person.read(stage.person.run(text))
    for _ in range(2):
        stage.begin("retry", {}, key=stage.word)
        stage.person.read(stage.person.follow(last), until="stream_stopped")


def fail_and_die(stage: Stage) -> None:
    """In the middle of the model's second answer, which is cut then; the answer to a retry is whole."""
    text = f"{stage.call('note', 'a')}[then][stall 1 times 1][say done and done again]"
    stage.person.read(stage.person.run(text), agent_choice=die)


def retry_after_kill(stage: Stage) -> None:
    """Nobody has seen yet that the run's process is gone."""
    stage.begin("retry", {})
    stage.person.settle()


def _pause(stage: Stage, react: Callable[[], object]) -> None:
    """A run is paused while its tool is at work; `react` is what is done once it waits."""
    response = stage.person.run(f"{stage.call('wait', 'a')}[then][say done]")
    try:
        if stage.wait_for_tool():
            stage.pause()
    finally:
        Journal.gate.set()
        stage.person.read(response, runtime_paused=react)


def pause_here(stage: Stage) -> None:
    _pause(stage, stage.person.answer)


def pause_elsewhere(stage: Stage) -> None:
    _pause(stage, stage.ask_the_walker)


def pause_and_die(stage: Stage) -> None:
    _pause(stage, die)


def compact(stage: Stage) -> None:
    """After two turns, the older of which a summary stands for."""
    for words in ("hello", "and on"):
        last = stage.person.read(stage.person.run(f"[say {words}]"))
    stage.begin("compact", {})
    stage.person.read(stage.person.follow(last), until="stream_stopped")


UNAPPROVED: Final[Mapping[str, Any]] = {"tools_approved": False}

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "short": Scenario(short),
    "tool": Scenario(tool),
    "parallel": Scenario(parallel),
    "form": Scenario(form),
    "approve-here": Scenario(approve_here, session=UNAPPROVED),
    "approve-elsewhere": Scenario(approve_elsewhere, session=UNAPPROVED),
    "approve-after-kill": Scenario(approve_after_kill, session=UNAPPROVED, before=ask_and_die),
    "steer": Scenario(steer),
    "task": Scenario(task),
    "drain": Scenario(drain, leaves=True),
    "park": Scenario(park, session=UNAPPROVED, leaves=True),
    "reattach": Scenario(reattach),
    "carried": Scenario(carried),
    "hang-up": Scenario(hang_up),
    "same-again": Scenario(same_again, again=True),
    "retry": Scenario(retry),
    "retry-after-kill": Scenario(retry_after_kill, before=fail_and_die),
    "pause-here": Scenario(pause_here),
    "pause-elsewhere": Scenario(pause_elsewhere),
    "pause-after-kill": Scenario(approve_after_kill, before=pause_and_die),
    "compact": Scenario(compact),
    "change-here": Scenario(change_here, session=UNAPPROVED),
    "change-after-kill": Scenario(change_after_kill, session=UNAPPROVED, before=ask_and_die),
    "managed-message": Scenario(managed_scenarios.message, agent=managed_scenarios.WITH_TOOLS),
    "managed-confirmation": Scenario(managed_scenarios.confirmation, agent=managed_scenarios.ASKING),
    "managed-custom": Scenario(managed_scenarios.custom_result, agent=managed_scenarios.CUSTOM),
    "managed-interrupt": Scenario(managed_scenarios.interrupt, agent=managed_scenarios.WITH_TOOLS),
}
