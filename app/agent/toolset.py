"""A tool: a name and a schema for the model, and a function that never breaks the run.

A tool may fail; calling it never does: unknown arguments, wrong types and exceptions are answers for the
model. A toolset is made for one run from its definition and the state it left in the run before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from app.agent.live_output import LiveOutput
from app.agent.model_client import Cancellation
from app.agent.preview import Preview
from app.agent.tool_arguments import Unfit, check, fitted
from app.conversation.run import unknown_outcome
from app.roots import Ground
from app.team.model_definition import ModelSpec

log = logging.getLogger(__name__)

STRING_OUTPUT: Final[Mapping[str, Any]] = {"type": "string"}
_WHAT_FOR: Final = {"type": "string", "description": "What this call is for, in a few words for people"}
CANCELLED: Final = "The tool call was canceled by the user."
CANCELLED_TOO_LATE: Final = "the run was cancelled before the answer came"


class ToolFailed(Exception):
    """A tool's own failure in words for the model; it becomes `Error calling tool: <words>`."""


class ToolsetFailed(Exception):
    """A toolset can't start, or can't list its tools, for a reason outside of this program; the message says which."""


class ServerLost(ToolsetFailed):
    """The tool server of a client's agent can't be had; `is_unauthorized`: for want of a token that it takes."""

    def __init__(self, server: str, why: str, *, is_unauthorized: bool) -> None:
        super().__init__(why)
        self.server = server
        self.is_unauthorized = is_unauthorized


class QuestionFirst(Exception):
    """A toolset can't start before somebody has answered. `settle` takes the action and the content, and says
    whether that was what was wanted."""

    def __init__(
        self, question: Elicitation, settle: Callable[[str, Mapping[str, Any] | None], bool]
    ) -> None:
        super().__init__(question.message)
        self.question = question
        self.settle = settle


class ToolCancelled(Exception):
    """The run was cancelled while the tool worked. Its text is for the model: what there was to show by then.

    Only for a call that had no effect yet, or whose text says which: otherwise OutcomeUnknown.
    """


class OutcomeUnknown(Exception):
    """The request has left and its answer did not come, whether the run was cancelled, the other side died or it
    was silent. The text is the reason, a clause without a full stop."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer of a tool. `meta` and `structured` go to readers only, never to the model or the store."""

    output: str
    is_error: bool = False
    meta: Any = None
    images: Sequence[tuple[str, str]] = ()  # (media type, base64)
    documents: Sequence[tuple[str, str]] = ()  # the same; for the model only
    audios: Sequence[tuple[str, str]] = ()  # the same; for readers only
    structured: Any = None
    is_unknown: bool = False  # the call may or may not have taken effect; `output` says so

    @classmethod
    def error(cls, output: str, *, meta: Any = None) -> ToolResult:
        return cls(output, is_error=True, meta=meta)

    @classmethod
    def unknown(cls, reason: str) -> ToolResult:
        """`reason` is a clause without a full stop."""
        return cls(unknown_outcome(reason), is_error=True, is_unknown=True)

    def wire(self) -> dict[str, Any]:
        """The contract's `result` object."""
        body: dict[str, Any] = {"output": self.output}
        if self.is_error:
            body["isError"] = True
        if self.meta is not None:
            body["meta"] = self.meta
        if self.images:
            body["images"] = [{"data": data, "mimeType": kind} for kind, data in self.images]
        if self.audios:
            body["audios"] = [{"data": data, "mimeType": kind} for kind, data in self.audios]
        if self.structured is not None:
            body["structuredContent"] = self.structured
        return body


@dataclass(frozen=True, slots=True)
class Elicitation:
    """A tool's question to the user instead of a result; the run waits, and the answer becomes the result.

    With `then` the tool is still at work: it takes the action and the form's content, and says how it goes on.
    It may raise what a handler may; `Tool.go_on` calls it.
    `abandon` is called instead if no answer comes any more; it does not wait.
    """

    message: str
    schema: Any = None
    meta: Mapping[str, Any] | None = None
    mode: str = ""
    url: str = ""
    elicitation_id: str = ""
    then: Callable[[str, Mapping[str, Any] | None], Outcome] | None = None
    abandon: Callable[[], object] = lambda: None
    for_worker: Mapping[str, Any] | None = None
    """The arguments of a call that a worker makes; readers are told that it waits, and are not asked."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """A task for another agent instead of a result; what that agent answers becomes the result."""

    agent: str
    task: str
    expected_output: str = ""


@dataclass(frozen=True, slots=True)
class Handoff:
    """The conversation goes to another agent; the result tells that agent so."""

    agent: str


@dataclass(frozen=True, slots=True)
class ModelChange:
    """The agent goes on by one of these models, or by its own if there are none; the result says so in words."""

    words: str
    models: Sequence[ModelSpec] = ()


Outcome = ToolResult | Elicitation | Delegation | Handoff | ModelChange


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The facts that a handler may know of the run that calls it."""

    working_dir: Path
    cancellation: Cancellation
    attended: bool = True  # somebody follows the run, who can be asked
    ground: Ground = field(default_factory=Ground)
    room: int = 120_000  # bytes of the result's text that the model will be shown; the rest is cut
    output: LiveOutput | None = None  # for readers, while the handler is at work


