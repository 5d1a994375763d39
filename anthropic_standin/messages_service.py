"""Answers each request, and remembers it. Knows HTTP's words, but no socket."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from anthropic_standin.answer_frames import Envelope, message, stream
from anthropic_standin.directives import BreakDirective
from anthropic_standin.http import Request, Response, json_response
from anthropic_standin.judge import Judgement, judge, judge_count
from anthropic_standin.models import describe, find_model
from anthropic_standin.playback import Streamed
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.request_log import RequestLog
from anthropic_standin.scripted_answer import HungUp, write_answer

_MAX_BODY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and how long to wait before it; without content, close the connection or stay silent."""

    content: Response | Streamed | None
    delay: float = 0.0
    closes: bool = False


class MessagesService:
    """Answers requests. `release` lets held streams go on and says how many there were; `windows` are those of
    models whose context window is to be another than it is, in tokens."""

    def __init__(
        self, memory: RequestLog, release: Callable[[], int], *, windows: Mapping[str, int] | None = None
    ) -> None:
        self._windows = windows
        self._memory = memory
        self._release = release

    def answer(self, request: Request) -> Reply:
        request_id = _new_id("req")
        try:
            return self._route(request, request_id)
        except HungUp:
            return Reply(None, closes=True)
        except Refusal as refusal:
            return Reply(_refused(refusal, request_id))
        except Exception:
            # our own mistake: seen on the terminal, and by the client as what the API says of its own
            traceback.print_exc()
            return Reply(_refused(Refusal("Internal server error", status=500), request_id))

    def _route(self, request: Request, request_id: str) -> Reply:
        match request.method, request.path:
            case "GET", "/stats":
                return Reply(json_response(200, asdict(self._memory.stats())))
            case "POST", "/reset":
                self._memory.reset()
                return Reply(json_response(200, {}))
            case "POST", "/release":
                return Reply(json_response(200, {"released": self._release()}))
        _check_key(request)
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v1", "messages"]:
                return self._create(request, request_id)
            case "POST", ["v1", "messages", "count_tokens"]:
                tokens = judge_count(_parse(request), _betas(request))
                return Reply(json_response(200, {"input_tokens": tokens}, {"request-id": request_id}))
            case "GET", ["v1", "models", name]:
                return Reply(json_response(200, describe(find_model(name)), {"request-id": request_id}))
        raise Refusal("Not found", status=404)

    def _create(self, request: Request, request_id: str) -> Reply:
        try:
            body = _parse(request)
            self._memory.note_request(body)
            version = request.headers["anthropic-version"]
            verdict = judge(body, _betas(request), windows=self._windows, version=version)
        except Refusal as refusal:
            if refusal.blames_caller and refusal.status != 404:
                self._memory.note_violation(refusal)
            raise
        return self._write(body, verdict, request_id)

    def _write(self, body: Json, verdict: Judgement, request_id: str) -> Reply:
        envelope = Envelope(
            _new_id("msg"),
            verdict.model.id,
            self._memory.note_prompt(body, verdict.input_tokens),
            transformations=verdict.transformations,
        )
        answer = write_answer(body, verdict, self._memory.attempts, _new_id)
        headers = {"request-id": request_id}
        if body.get("stream"):
            frames = stream(answer, envelope)
            streamed = Streamed(frames, answer.tempo, answer.broken, headers, request_id)
            return Reply(streamed, answer.tempo.delay)
        if answer.broken:
            return _broken(answer.broken)
        return Reply(json_response(200, message(answer, envelope), headers), answer.tempo.delay)


def _broken(broken: BreakDirective) -> Reply:
    """The reply in place of an answer that is not streamed, when a mishap in mid-stream was asked for."""
    match broken.kind:
        case "error":
            raise Refusal("Overloaded", status=529, blames_caller=False)
        case "drop":
            return Reply(None, closes=True)
        case _:
            return Reply(None)


def _refused(refusal: Refusal, request_id: str) -> Response:
    retries = refusal.status in (408, 409, 429) or refusal.status >= 500
    headers = {"request-id": request_id, "x-should-retry": "true" if retries else "false"}
    if refusal.retry_after is not None:
        headers["retry-after"] = f"{refusal.retry_after:g}"
    return json_response(refusal.status, refusal.body(request_id), headers)


def _parse(request: Request) -> Any:
    if len(request.body) > _MAX_BODY:
        raise Refusal("Request exceeds the maximum size", status=413)
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise Refusal(f"The request body is not valid JSON: {error}") from None


def _check_key(request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not request.headers.get("x-api-key") and not (scheme.lower() == "bearer" and token.strip()):
        raise Refusal("x-api-key header is required", status=401)
    if not request.headers.get("anthropic-version"):
        raise Refusal("anthropic-version: header is required")


def _betas(request: Request) -> frozenset[str]:
    values = request.headers.get("anthropic-beta", "").split(",")
    return frozenset(value.strip() for value in values if value.strip())


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"
