"""Facts of a run that toolsets may know when they are built for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from app.agent.model_client import Cancellation
from app.agent.tools.background_agents import BackgroundWork, NoWork
from app.agent.tools.session_context import EarlierSessions, NoSessions
from app.agent.tools.working_copies import NO_COPIES, WorkingCopies
from app.roots import Ground
from app.team.model_definition import ModelSpec

_HEADER: Final = re.compile(r"\$\{headers\.([A-Za-z0-9_-]+)\}|\$\{headers\[[\"']([^\"']+)[\"']\]\}")


class NeverCancelled:
    """The cancellation of work that no run has asked for."""

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        time.sleep(timeout)
        return False

    @contextmanager
    def calling(self, _callback: Callable[[], None]) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class RunFacts:
    """`headers` are those of the request that started the run; none, if another process goes on with it. `shared`
    holds what the agents of one run have in common; it belongs to the run's thread."""

    team: str = ""  # the key of the agent file
    file: str = ""  # where it was read from, for messages
    owner: str = ""  # the session's owner, empty where owners are not told apart
    working_dir: Path = field(default_factory=Path)
    ground: Ground = field(default_factory=Ground)
    headers: Mapping[str, str] = field(default_factory=dict)
    cancellation: Cancellation = field(default_factory=NeverCancelled)
    shared: dict[str, Any] = field(default_factory=dict)
    colleagues: Sequence[str] = ()  # the agents that the toolset's own one may give tasks to
    work: BackgroundWork = field(default_factory=NoWork)
    delegates: bool = True  # the conversation gives new tasks away
    models: Callable[[str], tuple[ModelSpec, ...]] = (
        lambda _reference: ()
    )  # those that the agent's file knows
    sessions: EarlierSessions = field(default_factory=NoSessions)
    model: str = ""  # "provider/name" that a request chose for the session
    copies: WorkingCopies = NO_COPIES

    def fill_in(self, values: Mapping[str, str]) -> dict[str, str]:
        """The values with `${headers.Name}` filled in; a header that was not sent is empty."""
        sent = {name.lower(): value for name, value in self.headers.items()}

        def look_up(match: re.Match[str]) -> str:
            return sent.get((match[1] or match[2]).lower(), "")

        return {name: _HEADER.sub(look_up, value) for name, value in values.items()}
