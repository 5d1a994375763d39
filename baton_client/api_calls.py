"""Calls that the API answers with a piece of JSON: sessions, runs, answers, messages that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from .client_errors import ConflictError
from .http_transport import ApiCall, HttpTransport, RetryClock, json_of, new_key, path

Json = dict[str, Any]
Message = str | Sequence[Mapping[str, Any]]
"""A text, or messages in the API's own form."""

LIVE: Final = ("running", "awaiting_approval", "awaiting_input")


class Calls:
    """Methods that are answered at once, or soon. Each may raise a `BatonError`."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    # sessions

    def create_session(
        self,
        *,
        working_dir: str | None = None,
        tools_approved: bool = False,
        permissions: Mapping[str, Sequence[str]] | None = None,
        max_iterations: int = 0,
    ) -> Json:
        body = {
            "working_dir": working_dir,
            "tools_approved": tools_approved,
            "permissions": permissions,
            "max_iterations": max_iterations,
        }
        return self._object(ApiCall("POST", "/api/sessions", body, key=new_key()))

    def import_session(self, exported: Mapping[str, Any]) -> Json:
        """A new session with the title, settings and messages of what `session` returned, here or elsewhere."""
        return self._object(ApiCall("POST", "/api/sessions/import", exported, key=new_key()))

    def sessions(self) -> list[Json]:
        """Newest first, without their messages."""
        return self._list("/api/sessions")

    def session(self, session_id: str) -> Json:
        """With its messages, and with `run` while one is at work."""
        return self._object(ApiCall("GET", path("sessions", session_id)))

    def rename_session(self, session_id: str, title: str) -> None:
        self._object(ApiCall("PATCH", path("sessions", session_id, "title"), {"title": title}))

    def set_permissions(self, session_id: str, permissions: Mapping[str, Sequence[str]] | None) -> None:
        where = path("sessions", session_id, "permissions")
        self._object(ApiCall("PATCH", where, {"permissions": permissions}))

    def delete_session(self, session_id: str) -> None:
        """Stops its run first."""
        self._transport.send(ApiCall("DELETE", path("sessions", session_id), gone_is_done=True))

    def models(self, session_id: str) -> list[Json]:
        """The models to choose from for its agent. NotFound before its first run."""
        return list(self._object(ApiCall("GET", path("sessions", session_id, "models")))["models"])

    def choose_model(self, session_id: str, model: str) -> Json:
        """From its next run on; an empty one is the agent's own again. NotFound before its first run."""
        return self._object(ApiCall("PATCH", path("sessions", session_id, "model"), {"model": model}))

    def agents(self) -> list[Json]:
        return self._list("/api/agents")

    def ready(self) -> None:
        """Returns if the server wants work; else Unavailable, at once."""
        self._transport.send(ApiCall("GET", "/ready", repeatable=False))

    # runs

    def runs(
        self,
        *,
        status: Sequence[str] = (),
        session: str | None = None,
        holder: str | None = None,
        older_than: float | None = None,
    ) -> list[Json]:
        """Newest first, at most 100."""
        query = {"status": ",".join(status) or None, "session": session, "holder": holder}
        return self._list("/api/runs", {**query, "older_than": older_than})

    def get_run(self, run_id: str) -> Json:
        return self._object(ApiCall("GET", path("runs", run_id)))

    def cancel(
        self,
        session_id: str,
        *,
        run_id: str | None = None,
        wait_seconds: float = 10.0,
        at_safe_point: bool = False,
    ) -> Json:
        """Stops the session's run, if it is that one, and waits for its end; returns the run as it is then.
        Conflict if there is none."""
        query = {"wait": wait_seconds, "at": "safe_point" if at_safe_point else None}
        body = {"run_id": run_id} if run_id else {}
        where = path("sessions", session_id, "cancel")
        attempts = RetryClock()
        try:
            answer = self._object(ApiCall("POST", where, body, query, patience=wait_seconds), attempts)
        except ConflictError:
            if run_id and attempts.number > 1:  # the first one was heard, and its answer lost
                return self.get_run(run_id)
            raise
        return dict(answer.get("run") or {})

    def retry(self, session_id: str) -> str:
        """Does the last turn again, if it failed; returns the id of the new run. Conflict if there is nothing to do
        again."""
        call = ApiCall("POST", path("sessions", session_id, "retry"), {}, key=new_key())
        return str(self._object(call)["turn_id"])

    def compact(self, session_id: str, prompt: str = "") -> str:
        """Lets the model sum up the conversation; returns the id of the run that does it."""
        body = {"additional_prompt": prompt} if prompt else {}
        call = ApiCall("POST", path("sessions", session_id, "compact"), body, repeatable=False, bodiless=True)
        return str(self._transport.send(call).headers.get("X-Run-ID", ""))

    def undo(self, session_id: str) -> int:
        """Takes back the last message of the user and all that came after it; returns how many messages are gone."""
        call = ApiCall("POST", path("sessions", session_id, "undo"), repeatable=False)
        return int(self._object(call)["removed"])

    def release(self, run_id: str, reason: str = "") -> Json:
        """Takes the session away from a run, whatever its process does."""
        where = path("runs", run_id, "release")
        answer = self._object(ApiCall("POST", where, {"reason": reason}, repeatable=False))
        return dict(answer.get("run") or {})

    # answers

    def approve(
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
        self._resume(session_id, call_id, body if arguments is None else {**body, "arguments": arguments})

    def reject(self, session_id: str, call_id: str | None = None, *, reason: str = "") -> None:
        """The model reads the reason."""
        self._resume(session_id, call_id, {"confirmation": "reject", "reason": reason})

    def elicit(
        self,
        session_id: str,
        content: Mapping[str, Any] | None = None,
        *,
        action: Literal["accept", "decline", "cancel"] = "accept",
        call_id: str | None = None,
    ) -> None:
        """Fills in a form, or declines to."""
        self._answer(
            path("sessions", session_id, "elicitation"),
            call_id,
            {"action": action, "content": content},
            action,
        )

    # messages that wait

    def steer(self, session_id: str, message: Message) -> list[Json]:
        """A message for the run at work; Conflict if there is none. Returns what waits by it."""
        return self._enqueue(session_id, "steer", message)

    def follow_up(self, session_id: str, message: Message) -> list[Json]:
        """A message that gets a turn of its own afterwards."""
        return self._enqueue(session_id, "followup", message)

    def queue(self, session_id: str) -> list[Json]:
        return list(self._object(ApiCall("GET", path("sessions", session_id, "queue")))["messages"])

    def withdraw(self, session_id: str, message_id: str) -> None:
        """Takes a message out of the queue; Conflict if it is in the conversation already."""
        where = path("sessions", session_id, "queue", message_id)
        self._transport.send(ApiCall("DELETE", where, gone_is_done=True))

    def _enqueue(self, session_id: str, kind: str, message: Message) -> list[Json]:
        call = ApiCall("POST", path("sessions", session_id, kind), messages_of(message), key=new_key())
        return list(self._object(call)["messages"])

    def _resume(self, session_id: str, call_id: str | None, body: Json) -> None:
        self._answer(path("sessions", session_id, "resume"), call_id, body, body["confirmation"])

    def _answer(self, where: str, call_id: str | None, body: Json, decision: str) -> None:
        """An answer that names its call may be repeated; another one might answer a question nobody has seen."""
        attempts = RetryClock()
        call = ApiCall("POST", where, {**body, "call_id": call_id}, repeatable=bool(call_id))
        try:
            self._transport.send(call, attempts)
        except ConflictError as error:
            ours = error.code == "answered_already" and error.body.get("decision") == decision
            if attempts.number < 2 or not ours:
                raise

    def _list(self, where: str, query: Mapping[str, Any] | None = None) -> list[Json]:
        return list(json_of(self._transport.send(ApiCall("GET", where, query=query))))

    def _object(self, call: ApiCall, attempts: RetryClock | None = None) -> Json:
        return dict(json_of(self._transport.send(call, attempts)))


def messages_of(message: Message) -> list[Any]:
    return [{"role": "user", "content": message}] if isinstance(message, str) else list(message)
