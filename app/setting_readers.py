"""Readers of the settings' texts, one for each kind of value. A ValueError says what the text must be."""

from __future__ import annotations

import base64
import grp
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app.access_tokens import AccessToken, parse_token, read_tokens_file, refuse_repeated
from app.roots import NAME

MOST_FILE_BYTES: Final = 524_288_000  # as Anthropic's own service has it


def whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < 1:
        raise ValueError("it must be a whole number, at least 1")
    return int(text)


def seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]*)?", text) or float(text) >= 86_400:
        raise ValueError("it must be a number of seconds, from 0 to 86400")
    return float(text)


def part(text: str) -> float:
    if not re.fullmatch(r"[01](\.[0-9]{1,3})?", text) or not 0 < float(text) <= 1:
        raise ValueError("it must be more than 0 and at most 1, such as 0.5")
    return float(text)


def some_seconds(text: str) -> float:
    if not (some := seconds(text)):
        raise ValueError("it must be more than 0")
    return some


def one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return text

    return read


def on_or_off(text: str) -> bool:
    return one_of("on", "off")(text) == "on"


def count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("it must be a whole number; 0 switches it off")
    return int(text)


def bytes(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ValueError("it must be a whole number of bytes; 0 switches it off")
    return int(text)


def file_bytes(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MOST_FILE_BYTES:
        raise ValueError(f"it must be a whole number of bytes, from 1 to {MOST_FILE_BYTES}")
    return int(text)


def days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise ValueError("it must be a whole number of days")
    return int(text)


def dollars(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,6})?", text):
        raise ValueError("it must be a number of dollars, such as 2.50; 0 switches it off")
    return float(text)


def tokens(text: str) -> tuple[AccessToken, ...]:
    tokens = tuple(parse_token(part.strip()) for part in text.split(",") if part.strip())
    refuse_repeated(tokens)
    return tokens


def vault_keys(text: str) -> tuple[str, ...]:
    """One key or two, the new one first."""
    keys = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(keys) > 2 or not all(re.fullmatch(r"[A-Za-z0-9_-]{43}=", key) for key in keys):
        raise ValueError(
            "it must be one key, or two with a comma between them, each of 32 random bytes in url-safe base64"
        )
    return keys


def tokens_file(text: str) -> Path:
    """Read here so that a wrong one stops the start; who serves reads it again whenever it changes."""
    path = Path(text).absolute()
    try:
        read_tokens_file(path)
    except OSError as error:
        raise ValueError(f"it can't be read: {error.strerror}") from None
    return path


def printable(text: str) -> str:
    """A header can bear nothing else."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("it must be printable ASCII, without spaces")
    return text


def database_url(text: str) -> str:
    if not text.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://", "postgres://")):
        raise ValueError("it must begin with sqlite:/// or postgresql://")
    if text.startswith("sqlite:") and text[len("sqlite:///") :].partition("?")[0] in ("", ":memory:"):
        raise ValueError("it must name a file; a database in memory is another one for every connection")
    return text


def web_address(text: str) -> str:
    if not re.fullmatch(r"https?://[!-~]+", text):
        raise ValueError("it must begin with http:// or https://")
    return text


def webhook_secret(text: str) -> str:
    """The form of Standard Webhooks: 24 to 64 bytes in base64 behind `whsec_`."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError("it must be whsec_ and 24 to 64 bytes in base64")
    return text


def existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise ValueError("there is no such file or directory")
    return path


def roots(text: str) -> tuple[Path, ...]:
    roots = tuple(Path(part) for part in text.split(":") if part)
    for root in roots:
        whole = root.parts.index(NAME) if NAME in root.parts else len(root.parts)
        if not (there := Path(*root.parts[:whole])).is_dir():
            raise ValueError(f"{there} is not a directory")
        if any(NAME in part and part != NAME for part in root.parts):
            raise ValueError(f"{NAME} must stand alone between slashes")
    return roots


def readable(text: str) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in roots(text))


def group(text: str) -> str:
    try:
        grp.getgrnam(text)
    except KeyError:
        raise ValueError("there is no such group") from None
    return text


def hosts(text: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if wrong := [name for name in names if not re.fullmatch(r"\*|[a-z0-9._-]+|[0-9a-f:]+", name)]:
        raise ValueError(f"{wrong[0]!r} is not a host name; write it without scheme and port")
    return names


def _socket_path_bytes() -> int:
    return 107 if sys.platform.startswith("linux") else 103


def bind(text: str) -> str:
    address = re.fullmatch(r"unix:.+|(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})", text)
    if address is None or int(address[1] or 0) > 65_535:
        raise ValueError("it must be HOST:PORT or unix:PATH")
    if text.startswith("unix:") and len(os.fsencode(text.removeprefix("unix:"))) > _socket_path_bytes():
        raise ValueError(
            f"the system takes no path of a socket that is longer than {_socket_path_bytes()} bytes"
        )
    return text
