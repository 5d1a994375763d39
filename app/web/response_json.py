"""How answers are written, and the shapes that more than one resource answers with.

The shape of an answer is a TypedDict. Code is checked against it, and the OpenAPI document is made of it. A key that is
`NotRequired` is left out when it is empty.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,
    TypeAlias,
    TypeVar,
    get_origin,
)

import orjson
from flask import Response, request
from pydantic import WithJsonSchema
from typing_extensions import TypedDict, get_type_hints

Json = Mapping[str, Any]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Patterns = Mapping[str, Sequence[str]]
Shape = TypeVar("Shape")
Value = TypeVar("Value")

_NEVER_EMPTY: Final = frozenset({int, float, dict})


if TYPE_CHECKING:
    IfAny: TypeAlias = Value | None
else:
    IfAny = Annotated[Value, "code may set the key to None, and then it is left out"]
"""The type of a `NotRequired` key that may have no value. The document does not know null there."""


class MessageJson(TypedDict):
    """The change that was made, in words."""

    message: str


class UpdatedJson(TypedDict):
    status: Literal["updated"]


def json_response(body: Any, status: int = 200) -> Response:
    """Compact JSON and a newline, as the contract's server writes it; `?pretty` indents."""
    return Response(
        json_text(body, indented="pretty" in request.args), status=status, content_type="application/json"
    )


def no_content() -> Response:
    """204, with nothing that would say what the body is."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def json_text(body: Any, *, indented: bool) -> bytes:
    option = orjson.OPT_INDENT_2 if indented else 0
    return orjson.dumps(body, option=option | orjson.OPT_APPEND_NEWLINE)


def time_text(seconds: float, *, whole: bool = True) -> str:
    """RFC 3339 in UTC; whole seconds as stored sessions have them."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="seconds" if whole else "microseconds").replace("+00:00", "Z")


def without_empty(shape: type[Shape], body: Shape) -> Shape:
    """Without the keys that the shape does not require and that hold None, False, an empty text or an empty list.
    Zero and an empty object are values."""
    optional: frozenset[str] = _optional_keys(shape)  # type: ignore[arg-type]
    return {  # type: ignore[return-value]
        key: value
        for key, value in body.items()  # type: ignore[attr-defined]
        if value or key not in optional or type(value) in _NEVER_EMPTY
    }


@cache
def _optional_keys(shape: Hashable) -> frozenset[str]:
    hints: dict[str, Any] = get_type_hints(shape, include_extras=True)
    return frozenset(key for key, hint in hints.items() if get_origin(hint) is NotRequired)
