"""The kinds of field an agent file is made of, and the base of everything that is read from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.team.durations import parse_duration
from app.team.written import WrittenFloat, WrittenInt, plain


class AgentFilePart(BaseModel):
    """Part of an agent file. Unknown fields are errors; a field without a value counts as absent.

    `not_here` are fields of the schema that this server can't do, each with the reason. They are errors too, unless
    they switch nothing on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    not_here: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, data: Any) -> Any:
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            return data
        known = cls.known_fields()
        unknown = [key for key in data if key not in known and key not in cls.not_here]
        if unknown and cls.model_config.get("extra") == "forbid":
            raise unknown_fields(unknown, known)
        refused = [key for key in cls.not_here if data.get(key) not in _NOTHING]
        if refused:
            raise refused_fields({key: cls.not_here[key] for key in refused})
        return {key: value for key, value in data.items() if value is not None and key not in cls.not_here}

    @classmethod
    def known_fields(cls) -> list[str]:
        return [field.alias or name for name, field in cls.model_fields.items()]

    def with_(self, **changes: Any) -> Self:
        """A copy with other values, which are trusted to be valid."""
        return self.model_copy(update=changes)


def unknown_fields(unknown: list[str], known: list[str]) -> PydanticCustomError:
    text = f"unknown field; known fields: {', '.join(sorted(known))}"
    return PydanticCustomError(
        "unknown_field", "{text}", {"text": text, "paths": [(key,) for key in unknown]}
    )


def refused_fields(reasons: Mapping[str, str]) -> PydanticCustomError:
    found = [((key,), f"is not supported here: {reason}") for key, reason in reasons.items()]
    return PydanticCustomError("refused_field", "not supported here", {"found": found})


def misused(text: str, *path: str | int) -> PydanticCustomError:
    """An error about a field of the definition whose validator raises it; without a path, about all of it."""
    return PydanticCustomError("misused_field", "{text}", {"text": text, "paths": [path]})


_NOTHING: Final[tuple[Any, ...]] = (None, False, "", [], {})


def _as_written(value: Any) -> Any:
    """A plain scalar where text is wanted means its spelling: `version: 1.10`, `args: [8080]`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    return value


LONGEST: Final = 10 * 366 * 86_400.0
"""Seconds: no clock and no wait of the system takes any number."""


def _seconds(value: Any) -> Any:
    """A Go duration, or a whole number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("duration", "must be a duration like 30s, 2m30s or 1h")
    try:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("duration", "{text}", {"text": str(error)}) from error
    if not abs(seconds) <= LONGEST:  # what is no number is not, either
        raise PydanticCustomError("duration", "must be at most ten years")
    return seconds


def _tokens_or_level(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("budget", "must be a number of tokens or a word like none")
    return value if isinstance(value, str) else int(value)


Text = Annotated[
    str, BeforeValidator(_as_written, json_schema_input_type=str | int | float | bool), Field(strict=True)
]
Texts = tuple[Text, ...]
TextMap = dict[Text, Text]
Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0)]
Limit = Annotated[int, Field(strict=True, ge=-1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1)]
Price = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Seconds = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str | int)]
Budget = Annotated[int | str, BeforeValidator(_tokens_or_level, json_schema_input_type=int | str)]
Anything = Annotated[Any, AfterValidator(plain)]
Json = Annotated[dict[str, Any], AfterValidator(plain)]
