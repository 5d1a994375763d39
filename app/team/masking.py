"""Takes literal secrets out of what is shown of an agent file. References to variables give nothing away and stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.team.expansion import is_reference

MASKED: Final = "***"

_NAME: Final = (
    r"(?:[\w.-]*?(?:password|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|authorization|credentials?|signature|cookie)"
    r"|(?:[\w.-]*[_.-])?(?:key|auth|pass|sig|jwt))"
)
_SECRET_KEY: Final = re.compile(rf"(?!token_key$){_NAME}", re.IGNORECASE)
"""`token_key` of a model names a variable."""

_VALUE: Final = r"""(?:"[^"]*"|'[^']*'|[^\s"'&;|]+)"""
_LOGIN: Final = re.compile(r"(?<![a-z0-9+.-])([a-z][a-z0-9+.-]*://)([^\s/?#@'\"]+)@", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rf"(?<![\w.-])({_NAME}=)({_VALUE})", re.IGNORECASE)
_FLAG: Final = re.compile(rf"(?<!\S)(--?{_NAME}\s+)({_VALUE})", re.IGNORECASE)
_SCHEME: Final = re.compile(r"\b((?:bearer|basic)\s+)([^\s\"']+)", re.IGNORECASE)
_OPTION: Final = re.compile(r"(--?[A-Za-z][\w-]*)(?:=(.*))?", re.DOTALL)


def masked(values: Mapping[str, str]) -> dict[str, str]:
    """Headers, variables: each literal value."""
    return {key: _or_reference(value) for key, value in values.items()}


def masked_arguments(arguments: Iterable[str]) -> list[str]:
    """The arguments of a program: names of options and references are shown, each literal value is not."""
    return [_argument(argument) for argument in arguments]


def scrubbed(value: Any, key: str = "") -> Any:
    """A payload without what looks like a secret in its texts: logins in addresses, `token=…`, `--api-key …`,
    `Bearer …`, and texts under a key such as `password`."""
    match value:
        case dict():
            return {name: scrubbed(item, str(name)) for name, item in value.items()}
        case list():
            return [scrubbed(item, key) for item in value]
        case str() if value and _SECRET_KEY.fullmatch(key):
            return _or_reference(value)
        case str():
            return _scrubbed_text(value)
        case _:
            return value


def _scrubbed_text(text: str) -> str:
    text = _LOGIN.sub(lambda match: f"{match[1]}{_login(match[2])}@", text)
    for pattern in (_ASSIGNED, _FLAG, _SCHEME):
        text = pattern.sub(lambda match: f"{match[1]}{_or_reference(match[2])}", text)
    return text


def _login(login: str) -> str:
    return ":".join(_or_reference(part) for part in login.split(":", 1)) if "$" in login else MASKED


def _argument(argument: str) -> str:
    option = _OPTION.fullmatch(argument)
    if option is None:
        return _or_reference(argument)
    return option[1] if option[2] is None else f"{option[1]}={_or_reference(option[2])}"


def _or_reference(value: str) -> str:
    return value if is_reference(value.strip("\"'")) else MASKED
