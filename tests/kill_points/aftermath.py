"""Lets a server die, sends the next message through another one, and looks at everything that must hold."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.store.tables import messages, runs, tool_calls
from tests.chaos.invariants import broken_promises
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.kill_points.doomed import Doom
from tests.kill_points.nursery import Life, Nursery


class Aftermath:
    """One database, on which many servers die one after the other, each in a session of its own."""

    def __init__(self, nursery: Nursery, survivor: Server, model: OfflineServer, directory: Path) -> None:
        self.client = LocalClient(survivor)
        self.directory = directory
        self.survivor = survivor
        self._nursery = nursery
        self._model = model

    def script(self) -> tuple[str, Path]:
        """Words that make the model call tools, alone and side by side; each appends its name to a file."""
        marks = self.marks()
        a, b = (call("shell", cmd=f"echo {name} >> {marks}") for name in "ab")
        todo = call("create_todo", description="Do not forget this")
        return f"{a}{b}[then][say so far]{todo}[then][say done]", marks

    def marks(self) -> Path:
        """A file of which there is none yet."""
        return self.directory / f"marks-{uuid.uuid4().hex}"

    def doom(self, text: str, *, session: Mapping[str, Any] | None = None, **when: Any) -> tuple[str, Life]:
        """A new session, a child that works on it, and the child's end."""
        session_id = self.client.new_session(**(session or {"tools_approved": True}))
        return session_id, self.doom_in(session_id, text=text, **when)

    def doom_in(self, session_id: str, **when: Any) -> Life:
        """A child that works on this session, and its end."""
        settings = self.survivor.settings
        doom = Doom(
            directory=str(self.directory),
            database_url=settings.database_url,
            model_url=settings.api_base_url,
            session_id=session_id,
            **when,
        )
        return self._nursery.raise_one(doom)

    def next_message_works(self, session_id: str, *, restarted: bool) -> None:
        """At once: neither the restart nor the take-over waits for a lease."""
        if restarted:
            # a sweep skips a row until PostgreSQL has noticed that the killed process's transaction is over
            eventually(
                lambda: self._is_closed_by_a_sweep(session_id), "a restarted server closes its dead runs"
            )
        events = self.client.say(session_id, "[say still here]", agent="tools")
        self.client.wait_until_free(session_id)
        assert [event for event in events if event["type"] == "error"] == []
        said = "".join(event["content"] for event in events if event["type"] == "agent_choice")
        assert "still here" in said

    def _is_closed_by_a_sweep(self, session_id: str) -> bool:
        self.survivor.runtime.supervisor.recover()
        return "run" not in self.client.session(session_id)

    def everything_holds(self, session_id: str, life: Life, marks: Path) -> None:
        assert self._model.violations == []
        assert broken_promises(self.survivor.store, only=session_id) == []
        self._acknowledged_is_stored(session_id, life)
        self._no_tool_ran_twice(session_id, marks)

    def _acknowledged_is_stored(self, session_id: str, life: Life) -> None:
        with self.survivor.store.database.reading() as connection:
            rows = connection.execute(select(messages).where(messages.c.session_id == session_id)).all()
        blocks = [block for row in rows for block in json.loads(row.content_json)]
        results = {block["tool_use_id"]: block for block in blocks if block["type"] == "tool_result"}
        assert life.types.count("message_added") <= sum(row.role != "user" for row in rows)
        for event in life.events:
            if event["type"] == "tool_call_response":
                assert results[event["tool_call"]["id"]]["content"] == event["response"]
        if life.survived and life.events:  # a child that only answers sees none
            assert life.types[-1] == "stream_stopped"

    def _no_tool_ran_twice(self, session_id: str, marks: Path) -> None:
        ran = Counter(marks.read_text().split()) if marks.exists() else Counter()
        assert set(ran.values()) <= {1}
        with self.survivor.store.database.reading() as connection:
            query = select(tool_calls).where(tool_calls.c.session_id == session_id)
            calls = connection.execute(query.where(tool_calls.c.name == "shell")).all()
        for one in calls:
            name = json.loads(one.arguments_json)["cmd"].split()[1]
            assert one.state in ("completed", "unknown", "cancelled")
            if one.state != "unknown":
                assert ran[name] == (1 if one.state == "completed" else 0)

    def states(self, session_id: str) -> list[str]:
        """The states of the session's runs, in order."""
        with self.survivor.store.database.reading() as connection:
            query = select(runs.c.status).where(runs.c.session_id == session_id).order_by(runs.c.started_at)
            return [row.status for row in connection.execute(query)]


def call(name: str, **arguments: Any) -> str:
    return f"[call {name} {json.dumps(arguments)}]"
