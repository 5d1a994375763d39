"""Request bodies: what may be in them, and how they become our values. Refusals say what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
from flask import request
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from app.agent.picture_admission import PictureLimit, decode_base64
from app.agent.tools.image_header import recognise
from app.conversation.blocks import MAX_DEPTH, Block, image_block, is_deep, text_block
from app.conversation.run import Answer
from app.conversation.session import MAX_PATTERNS
from app.conversation.transcript import Message
from app.errors import InvalidRequest, RequestTooLarge
from app.team.permissions import is_pattern

B = TypeVar("B", bound=BaseModel)

IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
MAX_IMAGE_CHARACTERS: Final = 10_485_760  # of base64
MAX_IMAGE_SIDE: Final = 8000  # pixels; the API refuses more, for ever
MAX_TEXT: Final = 5_000_000
MAX_MESSAGES: Final = 1000
MAX_BATCH: Final = 1000  # sessions
MAX_PARTS: Final = 1000  # of one message
MAX_PROPERTIES: Final = 1000  # of an object whose keys the client chooses
MAX_JSON: Final = 1_000_000  # bytes of such an object
MAX_PATTERN: Final = 1000  # characters
DEFAULT_MODEL: Final = "default"
"""As a run's `model`: the session's agents ask their own models again."""


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character is not allowed here")
    return text


_NO_NUL: Final[dict[str, Any]] = {"pattern": r"^[^\u0000]*$"}
Name = Annotated[str, AfterValidator(_no_nul), Field(max_length=4096, json_schema_extra=_NO_NUL)]
Reason = Annotated[str, AfterValidator(_no_nul), Field(max_length=10_000, json_schema_extra=_NO_NUL)]


def _no_longer_than_paths(text: str) -> str:
    """Not said as `maxLength`: whatever has exactly that length is no directory either."""
    if len(text) > 4096:
        raise ValueError("a path has at most 4096 characters")
    return _no_nul(text)


Directory = Annotated[
    str, AfterValidator(_no_longer_than_paths), Field(json_schema_extra={"format": "directory"})
]


def whole(value: object) -> object:
    """JSON knows one kind of number: 5.0 is as whole as 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _of_bounded_size(value: dict[str, Any]) -> dict[str, Any]:
    if is_deep(value):
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    if len(orjson.dumps(value)) > MAX_JSON:
        raise ValueError(f"it is longer than {MAX_JSON} bytes")
    return value


Json = Annotated[dict[str, Any], AfterValidator(_of_bounded_size), Field(max_length=MAX_PROPERTIES)]
Iterations = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(whole)]


class RequestModel(BaseModel):
    """Unknown keys are ignored, as the contract's server does: its clients post whole objects back."""

    model_config = ConfigDict(strict=True, frozen=True)


def _can_be_parsed(pattern: str) -> str:
    if not is_pattern(pattern):
        raise ValueError(f"{pattern!r} is not a pattern")
    return pattern


_FORM: Final = {**_NO_NUL, "format": "permission-pattern"}
Pattern = Annotated[
    str,
    Field(max_length=MAX_PATTERN, json_schema_extra=_FORM),  # first: what is longer takes long to parse
    AfterValidator(_no_nul),
    AfterValidator(_can_be_parsed),
]
Patterns = Annotated[list[Pattern], Field(max_length=MAX_PATTERNS)]


class PermissionsBody(RequestModel):
    allow: Patterns | None = None
    ask: Patterns | None = None
    deny: Patterns | None = None

    def value(self) -> dict[str, list[str]]:
        return {key: list(patterns) for key, patterns in self if patterns}


class CreateSession(RequestModel):
    max_iterations: Iterations | None = None
    tools_approved: bool | None = None
    working_dir: Directory | None = None
    permissions: PermissionsBody | None = None


class Fork(RequestModel):
    """`user_message_index`: the copy ends before this message of the user, counted from 0."""

    user_message_index: Annotated[int, Field(le=1_000_000_000), BeforeValidator(whole)] | None = None


class SetTitle(RequestModel):
    title: Name | None = None


class SetStarred(RequestModel):
    starred: bool


Tokens = Annotated[int, Field(ge=0, le=1_000_000_000), BeforeValidator(whole)]


class SetTokens(RequestModel):
    input_tokens: Tokens
    output_tokens: Tokens


class SetPermissions(RequestModel):
    permissions: PermissionsBody | None = None


class SetBudget(RequestModel):
    """In dollars; null for what the settings say, 0 for no limit."""

    budget: Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False)] | None


class Resume(RequestModel):
    """`call_id` is ours: it ties the decision to the call it was made for."""

    confirmation: Literal["approve", "approve-session", "approve-tool", "reject"]
    reason: Reason | None = None
    tool_name: Pattern | None = None
    call_id: Name | None = None

    def answer(self, by: str) -> Answer:
        return Answer(self.confirmation, reason=self.reason or "", tool_name=self.tool_name or "", by=by)


