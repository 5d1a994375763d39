"""Hooks that come with the server. Programs that they start run as an author's hooks do: in the cage, with the
environment of commands, and until the run is cancelled."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.agent.hook_answers import NOTHING_SAID, HookBroken, HookVerdict
from app.agent.prompt_builder import date_words, environment_words
from app.agent.redaction import redacted, redacted_value
from app.agent.tools.git_command import NO_SUBMODULES, RepositoryRefused, ask
from app.conversation.blocks import clean
from app.conversation.frozen_prompt import Surroundings
from app.roots import Ground
from app.team.hook_definitions import Hook

GIT_BYTES: Final = 4_096
LISTED: Final = 100
COMMITS: Final = 10

_DIFF: Final = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", NO_SUBMODULES)

Read = Callable[[Sequence[str]], Surroundings]
"""The world around the session now, with the prompt files of these names."""

OutputOf = Callable[[Sequence[str], Mapping[str, str], float], tuple[int, bytes]]
"""Runs a program with these variables besides, for so many seconds at most; returns its exit status and its output.
Raises HookBroken."""


class Builtins:
    """The builtins of one session. Any thread may run them."""

    def __init__(self, output_of: OutputOf, read: Read | None, directory: Path, ground: Ground) -> None:
        self._output_of = output_of
        self._directory = directory
        self._ground = ground
        self._read = read

    def run(self, hook: Hook, given: Mapping[str, Any]) -> HookVerdict:
        """Raises HookBroken."""
        if hook.command == "max_iterations":
            return _limited(int(given.get("iteration", 0)), hook.number)
        if hook.masks_secrets:
            return _without_secrets(given)
        words = clean(self._words(hook)).strip()
        return HookVerdict(context=(words,)) if words else NOTHING_SAID

    def _words(self, hook: Hook) -> str:
        match hook.command:
            case "add_date":
                return date_words(self._surroundings())
            case "add_environment_info":
                return environment_words(self._surroundings())
            case "add_prompt_files":
                return "\n\n".join(self._surroundings(hook.args).prompt_files)
            case "add_user_info":
                return f"Current user: {getpass.getuser()}\nHost: {platform.node()}"
            case "add_directory_listing":
                return _listing(self._printed(("ls", "-p"), hook))
            case "add_git_status":
                return self._git("Current git status", ("status", "--short", "--branch", NO_SUBMODULES), hook)
            case "add_git_diff":
                full = hook.args[:1] == ("full",)
                return self._git("Current changes in git", (*_DIFF, *(() if full else ("--stat",))), hook)
            case "add_recent_commits":
                number = str(hook.number or COMMITS)
                return self._git("Recent commits", ("log", "--oneline", "--no-color", "-n", number), hook)
        raise HookBroken(f"there is no builtin {hook.command}")

    def _surroundings(self, names: Sequence[str] = ()) -> Surroundings:
        if self._read is None:
            raise HookBroken("nothing is known of the session's surroundings")
        return self._read(names)

    def _git(self, heading: str, arguments: Sequence[str], hook: Hook) -> str:
        """Empty outside of a repository. HookBroken for one that must not be read."""

        def run(words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, bytes]:
            return self._output_of(words, environment, hook.timeout)

        try:
            status, output = ask(run, self._directory, self._ground, arguments)
        except RepositoryRefused as refused:
            raise HookBroken(str(refused)) from None
        printed = output.strip() if status == 0 else b""
        cut = b"\n(cut)" if len(printed) > GIT_BYTES else b""
        text = (printed[:GIT_BYTES] + cut).decode(errors="replace")
        return f"{heading}:\n\n{text}" if text else ""

    def _printed(self, arguments: Sequence[str], hook: Hook) -> str:
        status, printed = self._output_of(arguments, {}, hook.timeout)
        return printed.decode(errors="replace") if status == 0 else ""


def _limited(iteration: int, most: int) -> HookVerdict:
    if iteration <= most:
        return NOTHING_SAID
    return HookVerdict(
        blocked=True, reason=f"The run has had {most} model calls, as many as a hook lets it have."
    )


def _without_secrets(given: Mapping[str, Any]) -> HookVerdict:
    """Masks a call or its result. A request to the model is masked where it is made."""
    if "tool_response" in given:
        masked = redacted(given["tool_response"])
        return NOTHING_SAID if masked is given["tool_response"] else HookVerdict(output=masked)
    arguments = given.get("tool_input", {})
    changed = redacted_value(arguments)
    if changed is arguments:
        return NOTHING_SAID
    words = f"Secrets in the arguments of {given['tool_name']} are masked before the call is made."
    return HookVerdict(arguments=changed, warnings=(words,))


def _listing(printed: str) -> str:
    names = sorted(printed.splitlines())
    if not names:
        return ""
    more = f"\n... and {len(names) - LISTED} more" if len(names) > LISTED else ""
    listed = "\n".join(f"- {name}" for name in names[:LISTED])
    return f"In the working directory:\n\n{listed}{more}"
