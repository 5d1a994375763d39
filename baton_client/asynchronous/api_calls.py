"""Calls that the API answers with a piece of JSON: sessions, runs, answers, messages that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from ..api_call import ApiCall, Json, Message, RetryClock, messages_of, new_key, path
from ..api_types import Agent, ModelChoice, NewSession, QueuedMessage, Run, SearchHit, Session, SessionSummary
from ..client_errors import ConflictError, NotFoundError
from .http_transport import AsyncHttpTransport, json_of


class AsyncCalls:
    """Methods that are answered at once, or soon. Each may raise a `BatonError`."""

    def __init__(self, transport: AsyncHttpTransport) -> None:
        self._transport = transport

    # sessions

    async def create_session(
        self,
        *,
        working_dir: str | None = None,
        tools_approved: bool = False,
        permissions: Mapping[str, Sequence[str]] | None = None,
        max_iterations: int = 0,
    ) -> NewSession:
        body = {
            "working_dir": working_dir,
            "tools_approved": tools_approved,
            "permissions": permissions,
            "max_iterations": max_iterations,
        }
        return cast("NewSession", await self._object(ApiCall("POST", "/api/sessions", body, key=new_key())))

    async def import_session(self, exported: Mapping[str, Any]) -> NewSession:
        """A new session with the title, settings and messages of what `session` returned, here or elsewhere."""
        return cast(
            "NewSession", await self._object(ApiCall("POST", "/api/sessions/import", exported, key=new_key()))
        )

    async def sessions(self) -> list[SessionSummary]:
        """Newest first, without their messages."""
        return cast("list[SessionSummary]", await self._list("/api/sessions"))

    async def search_sessions(self, words: str, *, limit: int = 20) -> list[SearchHit]:
        """Messages and titles with all of these words, the newest first; words in double quotes follow each other. A
        message has a `position` in the session `session_id`, a title has none."""
        found = await self._list("/api/sessions/search", {"q": words, "limit": limit})
        return cast("list[SearchHit]", found)

    async def session(self, session_id: str) -> Session:
        """With its messages, and with `run` while one is at work."""
        return cast("Session", await self._object(ApiCall("GET", path("sessions", session_id))))

    async def rename_session(self, session_id: str, title: str) -> None:
        await self._object(ApiCall("PATCH", path("sessions", session_id, "title"), {"title": title}))

    async def set_permissions(self, session_id: str, permissions: Mapping[str, Sequence[str]] | None) -> None:
        where = path("sessions", session_id, "permissions")
        await self._object(ApiCall("PATCH", where, {"permissions": permissions}))

    async def delete_session(self, session_id: str) -> None:
        """Stops its run first."""
        await self._delete(path("sessions", session_id))

    async def models(self, session_id: str) -> list[ModelChoice]:
        """The models to choose from for its agent. NotFound before its first run."""
        return cast(
            "list[ModelChoice]",
            (await self._object(ApiCall("GET", path("sessions", session_id, "models"))))["models"],
        )

    async def choose_model(self, session_id: str, model: str) -> Json:
        """From its next run on; an empty one is the agent's own again. NotFound before its first run."""
        return await self._object(ApiCall("PATCH", path("sessions", session_id, "model"), {"model": model}))

    async def agents(self) -> list[Agent]:
        return cast("list[Agent]", await self._list("/api/agents"))

    async def ready(self) -> None:
        """Returns if the server wants work; else Unavailable, at once."""
        await self._transport.send(ApiCall("GET", "/ready", repeatable=False))

    # runs

    async def runs(
        self,
        *,
        status: Sequence[str] = (),
        session: str | None = None,
        holder: str | None = None,
        older_than: float | None = None,
    ) -> list[Run]:
        """Newest first, at most 100."""
        query = {"status": ",".join(status) or None, "session": session, "holder": holder}
        return cast("list[Run]", await self._list("/api/runs", {**query, "older_than": older_than}))

    async def get_run(self, run_id: str) -> Run:
        return cast("Run", await self._object(ApiCall("GET", path("runs", run_id))))

    async def cancel(
        self,
        session_id: str,
        *,
        run_id: str | None = None,
        wait_seconds: float = 10.0,
        at_safe_point: bool = False,
    ) -> Run:
        """Stops the session's run, if it is that one, and waits for its end; returns the run as it is then.
        Conflict if there is none."""
        query = {"wait": wait_seconds, "at": "safe_point" if at_safe_point else None}
        body = {"run_id": run_id} if run_id else {}
        where = path("sessions", session_id, "cancel")
        attempts = RetryClock()
        try:
            answer = await self._object(ApiCall("POST", where, body, query, patience=wait_seconds), attempts)
        except ConflictError:
            if run_id and attempts.number > 1:  # the first one was heard, and its answer lost
                return await self.get_run(run_id)
            raise
        return cast("Run", answer.get("run") or {})

    async def retry(self, session_id: str) -> str:
        """Does the last turn again, if it failed; returns the id of the new run. Conflict if there is nothing to do
        again."""
        call = ApiCall("POST", path("sessions", session_id, "retry"), {}, key=new_key())
        answer = await self._object(call)
        return str(answer["turn_id"])

    async def compact(self, session_id: str, prompt: str = "") -> str:
        """Lets the model sum up the conversation; returns the id of the run that does it."""
        body = {"additional_prompt": prompt} if prompt else {}
        call = ApiCall("POST", path("sessions", session_id, "compact"), body, repeatable=False, bodiless=True)
        answer = await self._transport.send(call)
        return str(answer.headers.get("X-Run-ID", ""))

    async def undo(self, session_id: str) -> int:
        """Takes back the last message of the user and all that came after it; returns how many messages are gone."""
        call = ApiCall("POST", path("sessions", session_id, "undo"), repeatable=False)
        answer = await self._object(call)
        return int(answer["removed"])

    async def release(self, run_id: str, reason: str = "") -> Run:
        """Takes the session away from a run, whatever its process does."""
        where = path("runs", run_id, "release")
        answer = await self._object(ApiCall("POST", where, {"reason": reason}, repeatable=False))
        return cast("Run", answer.get("run") or {})

    # answers

    async def approve(
        self,
        session_id: str,
        call_id: str | None = None,
        *,
        remember: Literal["", "tool", "session"] = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Lets a call run; with `remember` every later one of that tool, or all later ones of the session.
        Without `call_id` it is whatever is asked at that moment. With `arguments` the call runs with them in place of
        its own, and the model is told so: they need a `call_id`, and go without `remember`. The BatonError of a refusal
        names what does not fit, and the question stays."""
        body: dict[str, Any] = {"confirmation": f"approve-{remember}".rstrip("-")}
        await self._resume(
            session_id, call_id, body if arguments is None else {**body, "arguments": arguments}
        )

    async def reject(self, session_id: str, call_id: str | None = None, *, reason: str = "") -> None:
        """The model reads the reason."""
        await self._resume(session_id, call_id, {"confirmation": "reject", "reason": reason})

    async def elicit(
        self,
        session_id: str,
        content: Mapping[str, Any] | None = None,
        *,
        action: Literal["accept", "decline", "cancel"] = "accept",
        call_id: str | None = None,
    ) -> None:
        """Fills in a form, or declines to."""
        await self._answer(
            path("sessions", session_id, "elicitation"),
            call_id,
            {"action": action, "content": content},
            action,
        )

    # messages that wait

    async def steer(self, session_id: str, message: Message) -> list[QueuedMessage]:
        """A message for the run at work; Conflict if there is none. Returns what waits by it."""
        return await self._enqueue(session_id, "steer", message)

    async def follow_up(self, session_id: str, message: Message) -> list[QueuedMessage]:
        """A message that gets a turn of its own afterwards."""
        return await self._enqueue(session_id, "followup", message)

    async def queue(self, session_id: str) -> list[QueuedMessage]:
        return cast(
            "list[QueuedMessage]",
            (await self._object(ApiCall("GET", path("sessions", session_id, "queue"))))["messages"],
        )

    async def withdraw(self, session_id: str, message_id: str) -> None:
        """Takes a message out of the queue; Conflict if it is in the conversation already."""
        await self._delete(path("sessions", session_id, "queue", message_id))

    async def _enqueue(self, session_id: str, kind: str, message: Message) -> list[QueuedMessage]:
        call = ApiCall("POST", path("sessions", session_id, kind), messages_of(message), key=new_key())
        answer = await self._object(call)
        return cast("list[QueuedMessage]", answer["messages"])

    async def _resume(self, session_id: str, call_id: str | None, body: Json) -> None:
        await self._answer(path("sessions", session_id, "resume"), call_id, body, body["confirmation"])

    async def _answer(self, where: str, call_id: str | None, body: Json, decision: str) -> None:
        """An answer that names its call may be repeated; another one might answer a question nobody has seen."""
        attempts = RetryClock()
        call = ApiCall("POST", where, {**body, "call_id": call_id}, repeatable=bool(call_id))
        try:
            await self._transport.send(call, attempts)
        except ConflictError as error:
            ours = error.code == "answered_already" and error.body.get("decision") == decision
            if attempts.number < 2 or not ours:
                raise

    async def _delete(self, where: str) -> None:
        """What is not there when it is asked again was deleted the first time."""
        attempts = RetryClock()
        try:
            await self._transport.send(ApiCall("DELETE", where), attempts)
        except NotFoundError:
            if attempts.number < 2:
                raise

    async def _list(self, where: str, query: Mapping[str, Any] | None = None) -> list[Any]:
        return list(await json_of(await self._transport.send(ApiCall("GET", where, query=query))))

    async def _object(self, call: ApiCall, attempts: RetryClock | None = None) -> Json:
        return dict(await json_of(await self._transport.send(call, attempts)))