class Elicit(RequestModel):
    action: Literal["accept", "decline", "cancel"]
    content: Json | None = None
    call_id: Name | None = None

    def answer(self, by: str) -> Answer:
        return Answer(self.action, content=self.content, by=by)


class Release(RequestModel):
    reason: Reason | None = None


class CancelRun(RequestModel):
    run_id: Name | None = None


class ImageUrl(RequestModel):
    """`url` is an http(s) address, or a data URL of a picture that can be read."""

    url: Annotated[
        str, Field(max_length=MAX_IMAGE_CHARACTERS + 1000, json_schema_extra={"format": "image-url"})
    ]
    detail: Name | None = None


_SAYS_SOMETHING: Final = r"\S"
_WHOLE_PART: Final[dict[str, Any]] = {
    "anyOf": [
        {
            "required": ["type", "text"],
            "properties": {"type": {"const": "text"}, "text": {"type": "string", "pattern": _SAYS_SOMETHING}},
        },
        {
            "required": ["type", "image_url"],
            "properties": {
                "type": {"const": "image_url"},
                "image_url": {"type": "object", "required": ["url"]},
            },
        },
    ]
}
_WHOLE_MESSAGE: Final[dict[str, Any]] = {
    "anyOf": [
        {
            "required": ["content"],
            "properties": {
                "content": {"type": "string", "pattern": _SAYS_SOMETHING},
                "multi_content": {"anyOf": [{"type": "null"}, {"type": "array", "maxItems": 0}]},
            },
        },
        {
            "required": ["multi_content"],
            "properties": {"multi_content": {"type": "array", "minItems": 1, "contains": _WHOLE_PART}},
        },
    ]
}


class Part(RequestModel):
    """A part of type `text` or `image_url`; one of nothing but white space is left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"if": {"properties": {"type": {"const": "image_url"}}}, "then": _WHOLE_PART["anyOf"][1]}
            ]
        }
    )

    type: Annotated[str, Field(max_length=100, json_schema_extra={"enum": ["text", "image_url"]})]
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    image_url: ImageUrl | None = None
    file: Json | None = None


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("it says nothing")
    return text


class PostedMessage(RequestModel):
    """`role` is ignored: whatever is posted was said by the user. `multi_content` counts more than `content`."""

    model_config = ConfigDict(json_schema_extra=_WHOLE_MESSAGE)

    content: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    multi_content: Annotated[list[Part], Field(max_length=MAX_PARTS)] | None = Field(
        default=None, validation_alias=AliasChoices("multi_content", "multiContent")
    )


class WrittenChat(PostedMessage):
    role: Literal["user", "assistant", "tool"]


class WrittenMessage(RequestModel):
    """As a session shows its messages."""

    message: WrittenChat
    agent: Name | None = Field(default=None, validation_alias="agentName")


class PutMessage(RequestModel):
    message: WrittenChat | WrittenMessage

    def value(self) -> Message:
        """InvalidRequest if it says nothing."""
        given = self.message
        chat = given.message if isinstance(given, WrittenMessage) else given
        agent = (given.agent or "") if isinstance(given, WrittenMessage) and chat.role != "user" else ""
        return replace(_user_message(chat, 0), role=chat.role, agent=agent)


class PutSummary(RequestModel):
    """`tokens`: how much of the model's window the summary takes, if that is known."""

    summary: Annotated[
        str,
        AfterValidator(_no_nul),
        AfterValidator(_says_something),
        Field(max_length=MAX_TEXT, json_schema_extra={"allOf": [_NO_NUL, {"pattern": _SAYS_SOMETHING}]}),
    ]
    tokens: Tokens | None = None


Ids = Annotated[list[Name], Field(min_length=1, max_length=MAX_BATCH)]


class Batch(RequestModel):
    """Ids of what is not there are no mistake: the answer says which."""

    session_ids: Ids


class RunOptions(RequestModel):
    """The fields of a run's body besides its messages."""

    model: (
        Annotated[
            str, Field(max_length=211, pattern=r"^(default|anthropic/[A-Za-z0-9][A-Za-z0-9._:@-]{0,199})?$")
        ]
        | None
    ) = None

    @property
    def chosen_model(self) -> str | None:
        """Empty for the agents' own; None where the body says nothing."""
        return "" if self.model == DEFAULT_MODEL else self.model or None


_messages = TypeAdapter(Annotated[list[PostedMessage], Field(max_length=MAX_MESSAGES)])


def messages_schema(
    *, exactly_one: bool, ref_template: str, options: type[RequestModel] | None = None
) -> dict[str, Any]:
    """The JSON Schema of the bodies that `read_messages` accepts."""
    listed = _messages.json_schema(ref_template=ref_template)
    definitions = listed.pop("$defs")
    listed |= {"minItems": 1, "maxItems": 1 if exactly_one else MAX_MESSAGES}
    more = options.model_json_schema()["properties"] if options else {}
    wrapped = {"type": "object", "properties": {"messages": listed, **more}, "required": ["messages"]}
    return {"anyOf": [listed, wrapped], "$defs": definitions}