Handler = Callable[[Mapping[str, Any], ToolContext], Outcome]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `parameters` is a JSON Schema object, or None for a tool that takes nothing."""

    name: str
    category: str
    description: str
    handler: Handler
    parameters: Mapping[str, Any] | None = None
    title: str = ""
    read_only: bool = False
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    revision: str = ""  # of a tool that can change under its name
    output_schema: Any = field(default_factory=lambda: STRING_OUTPUT)
    in_order: bool = False  # its calls build on one another or ask somebody, although they count as read-only
    judges_itself: bool = False  # whoever runs it says what is wrong with a call's arguments
    takes_description: bool = False  # may get the optional `description` parameter
    restore: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """Gives arguments the names that the handler knows, where the model was given others."""
    answered: Callable[[str, Mapping[str, Any] | None], ToolResult] | None = None
    """The result that the answer to its question becomes, by the action and the content; None: the answer itself."""
    waits: bool = False  # for something that goes on by itself: the same call, the same result are no mistake
    preview: Callable[[Mapping[str, Any], ToolContext], Preview] | None = None
    """What a call with arguments that fit would do; it changes nothing. For tools that write files."""
    served: Mapping[str, Any] | None = None  # as the model's API has it, of a tool that it runs itself
    policy: Literal["", "allow", "ask"] = ""
    """What a client's agent says of its calls; a pattern for its name comes first."""
    read_on: str = ""  # how to get what a result had no room for, as a sentence for the model
    model: str = (
        ""  # the one, by its name in the agent's file, that is shown the result; empty: the agent's own
    )

    @property
    def runs_beside_others(self) -> bool:
        """May a call be under way while others of the same turn are?"""
        return self.read_only and not self.in_order

    def definition(self) -> dict[str, Any]:
        """The contract's tool_definition object."""
        annotations: dict[str, Any] = {}
        if self.destructive is not None:
            annotations["destructiveHint"] = self.destructive
        if self.idempotent is not None:
            annotations["idempotentHint"] = self.idempotent
        if self.open_world is not None:
            annotations["openWorldHint"] = self.open_world
        if self.read_only:
            annotations["readOnlyHint"] = True
        if self.title:
            annotations["title"] = self.title
        body: dict[str, Any] = {"name": self.name, "category": self.category}
        if self.description:
            body["description"] = self.description
        body["parameters"] = self.parameters
        body["annotations"] = annotations
        body["outputSchema"] = self.output_schema
        return body

    def for_model(self) -> dict[str, Any]:
        """The Messages API's tool definition."""
        if self.served is not None:
            return dict(self.served)
        schema = {"type": "object", "properties": {}, **(self.parameters or {})}
        return {"name": self.name, "description": self.description, "input_schema": schema}

    def with_description(self) -> Tool:
        """The tool with one more, optional parameter, for people to read; one that does not take it as it is."""
        if not self.takes_description:
            return self
        schema = {"type": "object", **(self.parameters or {"additionalProperties": False})}
        properties = {**schema.get("properties", {}), "description": _WHAT_FOR}
        return replace(self, parameters={**schema, "properties": properties})

    def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        """Runs the handler with the arguments as the schema wants them. Raises only ToolCancelled; anything else is an
        answer for the model."""
        return self._guarded(lambda: self._handle(self.fit(arguments), context))

    def call_fitted(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        """As `call`, for arguments that `fit` returned."""
        return self._guarded(lambda: self._handle(arguments, context))

    def fit(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments as the schema wants them; ToolFailed if they can't be understood so."""
        fit = fitted(self.parameters, arguments)
        try:
            if not self.judges_itself:
                check(self.parameters, fit)
        except Unfit as problem:
            raise ToolFailed(str(problem)) from problem
        return fit

    def go_on(self, asked: Elicitation, action: str, content: Mapping[str, Any] | None) -> Outcome:
        """Brings the answer to a question with `then`. Raises only ToolCancelled, as `call`."""
        then = asked.then
        return self._guarded(lambda: then(action, content)) if then else ToolResult("")

    def _handle(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        return self.handler(self.restore(arguments) if self.restore else arguments, context)

    def _guarded(self, work: Callable[[], Outcome]) -> Outcome:
        """An exception that the tool did not foresee says nothing of how far it got, so the outcome is unknown,
        unless the tool only reads."""
        try:
            return work()
        except ToolCancelled:
            raise
        except ToolFailed as failure:
            return ToolResult.error(f"Error calling tool: {failure}")
        except OutcomeUnknown as unknown:
            return ToolResult.unknown(str(unknown))
        except Exception as failure:
            log.exception("tool %s broke", self.name)
            if self.read_only:
                return ToolResult.error(f"Error calling tool: {failure}")
            return ToolResult.unknown(f"the tool broke ({failure})")


class Toolset(Protocol):
    """Tools that belong together, made for one run and one agent."""

    @property
    def instructions(self) -> str:
        """For the system prompt, known once it has started; empty for none."""
        ...

    def tools(self) -> Sequence[Tool]: ...

    def start(self) -> None:
        """Whatever must happen before the first call; an exception leaves the toolset out, with a warning, and
        QuestionFirst until there is an answer."""
        ...

    def stop(self) -> None:
        """Ends everything that the toolset started or prepared. Called once, however the run ends; must not
        raise."""
        ...

    def state(self) -> Any:
        """The state that the toolset wants to find again in the session's next run, as JSON; None for nothing."""
        ...


def prepare(toolset: Toolset) -> None:
    """Begins what takes long, for toolsets that have such a thing: all of an agent's toolsets are prepared before
    the first is started."""
    begin = getattr(toolset, "prepare", None)
    if begin is not None:
        begin()
