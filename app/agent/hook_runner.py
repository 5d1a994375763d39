"""Hooks: commands of the agent's author that run at points of a run, and what they decide.

A hook reads a JSON object and answers by its exit status or with one. Hooks of one point run at the same time. A
hook before a call is a gate: if it can't run or its answer can't be read, the call is not made. At the other points
a hook that breaks changes nothing.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from app.agent.model_client import Cancellation
from app.agent.tools.cage import Cage, caged
from app.agent.tools.processes import Command, Process
from app.conversation.blocks import clean, is_deep
from app.conversation.json_text import loads, mended
from app.team.hook_definitions import Hook, HookMatcher, Hooks
from app.tool_environment import for_commands

log = logging.getLogger(__name__)

DEFAULT_SECONDS: Final = 60
KEPT_BYTES: Final = 1_000_000  # of an answer; a longer one is not valid JSON, and so none

_BLOCKS: Final = 2  # the exit status that forbids
_NO_REASON: Final = "the hook gave no reason"

_OF_ANSWER: Final = ("continue", "decision", "hook_specific_output")
_OF_OUTPUT: Final = ("permission_decision", "updated_input")
"""Fields of an answer that decide, by where they stand."""

Point = Literal["pre_tool_use", "post_tool_use", "session_start", "session_end", "on_user_input"]


@dataclass(frozen=True, slots=True)
class HookVerdict:
    """The joint verdict of the hooks of one point. `arguments` replace those of the call."""

    blocked: bool = False
    reason: str = ""
    warnings: tuple[str, ...] = ()
    arguments: Mapping[str, Any] | None = None


NOTHING_SAID: Final = HookVerdict()


class HookBroken(Exception):
    """The hook has not decided; the text says why, without its command, since a model may read it."""


class HookRunner:
    """The hooks of one agent in one run. Owned by the run's thread; `stop` ends what still runs."""

    def __init__(
        self,
        hooks: Hooks | None,
        *,
        session_id: str,
        working_dir: Path,
        environment: Mapping[str, str],
        cancellation: Cancellation,
        cage: Cage | None = None,
    ) -> None:
        self._hooks = hooks or Hooks()
        self._session_id = session_id
        self._working_dir = working_dir
        self._environment = for_commands(environment)
        self._shell = environment.get("SHELL") or "/bin/sh"
        self._cancellation = cancellation
        self._cage = cage
        self._beside: list[threading.Thread] = []
        self._guard = threading.Lock()  # around the two below
        self._running: set[Process] = set()
        self._stopped = False

    def before_call(self, call_id: str, tool: str, arguments: Mapping[str, Any]) -> HookVerdict:
        """May the call be made, and with which arguments?"""
        hooks = _matching(self._hooks.pre_tool_use, tool)
        given = {"tool_name": tool, "tool_use_id": call_id, "tool_input": arguments}
        return self._run("pre_tool_use", hooks, given)

    def after_call(self, call_id: str, tool: str, arguments: Mapping[str, Any], output: str) -> HookVerdict:
        hooks = _matching(self._hooks.post_tool_use, tool)
        given = {"tool_name": tool, "tool_use_id": call_id, "tool_input": arguments}
        return self._run("post_tool_use", hooks, {**given, "tool_response": clean(output)})

    def at(
        self, point: Literal["session_start", "session_end", "on_user_input"], **given: str
    ) -> HookVerdict:
        return self._run(point, getattr(self._hooks, point), given)

    def tell_of_question(self) -> None:
        """Begins with the `on_user_input` hooks, which run while the user is waited for and hold nothing up."""
        if self._hooks.on_user_input:
            thread = _started(partial(self.at, "on_user_input"))
            if thread is not None:
                self._beside.append(thread)

    def stop(self) -> None:
        """Ends what still runs beside the run, with all that it has started."""
        with self._guard:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.interrupt()
        for thread in self._beside:
            thread.join()

    def _run(self, point: Point, hooks: Sequence[Hook], given: Mapping[str, Any]) -> HookVerdict:
        different = list({hook.command: hook for hook in reversed(hooks)}.values())[::-1]
        if not different:
            return NOTHING_SAID
        body = {"session_id": self._session_id, "cwd": str(self._working_dir), "hook_event_name": point}
        encoded = orjson.dumps({**body, **given})
        broken = _undecided("it failed") if point == "pre_tool_use" else NOTHING_SAID

        def run(hook: Hook) -> HookVerdict:
            try:
                return self._run_one(hook, encoded)
            except HookBroken as problem:
                log.warning("hook %r does not count: %s", hook.command, problem)
                return _undecided(str(problem)) if broken.blocked else broken

        return _together(_at_once([partial(run, hook) for hook in different], broken=broken))

    def _run_one(self, hook: Hook, given: bytes) -> HookVerdict:
        """Raises HookBroken."""
        command = Command(
            [self._shell, "-c", hook.command],
            self._working_dir,
            self._environment,
            input=given,
            errors_apart=True,
        )
        cage = self._cage.allowing(network=hook.network) if self._cage is not None else None
        try:
            process = Process(caged(command, cage, self._working_dir), kept=KEPT_BYTES)
        except (OSError, ValueError) as error:
            raise HookBroken(f"it can't be started: {error}") from None
        ended, status = False, None
        try:
            if self._may_run(process):
                with self._cancellation.calling(process.interrupt):
                    ended = process.follow(hook.timeout or DEFAULT_SECONDS)
        finally:
            with self._guard:
                self._running.discard(process)
            status = process.end()
        if not ended:
            raise HookBroken("it was stopped before its end")
        return verdict(status, process.output(), process.errors())

    def _may_run(self, process: Process) -> bool:
        with self._guard:
            self._running.add(process)
            return not self._stopped


