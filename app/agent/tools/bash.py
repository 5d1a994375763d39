"""The tool `bash`: a shell that goes on between the calls of a run, and begins where the session's last run left it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from app.agent.tools.bash_process import Answered, BashProcess
from app.agent.tools.cage import Cage, caged
from app.agent.tools.function_tool import tool
from app.agent.tools.output_limit import readable
from app.agent.tools.process_family import MARK
from app.agent.tools.processes import NOT_STOPPED, Command, exit_words
from app.agent.tools.shell import MAX_SECONDS, stopped_words
from app.agent.toolset import OutcomeUnknown, ToolCancelled, ToolContext, ToolResult
from app.conversation.json_text import whole
from app.tool_environment import for_commands

DEFAULT_SECONDS: Final = 120.0
TRUNCATED: Final = "[output truncated]\n"

_PROGRAM: Final = "/bin/bash"
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_ITS_OWN: Final = frozenset({MARK, "PWD", "OLDPWD", "SHLVL", "_"})
_MOST_KEPT: Final = 32_768  # characters of variables that a session keeps
_START_SECONDS: Final = 30.0


class Bash:
    """One for each run; its calls come one after the other, from one thread. Starts bash for the first call.

    A shell that has come to an end, by a command or since that was out of time, is followed by a new one. It begins in
    the directory of the last one, with what that exported; functions and jobs are gone."""

    def __init__(self, *, environment: Mapping[str, str], cage: Cage | None, state: Any = None) -> None:
        """`environment` is the server's own, of which commands get little; `state` is what `state` gave to the
        session's last run."""
        self._environment = {**for_commands(environment), "TERM": "dumb"}
        self._cage = cage
        kept = state if isinstance(state, dict) else {}
        self._directory = str(kept.get("directory", ""))
        self._exported: dict[str, str | None] = dict(kept.get("exported", {}))  # None: taken away
        self._process: BashProcess | None = None

    @tool(title="Bash")
    def bash(
        self,
        context: ToolContext,
        command: Annotated[str, "The command to run"] = "",
        restart: Annotated[bool, "Start a new shell instead of running a command"] = False,
        timeout_ms: Annotated[int, "Milliseconds before the command is stopped (120000)"] = 0,
    ) -> ToolResult:
        """Runs a command in a bash shell that stays: the directory, variables, functions and jobs in the background are
        still there for the next call. There is no input to type."""
        if restart:
            self.stop()
            self._directory, self._exported = "", {}
            return ToolResult("bash session restarted")
        if not command.strip():
            return ToolResult.error("bash: command is required")
        seconds = min(timeout_ms / 1000, MAX_SECONDS) if timeout_ms > 0 else DEFAULT_SECONDS
        try:
            process = self._running(context)
        except (OSError, ValueError) as error:
            return ToolResult.error(f"bash: {error}")
        with context.cancellation.calling(process.interrupt):
            answer = process.ask(whole(command), timeout=seconds, live=context.output)
        text = _shown(process)
        if answer is not None:
            self._note(answer)
            if answer.status:
                return ToolResult.error(text or exit_words(answer.status))
            return ToolResult(text)
        return self._over(process, context, text, seconds)

    def stop(self) -> None:
        """Ends the shell with all that it has started."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def state(self) -> Any:
        if not self._directory and not self._exported:
            return None
        return {"directory": self._directory, "exported": self._exported}

    def _running(self, context: ToolContext) -> BashProcess:
        """The shell, or a new one. OSError."""
        if self._process is not None and self._process.is_alive:
            return self._process
        self.stop()
        command = Command(
            [_PROGRAM, "--noprofile", "--norc"],
            Path(context.working_dir),
            self._environment,
            errors_apart=True,
            fed=True,
        )
        process = self._process = BashProcess(caged(command, self._cage, context.working_dir))
        if lines := self._restored():
            process.ask(lines, timeout=_START_SECONDS, live=None)
        return process

    def _restored(self) -> str:
        """What brings a new shell to where the last one was."""
        lines = [f"cd -- {shlex.quote(self._directory)} 2>/dev/null"] if self._directory else []
        for name, value in self._exported.items():
            lines.append(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
        return "\n".join(lines)

    def _note(self, answer: Answered) -> None:
        self._directory = whole(answer.directory)
        if answer.exported is None:
            return
        known = {name: value for name, value in self._environment.items() if name not in _ITS_OWN}
        now = {name: value for name, value in answer.exported.items() if name not in _ITS_OWN}
        new = {name: whole(value) for name, value in now.items() if known.get(name) != value}
        changed = {**new, **dict.fromkeys(known.keys() - now.keys())}
        kept = {name: value for name, value in changed.items() if name.isidentifier() and name.isascii()}
        if sum(len(name) + len(value or "") for name, value in kept.items()) <= _MOST_KEPT:
            self._exported = kept

    def _over(self, process: BashProcess, context: ToolContext, text: str, seconds: float) -> ToolResult:
        """The shell has come to an end, or has to: with all that it has started."""
        ended = not process.is_alive
        cancelled = not ended and context.cancellation.is_set()
        self._process = None
        status = process.end()
        if status is None:
            raise OutcomeUnknown(NOT_STOPPED)
        if cancelled:
            raise ToolCancelled(stopped_words(text))
        if not ended:
            return ToolResult.error(f"bash: bash command timed out after {seconds}s\n{text}".rstrip())
        if status == 0:
            return ToolResult(text)
        problem = process.errors().decode("utf-8", "replace").strip()
        return ToolResult.error(text or problem or exit_words(status))


def _shown(process: BashProcess) -> str:
    text = _COLOURS.sub("", readable(process.output().lstrip(bytes(range(0x80, 0xC0)))))
    return f"{TRUNCATED}{text.rstrip(chr(10))}" if process.is_cut else text.rstrip("\n")
