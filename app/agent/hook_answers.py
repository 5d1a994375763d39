"""The answers of hooks: an exit status, a JSON object, or words for the model."""

from __future__ import annotations

import logging
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from app.conversation.blocks import clean, is_deep
from app.conversation.json_text import loads, mended
from app.team.hook_definitions import Hook
from app.team.hook_points import POINTS, HookPoint

log = logging.getLogger(__name__)

KEPT_BYTES: Final = 1_000_000  # of an answer; a longer one is not valid JSON, and so none
CONTEXT_CHARS: Final = 30_000  # of what one hook can tell the model
REASON_CHARS: Final = 10_000
METADATA_CHARS: Final = 4_000

_BLOCKS: Final = 2  # the exit status that forbids
_NO_REASON: Final = "the hook gave no reason"

_OF_ANSWER: Final = ("continue", "decision", "hook_specific_output")
_OF_OUTPUT: Final = (
    *("permission_decision", "updated_input", "updated_messages", "updated_tool_response"),
    *("additional_context", "summary"),
)
"""Fields of an answer that decide, by where they stand."""


@dataclass(frozen=True, slots=True)
class HookVerdict:
    """The joint verdict of the hooks of one point. `arguments` replace those of the call, `output` its result, and
    `context` is for the model. `allowed`: a person need not be asked; `asks`: one must be. `metadata`
    is for that person."""

    blocked: bool = False
    reason: str = ""
    warnings: tuple[str, ...] = ()
    arguments: Mapping[str, Any] | None = None
    context: tuple[str, ...] = ()
    allowed: bool = False
    asks: bool = False
    output: str | None = None
    summary: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


NOTHING_SAID: Final = HookVerdict()


class Hooking(Protocol):
    """Runs the hooks of one agent in one run, for the run's thread. A hook reads JSON."""

    def has(self, point: str, tool: str = "") -> bool:
        """Is there any hook at this point, for this tool?"""
        ...

    def of_tool(self, point: str, tool: str) -> Sequence[Hook]:
        """The hooks of a point where they stand behind matchers, for this tool."""
        ...

    def at(self, point: str, **given: Any) -> HookVerdict: ...

    def about_call(
        self, point: str, call_id: str, tool: str, arguments: Mapping[str, Any], **given: Any
    ) -> HookVerdict: ...

    def tell_of_question(self) -> None:
        """Begins with the `on_user_input` hooks, which run while the user is waited for and hold nothing up."""
        ...

    def stop(self) -> None:
        """Ends what still runs beside the run, with all that it has started."""
        ...


class HookBroken(Exception):
    """The hook has not decided; the text says why, without its command, since a model may read it."""


def verdict(status: int | None, output: bytes, errors: bytes, point: str = "pre_tool_use") -> HookVerdict:
    """The verdict of one hook, by its exit status or in JSON. HookBroken if it has not decided: another status, and
    what looks like JSON and can't be read."""
    rules = POINTS[point]
    if status == _BLOCKS:
        said = HookVerdict(blocked=True, reason=_cut(errors.decode(errors="replace").strip(), REASON_CHARS))
        return _possible(replace(said, reason=said.reason or _NO_REASON), rules, point)
    if status != 0:
        log.warning("a hook's errors: %s", errors[:1000].decode(errors="replace"))
        raise HookBroken(
            "it was killed" if status is None or status < 0 else f"it ended with status {status}"
        )
    output = output.removeprefix(BOM_UTF8)  # else what stands behind it would be words
    if rules.context and not output.lstrip().startswith(b"{"):
        words = clean(output.decode(errors="replace")).strip()
        return HookVerdict(context=(_cut(words, CONTEXT_CHARS),)) if words else NOTHING_SAID
    try:
        said_object = mended(loads(output))
    except ValueError:
        if b"{" in output or len(output) >= KEPT_BYTES:
            raise HookBroken("its answer is not a JSON object") from None
        return NOTHING_SAID
    if not isinstance(said_object, dict):
        raise HookBroken("its answer is not a JSON object")
    return _possible(_read(said_object), rules, point)


def together(verdicts: Sequence[HookVerdict]) -> HookVerdict:
    """One no is enough, and a no wins over a yes; arguments are merged, the later hook's win; the first summary
    counts."""
    changes = [said.arguments for said in verdicts if said.arguments is not None]
    blocked = any(said.blocked for said in verdicts)
    return HookVerdict(
        blocked=blocked,
        reason="\n".join(said.reason for said in verdicts if said.blocked),
        warnings=tuple(words for said in verdicts for words in said.warnings),
        arguments={key: value for change in changes for key, value in change.items()} if changes else None,
        context=tuple(words for said in verdicts for words in said.context),
        allowed=not blocked and any(said.allowed for said in verdicts),
        asks=not blocked and any(said.asks for said in verdicts),
        output=next((said.output for said in reversed(verdicts) if said.output is not None), None),
        summary=next((said.summary for said in verdicts if said.summary), ""),
        metadata={key: value for said in verdicts for key, value in said.metadata.items()},
    )


