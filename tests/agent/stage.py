"""An agent's loop without a runtime: the test plays the one who stores, publishes and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.agent.fallback import Cooldowns
from app.agent.hook_runner import HookRunner
from app.agent.loop import AgentLoop
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import Ask, CallEnded, Condensed, PromptFrozen, SafePoint, Step, TurnAdded
from app.agent.resumption import Resumption
from app.agent.toolbox import Toolbox
from app.agent.toolset import Handler, Outcome, Tool, ToolContext, ToolResult
from app.conversation.events import Event
from app.conversation.frozen_prompt import FrozenPrompt, Surroundings
from app.conversation.run import Answer, ToolCall
from app.conversation.session import Session
from app.conversation.summary import Summary
from app.conversation.transcript import Message, Transcript
from app.team.loading import load_team
from tests.agent.cancellation import FakeCancellation
from tests.agent.scripted_model import ScriptedModel

TEAM = """
agents:
  root: {model: anthropic/claude-sonnet-5-5, description: d, instruction: Be brief.}
permissions: {deny: [forbidden]}
"""
SURROUNDINGS = Surroundings("2026-11-22", "/", False, "Linux", "x64")


def echo(arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
    return ToolResult(str(arguments.get("text", "")))


def tool(
    name: str, handler: Handler = echo, *, read_only: bool = True, destructive: bool | None = None
) -> Tool:
    return Tool(name, "test", f"Does {name}.", handler, read_only=read_only, destructive=destructive)


class FakeToolset:
    """Counts its starts and stops; `breaks` names what raises."""

    instructions = ""

    def __init__(self, *tools: Tool, breaks: str = "", state: Any = None) -> None:
        self.breaks = breaks
        self.words = "does not work"
        self.value = state
        self.started = self.stopped = 0
        self._tools = tools

    def tools(self) -> Sequence[Tool]:
        self._break("tools")
        return self._tools

    def start(self) -> None:
        self._break("start")
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1
        self._break("stop")

    def state(self) -> Any:
        return self.value

    def _break(self, what: str) -> None:
        if what in self.breaks:
            raise OSError(f"{what} {self.words}")


class Stage:
    """One session and one agent; `perform` plays a run to its end and keeps every step."""

    def __init__(
        self, model: ScriptedModel, *tools: Tool, session: Session | None = None, team: str = TEAM
    ) -> None:
        self.team = load_team(team, source="x.yaml", environment={})
        self.model = model
        self.toolset = FakeToolset(*tools)
        self.session = session or Session("s", 0.0)
        self.cancellation = FakeCancellation()
        self.prompts: dict[str, FrozenPrompt] = {}
        self.summaries: list[Summary] = []
        self.cooldowns = Cooldowns()
        self.steps: list[Step] = []
        self.rows: list[Message] = []
        self.answers: list[Answer] = []
        self.arrivals: list[Sequence[Message]] = []  # for the safe points to come, in order
        self.at_safe_point: Callable[[], None] = lambda: None

    def context(self) -> LoopContext:
        return LoopContext(
            team=self.team,
            client=self.model,
            cancellation=self.cancellation,
            new_id=lambda: "new",
            look=lambda _session: self.session,
            find_prompt=self._find_prompt,
            find_summary=lambda _session: self.summaries[-1] if self.summaries else None,
            publish=self.steps.append,
            cooldowns=self.cooldowns,
            surroundings=lambda _session, _agent: SURROUNDINGS,
            hook=lambda session, agent: HookRunner(
                agent.hooks,
                session_id=session.id,
                working_dir=Path("/"),
                environment={},
                cancellation=self.cancellation,
            ),
            equip=lambda _session, _agent: Toolbox({"fake": self.toolset}),
            read=lambda _session: (self.session, self.rows, {}),
        )

    def _find_prompt(self, _session: str, _agent: str, definitions: Sequence[str]) -> FrozenPrompt | None:
        found = [prompt for one in definitions if (prompt := self.prompts.get(one))]
        return found[-1] if definitions[0] in self.prompts else None

    def perform(self, *said: Message, resumption: Resumption | None = None) -> list[Step]:
        """An error of the run passes through; `steps` has the steps before it."""
        self.rows += said
        loop = AgentLoop(
            self.context(), self.session, self.team.agent(), list(self.rows), resumption=resumption
        )
        running, reply = loop.run(), None
        try:
            while True:
                step = running.send(reply)
                self.steps.append(step)
                reply = self._take(step)
        except StopIteration:
            return self.steps
        finally:
            running.close()

    def _take(self, step: Step) -> Any:
        match step:
            case Ask():
                return self.answers.pop(0)
            case SafePoint():
                self.at_safe_point()
                arrived = self.arrivals.pop(0) if self.arrivals else ()
                self.rows += arrived
                return arrived
            case PromptFrozen(_, prompt):
                self.prompts[prompt.definition] = prompt
            case Condensed(_, summary):
                self.summaries.append(summary)
            case TurnAdded(_, message, _) | CallEnded(_, message, _, _):
                self.rows.append(message)
        return None

    @property
    def open_calls(self) -> tuple[str, ...]:
        return Transcript.of(self.rows).open_calls

    def events(self) -> list[Event]:
        return [step for step in self.steps if isinstance(step, Event)]

    def names(self) -> list[str]:
        return [type(step).__name__ for step in self.steps]

    def endings(self) -> list[tuple[str, str]]:
        """The state and the output of each call that ended."""
        return [
            (step.state, str(step.message.content[0]["content"]))
            for step in self.steps
            if isinstance(step, CallEnded)
        ]


def ledger(**states: Any) -> dict[str, ToolCall]:
    return {call_id: ToolCall(call_id, "r", "act", {}, state) for call_id, state in states.items()}
