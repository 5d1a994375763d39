"""Reads request bodies of the Managed Agents API: nothing is ignored, and a refusal names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

import orjson
from flask import request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from app.errors import InvalidRequest
from app.web.request_models import no_nul

MAX_PAIRS: Final = 16

SOUND: Final = AfterValidator(no_nul)
Text = Annotated[str, SOUND]
Name = Annotated[str, Field(min_length=1, max_length=256), SOUND]
_Key = Annotated[str, Field(min_length=1, max_length=64), SOUND]
_Value = Annotated[str, Field(max_length=512), SOUND]
Metadata = Annotated[dict[_Key, _Value], Field(max_length=MAX_PAIRS)]
MetadataPatch = dict[_Key, _Value | None]


class Body(BaseModel):
    """A part of a body. Unknown keys are refused, and no value is read as another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def given(self, name: str) -> bool:
        """Was the field sent, be it as null?"""
        return name in self.model_fields_set


B = TypeVar("B", bound=Body)


def read(kind: type[B]) -> B:
    """InvalidRequest, in words that name the field. An empty body stands for an empty object."""
    raw = request.get_data(cache=False)
    try:
        value = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"Failed to parse request: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest("Failed to parse request: the body must be a JSON object")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=True)[0]
        raise InvalidRequest(f"Failed to parse request: {_words(first, value)}") from None


def patched(
    metadata: Mapping[str, str], patch: Mapping[str, str | None], *, empty_deletes: bool = False
) -> dict[str, str]:
    """The metadata after a patch: null takes a key away. InvalidRequest if too many pairs are left."""
    merged = {**metadata, **patch}
    left = {key: text for key, text in merged.items() if text is not None and (text or not empty_deletes)}
    if len(left) > MAX_PAIRS:
        raise InvalidRequest(f"metadata: at most {MAX_PAIRS} pairs are allowed")
    return left


def _words(error: ErrorDetails, body: Any) -> str:
    where, given = _place(error["loc"], body), error.get("input")
    context = error.get("ctx", {})
    kind = error["type"]
    if kind in ("union_tag_invalid", "literal_error"):
        if kind == "union_tag_invalid":
            tag = str(context["discriminator"]).strip("'")
            where, given = f"{where}.{tag}" if where else tag, context["tag"]
        expected = (
            str(context.get("expected_tags") or context["expected"]).replace("'", "").replace(" or ", ", ")
        )
        allowed = ", ".join(sorted(word.strip() for word in expected.split(",")))
        return f'{where}: "{given}" is not a valid value; expected one of {allowed}'
    if kind == "extra_forbidden":
        return f"{where}: unknown field"
    if kind == "missing":
        return f"{where}: field is required"
    if kind == "union_tag_not_found":
        tag = str(context["discriminator"]).strip("'")
        return f"{where}.{tag}: field is required"
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}" if where else message


def _place(path: tuple[int | str, ...], body: Any) -> str:
    """The path to a field as this API writes it, without the names of the kinds that a union was tried for."""
    words, value = "", body
    for step in path:
        if isinstance(step, int) and isinstance(value, list):
            words += f"[{step}]"
            value = value[step] if step < len(value) else None
        elif isinstance(value, dict) and (step in value or step == path[-1]):
            words += f".{step}" if words else str(step)
            value = value.get(step)
    return words