def _read(said: Mapping[str, Any]) -> HookVerdict:
    """HookBroken if a field that decides has no value that is known, or stands elsewhere or under a similar name: a no
    must not be overlooked."""
    _refuse_misplaced(said, of_answer=True)
    own = _field(said, "hook_specific_output", lambda value: isinstance(value, dict)) or {}
    _refuse_misplaced(own, of_answer=False)
    goes_on = _field(said, "continue", lambda value: isinstance(value, bool))
    decision = _field(said, "decision", _one_of("approve", "allow", "block"))
    permission = _field(own, "permission_decision", _one_of("allow", "ask", "deny"))
    arguments = _field(own, "updated_input", lambda value: isinstance(value, dict) and not is_deep(value))
    context = _text(_field(own, "additional_context", _is_text))
    summary = _text(_field(own, "summary", _is_text))
    metadata = _field(own, "metadata", _is_small_map) or {}
    output = own.get("updated_tool_response")
    if output is not None and not _is_text(output):
        raise HookBroken("its answer has an unknown value for updated_tool_response")
    reasons = []
    if goes_on is False:
        reasons.append(_text(said.get("stop_reason")))
    if decision == "block":
        reasons.append(_text(said.get("reason")))
    if permission == "deny":
        reasons.append(_text(own.get("permission_decision_reason")))
    warnings = [_text(said.get("system_message"))]
    if own.get("updated_messages"):
        warnings.append(
            "A hook wants to rewrite the conversation (updated_messages), which has no effect here."
        )
    reason = "\n".join(reason for reason in reasons if reason) or (_NO_REASON if reasons else "")
    return HookVerdict(
        blocked=bool(reasons),
        reason=_cut(reason, REASON_CHARS),
        warnings=tuple(_cut(words, REASON_CHARS) for words in warnings if words),
        arguments=arguments,
        context=(_cut(context, CONTEXT_CHARS),) if context else (),
        allowed=permission == "allow",
        asks=permission == "ask",
        output=None if output is None else clean(output),
        summary=_cut(summary, CONTEXT_CHARS),
        metadata={clean(key): clean(value) for key, value in metadata.items()},
    )


def _possible(said: HookVerdict, rules: HookPoint, point: str) -> HookVerdict:
    """Without what a hook can't do at this point, of which readers are told."""
    vain = [
        words
        for words, is_said, can in (
            ("forbid anything", said.blocked, rules.blocks),
            ("change arguments", said.arguments is not None, rules.arguments),
            ("tell the model anything", bool(said.context), rules.context),
            ("replace a result", said.output is not None, rules.output),
            ("have a person asked", said.asks, rules.asks),
            ("give a summary", bool(said.summary), rules.summary),
            ("say anything to a question", bool(said.metadata), rules.metadata),
        )
        if is_said and not can
    ]
    return replace(
        said,
        blocked=said.blocked and rules.blocks,
        reason=said.reason if rules.blocks else "",
        warnings=(*said.warnings, *(f"A {point} hook can't {words}." for words in vain)),
        arguments=said.arguments if rules.arguments else None,
        context=said.context if rules.context else (),
        allowed=said.allowed and rules.permits,
        asks=said.asks and rules.asks,
        output=said.output if rules.output else None,
        summary=said.summary if rules.summary else "",
        metadata=said.metadata if rules.metadata else {},
    )


def _refuse_misplaced(said: Mapping[str, Any], *, of_answer: bool) -> None:
    known = _OF_ANSWER if of_answer else _OF_OUTPUT
    for name in said:
        plain = re.sub(r"[^a-z]", "", name.casefold())
        if name not in known and any(plain == one.replace("_", "") for one in (*_OF_ANSWER, *_OF_OUTPUT)):
            raise HookBroken(f"its answer has {name}, where only {', '.join(known)} decide")


def _field(said: Mapping[str, Any], name: str, is_known: Callable[[Any], bool]) -> Any:
    """None if it is not given, or empty."""
    value = said.get(name)
    if value is None or value == "":
        return None
    if not is_known(value):
        raise HookBroken(f"its answer has an unknown value for {name}")
    return value


def _one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_small_map(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(map(_is_text, value.values()))
        and sum(len(key) + len(text) for key, text in value.items()) <= METADATA_CHARS
    )


def _text(value: Any) -> str:
    return clean(value).strip() if isinstance(value, str) else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n(cut: the hook said more)"