def read(kind: type[B], *, shape: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> B:
    """The request's body as that kind; an empty body stands for an empty object. `shape` makes one of another kind."""
    raw = _raw()
    if not raw:
        return _validated(kind, {})
    if request.mimetype != "application/json":
        raise InvalidRequest(
            "invalid request body: code=415, message=Unsupported Media Type; send Content-Type: application/json"
        )
    value = _parsed(raw)
    if not isinstance(value, dict):
        raise InvalidRequest("invalid request body: it must be a JSON object", status=422)
    return _validated(kind, shape(value))


def read_messages(*, exactly_one: bool = False) -> list[Message]:
    """An array of messages, or an object with `messages`, as user messages.

    Whatever the content type says it is JSON, as the contract has it. InvalidRequest for an empty list.
    """
    return _messages_of(_posted(), exactly_one=exactly_one)


def read_run() -> tuple[list[Message], RunOptions]:
    """The run's body: messages, and beside them, if it is an object, what else it says."""
    value = _posted()
    options = _validated(RunOptions, value) if isinstance(value, dict) else RunOptions()
    return _messages_of(value, exactly_one=False), options


def _posted() -> Any:
    raw = _raw()
    if not raw:
        raise InvalidRequest("invalid request body: EOF; send a JSON array of messages")
    return _parsed(raw)


def _messages_of(value: Any, *, exactly_one: bool) -> list[Message]:
    if isinstance(value, dict) and "messages" in value:
        value = value["messages"]
    try:
        posted = _messages.validate_python(value)
    except ValidationError as error:
        raise _refusal(error) from None
    if not posted:
        raise InvalidRequest("at least one message is required", status=422)
    if exactly_one and len(posted) > 1:
        raise InvalidRequest("send exactly one message", status=422)
    return [_user_message(message, index) for index, message in enumerate(posted)]


def skip_body() -> None:
    """For routes that need no body: whatever came is read off the connection, within the same bounds."""
    _raw()


def _raw() -> bytes:
    """A body without a stated length could be cut short unseen, so it is not read."""
    if request.content_length is None and request.headers.get("Transfer-Encoding"):
        raise InvalidRequest("send a Content-Length; chunked bodies are not read", status=411)
    limit = request.max_content_length
    if limit is not None and (request.content_length or 0) > limit:
        raise RequestTooLarge(f"The body is larger than {limit} bytes.")
    return request.get_data(cache=False)


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"invalid request body: code=400, message=Syntax error: offset={error.pos}, error={error.msg}"
        ) from None


def _validated(kind: type[B], value: dict[str, Any]) -> B:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    message = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"invalid request body: {where}: {message}", status=422)


def _user_message(posted: PostedMessage, index: int) -> Message:
    blocks = content_blocks(posted.content, posted.multi_content, index)
    if not blocks:
        raise InvalidRequest(
            f"message {index} is empty; give it `content` with more than white space", status=422
        )
    return Message("user", tuple(blocks))


def content_blocks(content: str | None, parts: list[Part] | None, index: int) -> list[Block]:
    """The blocks of a message; none, if there is only white space. A remark stands for a picture that can't be
    decoded or is one too many."""
    if parts:
        limit = PictureLimit()
        return [block for part in parts if (block := _block(part, index, limit))]
    return [text_block(content)] if content and content.strip() else []


def _block(part: Part, index: int, limit: PictureLimit) -> Block | None:
    match part.type:
        case "text":
            return text_block(part.text) if part.text and part.text.strip() else None
        case "image_url" if part.image_url is not None:
            return _image(part.image_url.url, index, limit)
    raise InvalidRequest(
        f"message {index}: parts of type {part.type[:40]!r} are not accepted; send text or image_url",
        status=422,
    )


def _image(url: str, index: int, limit: PictureLimit) -> Block:
    """Anything but a picture is refused here: the API would refuse it with every later request."""
    if re.match(r"https?://\S+$", url):
        return {"type": "image", "source": {"type": "url", "url": url}}
    match = re.match(r"data:([\w/+.-]+)(?:;[\w.=-]+)*;base64,", url[:200])
    if match is None or match[1] not in IMAGE_TYPES:
        raise InvalidRequest(
            f"message {index}: an image must be an http(s) URL or a data URL of {', '.join(IMAGE_TYPES)}",
            status=422,
        )
    if len(url) - match.end() > MAX_IMAGE_CHARACTERS:
        raise InvalidRequest(f"message {index}: the image is too large; 10 MB is the limit", status=422)
    try:
        picture = recognise(decode_base64(url))
    except ValueError:
        picture = None
    if picture is None or not picture.width or not picture.height:
        raise InvalidRequest(f"message {index}: the image can't be read", status=422)
    if max(picture.width, picture.height) > MAX_IMAGE_SIDE:
        raise InvalidRequest(
            f"message {index}: the image is larger than {MAX_IMAGE_SIDE} pixels a side", status=422
        )
    taken = limit.take((picture.media_type, url))
    return text_block(taken) if isinstance(taken, str) else image_block(*taken)
