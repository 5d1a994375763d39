"""The things with which a scenario of the walk plays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.factory import Server
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.walk.connection import SocketResponse
from tests.walk.faults import tell
from tests.walk.journal import Journal
from tests.walk.managed_client import ManagedClient
from tests.walk.person import BOUND, Person


@dataclass
class Stage:
    """One step's. `word` stands in every name of this step and of no other."""

    server: Server
    person: Person
    word: str
    shell_journal: Path
    aside: Callable[[], AbstractContextManager[None]] = nullcontext

    def begin(self, what: str, body: Mapping[str, Any], *, key: str = "") -> None:
        """A run that needs no words of the user. Refused."""
        tell({"type": "begun", "run": self.person.begin(what, body, key=key)})

    def call(self, tool: str, name: str, **more: Any) -> str:
        return call(tool, name=f"{self.word}{name}", **more)

    def shell(self, name: str) -> str:
        return call("shell", cmd=f"echo {self.word}{name} >> {self.shell_journal}")

    def connect(self, text: str) -> SocketResponse:
        """A run whose stream comes over a socket. Refused."""
        path = f"/api/sessions/{self.person.session}/agent/{self.person.agent}"
        body = [{"role": "user", "content": text}]
        return self.person.accepted(SocketResponse(self.person.client, path, body, self.aside), "run")

    def wait_for_tool(self) -> bool:
        """Until the tool `wait` stands at its gate; False if the run has ended without it."""

        def there() -> bool:
            return Journal.reached.is_set() or self.person.is_free()

        eventually(there, "the tool was reached", seconds=BOUND)
        return Journal.reached.is_set()

    def queue(self, kind: str, text: str) -> None:
        body = {"messages": [{"role": "user", "content": f"{self.word}{text}"}]}
        if self.person.post(kind, body).status_code == 202:
            tell({"type": "accepted", "text": f"{self.word}{text}"})

    def pause(self) -> None:
        """The run at work shall wait before its next model call. Refused."""
        if self.person.toggle_pause():
            tell({"type": "pause wanted"})
        else:
            self.person.problems.append("a pause was wanted, and taken back")

    def ask_the_walker(self) -> None:
        """Its server shall answer what this one's run waits for."""
        tell({"type": "answer please"})


def call(tool: str, **arguments: Any) -> str:
    return f"[call {tool} {json.dumps(arguments)}]"


def person_of(
    server: Server, session: str, see: Callable[[dict[str, Any]], None], *, managed: bool = False
) -> Person:
    """`managed`: one who comes through the Managed Agents API."""
    return (ManagedClient if managed else Person)(LocalClient(server), session, see=see)
