"""Hooks: commands of the agent's author that run at points of a run, and what they decide.

A hook reads a JSON object and answers by its exit status or with one. Hooks of one point run at the same time; those
that replace a result run one after the other, each with the result of the one before. A hook before a call is a gate:
if it can't run or its answer can't be read, the call is not made. At the other points a hook that breaks changes
nothing, and readers are told, unless its definition says otherwise.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from app.agent.hook_answers import (
    KEPT_BYTES,
    NOTHING_SAID,
    HookBroken,
    HookVerdict,
    together,
    verdict,
)
from app.agent.hook_builtins import Builtins, Read
from app.agent.model_client import Cancellation
from app.agent.tools.cage import Cage, caged
from app.agent.tools.processes import Command, Process
from app.conversation.blocks import clean
from app.roots import Ground
from app.team.expansion import Expander
from app.team.hook_definitions import Hook, HookMatcher, Hooks
from app.team.hook_points import POINTS
from app.tool_environment import for_commands

log = logging.getLogger(__name__)

DEFAULT_SECONDS: Final = 60
LOGGED: Final = 200  # characters of a command


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
        read: Read | None = None,
        ground: Ground | None = None,
    ) -> None:
        """`read` tells builtins of the world around the session; without it those that ask are broken."""
        self._hooks = hooks or Hooks()
        self._session_id = session_id
        self._working_dir = working_dir
        self._environment = environment
        self._shell = environment.get("SHELL") or "/bin/sh"
        self._cancellation = cancellation
        self._cage = cage
        self._builtins = Builtins(self._output_of, read, working_dir, ground or Ground())
        self._beside: list[threading.Thread] = []
        self._guard = threading.Lock()  # around the two below
        self._running: set[Process] = set()
        self._stopped = False

    def has(self, point: str, tool: str = "") -> bool:
        """Is there any hook at this point, for this tool?"""
        return bool(self.of_tool(point, tool) if POINTS[point].by_tool else getattr(self._hooks, point))

    def of_tool(self, point: str, tool: str) -> list[Hook]:
        """The hooks of a point where they stand behind matchers, for this tool."""
        return _matching(getattr(self._hooks, point), tool)

    def before_call(self, call_id: str, tool: str, arguments: Mapping[str, Any]) -> HookVerdict:
        """May the call be made, and with which arguments?"""
        return self.about_call("pre_tool_use", call_id, tool, arguments)

    def after_call(self, call_id: str, tool: str, arguments: Mapping[str, Any], output: str) -> HookVerdict:
        return self.about_call("post_tool_use", call_id, tool, arguments, tool_response=clean(output))

    def about_call(
        self, point: str, call_id: str, tool: str, arguments: Mapping[str, Any], **given: Any
    ) -> HookVerdict:
        given = {"tool_name": tool, "tool_use_id": call_id, "tool_input": arguments, **given}
        if not POINTS[point].by_tool:
            return self.at(point, **given)
        hooks = self.of_tool(point, tool)
        if POINTS[point].chained:
            return self._one_by_one(point, hooks, given)
        said = self._run(point, [hook for hook in hooks if not hook.masks_secrets], given)
        masks = [hook for hook in hooks if hook.masks_secrets]
        if masks and said.arguments is not None:
            given["tool_input"] = said.arguments
        return together([said, self._run(point, masks, given)]) if masks else said

    def at(self, point: str, **given: Any) -> HookVerdict:
        """Keys that are given replace those that every hook is given."""
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

    def _one_by_one(self, point: str, hooks: Sequence[Hook], given: Mapping[str, Any]) -> HookVerdict:
        said: list[HookVerdict] = []
        for hook in hooks:
            said.append(self._run(point, [hook], given))
            if (output := said[-1].output) is not None:
                given = {**given, "tool_response": output}
            if (arguments := said[-1].arguments) is not None:
                given = {**given, "tool_input": {**given["tool_input"], **arguments}}
        return together(said)

    def _run(self, point: str, hooks: Sequence[Hook], given: Mapping[str, Any]) -> HookVerdict:
        different = list({_what_runs(hook): hook for hook in reversed(hooks)}.values())[::-1]
        if not different:
            return NOTHING_SAID
        body = {"session_id": self._session_id, "cwd": str(self._working_dir), "hook_event_name": point}
        body |= given
        encoded = orjson.dumps(body)

        def run(hook: Hook) -> HookVerdict:
            try:
                if hook.type == "builtin":
                    return self._builtins.run(hook, body)
                return verdict(*self._run_one(hook, encoded), point)
            except HookBroken as problem:
                log.warning("hook %r does not count: %s", hook.command[:LOGGED], problem)
                return _broken(hook, point, str(problem))

        works = [partial(run, hook) for hook in different]
        return together(_at_once(works, broken=_broken(different[0], point, "it failed")))

    def _run_one(self, hook: Hook, given: bytes) -> tuple[int | None, bytes, bytes]:
        """The exit status, the output and the error output. Raises HookBroken."""
        command = Command(
            [self._shell, "-c", hook.command],
            self._working_dir / hook.working_dir,
            for_commands(self._environment, Expander(self._environment).expand_all(hook.env)),
            input=given,
            errors_apart=True,
        )
        return self._follow(command, network=hook.network, seconds=hook.timeout or DEFAULT_SECONDS)

    def _output_of(
        self, arguments: Sequence[str], more: Mapping[str, str], seconds: float
    ) -> tuple[int, bytes]:
        """The exit status and the output of a program that a builtin runs. Raises HookBroken."""
        environment = {**for_commands(self._environment), **more}
        command = Command(arguments, self._working_dir, environment, errors_apart=True)
        status, output, _ = self._follow(command, network=False, seconds=seconds or DEFAULT_SECONDS)
        return -1 if status is None else status, output

    def _follow(self, command: Command, *, network: bool, seconds: float) -> tuple[int | None, bytes, bytes]:
        cage = self._cage.allowing(network=network) if self._cage is not None else None
        try:
            process = Process(caged(command, cage, self._working_dir), kept=KEPT_BYTES)
        except (OSError, ValueError) as error:
            raise HookBroken(f"it can't be started: {error}") from None
        ended, status = False, None
        try:
            if self._may_run(process):
                with self._cancellation.calling(process.interrupt):
                    ended = process.follow(seconds)
        finally:
            with self._guard:
                self._running.discard(process)
            status = process.end()
        if not ended:
            raise HookBroken("it was stopped before its end")
        return status, process.output(), process.errors()

    def _may_run(self, process: Process) -> bool:
        with self._guard:
            self._running.add(process)
            return not self._stopped


def _what_runs(hook: Hook) -> tuple[object, ...]:
    return hook.type, hook.command, hook.args, tuple(hook.env.items()), hook.working_dir


def _broken(hook: Hook, point: str, why: str) -> HookVerdict:
    """What a hook has said that did not come to its end."""
    if POINTS[point].closed:
        return HookVerdict(blocked=True, reason=f"a hook has to allow this call, and could not decide: {why}")
    if hook.on_error == "block":
        return HookVerdict(blocked=True, reason=f"a {point} hook failed: {why}")
    named = f" ({hook.name})" if hook.name else ""
    words = f"A {point} hook{named} failed: {why}."
    return NOTHING_SAID if hook.on_error == "ignore" else HookVerdict(warnings=(words,))


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


def _matching(matchers: Sequence[HookMatcher], tool: str) -> list[Hook]:
    return [hook for matcher in matchers if _matches(matcher.matcher, tool) for hook in matcher.hooks]


def _matches(pattern: str, tool: str) -> bool:
    """The whole name, case and all."""
    return pattern in ("", "*") or re.fullmatch(pattern, tool) is not None