def _undecided(why: str) -> HookVerdict:
    return HookVerdict(blocked=True, reason=f"a hook has to allow this call, and could not decide: {why}")


def _at_once(works: Sequence[Callable[[], HookVerdict]], *, broken: HookVerdict) -> list[HookVerdict]:
    """Each on a thread of its own, the first on the caller's; so are those that the system has no thread for, as a
    hook that might forbid something must not be left out. One that raises has said `broken`."""
    said = [broken] * len(works)

    def do(place: int) -> None:
        try:
            said[place] = works[place]()
        except Exception:
            log.exception("a hook broke")

    threads = {place: _started(partial(do, place)) for place in range(1, len(works))}
    do(0)
    for place, thread in threads.items():
        if thread is None:
            do(place)
        else:
            thread.join()
    return said


def _started(work: Callable[[], object]) -> threading.Thread | None:
    """None if the system has no thread."""
    thread = threading.Thread(target=work, name="hook", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        log.warning("a hook gets no thread of its own", exc_info=True)
        return None
    return thread


def verdict(status: int | None, output: bytes, errors: bytes) -> HookVerdict:
    """The verdict of one hook, by its exit status or in JSON. HookBroken if it has not decided: another status, and
    what looks like JSON and can't be read."""
    if status == _BLOCKS:
        return HookVerdict(blocked=True, reason=errors.decode(errors="replace").strip() or _NO_REASON)
    if status != 0:
        log.warning("a hook's errors: %s", errors[:1000].decode(errors="replace"))
        raise HookBroken(
            "it was killed" if status is None or status < 0 else f"it ended with status {status}"
        )
    try:
        said = mended(loads(output))
    except ValueError:
        if b"{" in output or len(output) >= KEPT_BYTES:
            raise HookBroken("its answer is not a JSON object") from None
        return NOTHING_SAID
    if not isinstance(said, dict):
        raise HookBroken("its answer is not a JSON object")
    return _read(said)


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
    reasons = []
    if goes_on is False:
        reasons.append(_text(said.get("stop_reason")))
    if decision == "block":
        reasons.append(_text(said.get("reason")))
    if permission == "deny":
        reasons.append(_text(own.get("permission_decision_reason")))
    words = _text(said.get("system_message"))
    return HookVerdict(
        blocked=bool(reasons),
        reason="\n".join(reason for reason in reasons if reason) or (_NO_REASON if reasons else ""),
        warnings=(words,) if words else (),
        arguments=arguments,
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


def _text(value: Any) -> str:
    return clean(value).strip() if isinstance(value, str) else ""


def _together(verdicts: Sequence[HookVerdict]) -> HookVerdict:
    """One no is enough; arguments are merged, the later hook's win."""
    changes = [said.arguments for said in verdicts if said.arguments is not None]
    return HookVerdict(
        blocked=any(said.blocked for said in verdicts),
        reason="\n".join(said.reason for said in verdicts if said.blocked),
        warnings=tuple(words for said in verdicts for words in said.warnings),
        arguments={key: value for change in changes for key, value in change.items()} if changes else None,
    )


def _matching(matchers: Sequence[HookMatcher], tool: str) -> list[Hook]:
    return [hook for matcher in matchers if _matches(matcher.matcher, tool) for hook in matcher.hooks]


def _matches(pattern: str, tool: str) -> bool:
    """The whole name, case and all."""
    return pattern in ("", "*") or re.fullmatch(pattern, tool) is not None
