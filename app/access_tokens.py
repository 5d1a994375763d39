"""Access tokens: the names and roles of callers, and how tokens are written down.

A token is a long random string, not a password that somebody thought of, so one round of SHA-256 is the right
way to keep it: nobody can try out 128 random bits, however fast the digest is, and every request pays for it.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import fstat, geteuid
from pathlib import Path
from typing import Final, Literal, get_args

Role = Literal["user", "operator", "readonly", "worker"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
MIN_TOKEN_LENGTH: Final = 16
DIGEST_PREFIX: Final = "sha256:"
OTHERS: Final = stat.S_IWGRP | stat.S_IRWXO
"""Rights on a file of tokens that nobody but its owner may have; its group may read it."""


ENVIRONMENT: Final = r"env_01[1-9A-HJ-NP-Za-km-z]{22}"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One token of a name. A name may have several, so that one can be replaced by another without a gap."""

    name: str
    role: Role
    digest: bytes = field(repr=False)
    environment: str = ""
    """The self-hosted environment whose work the token opens, and nothing else; only a worker's token has one."""


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def parse_token(text: str) -> AccessToken:
    """`NAME[/ROLE]:TOKEN` or `NAME[/ROLE]:sha256:HEX`; a worker's role is `worker=ENVIRONMENT`. ValueError, which never
    repeats the text."""
    who, _, secret = text.partition(":")
    name, slash, given = who.partition("/")
    role, _, environment = given.partition("=")
    if not re.fullmatch(r"(?!\.\.?$)[A-Za-z0-9_.-]{1,64}", name) or (slash and role not in ROLES):
        raise ValueError(f"write NAME:TOKEN or NAME/ROLE:TOKEN; a role is one of {', '.join(ROLES)}")
    if (role == "worker") != bool(re.fullmatch(ENVIRONMENT, environment)) or (
        environment and role != "worker"
    ):
        raise ValueError("a worker's token names its environment, and no other does: NAME/worker=env_…:TOKEN")
    known_role: Role = next((known for known in ROLES if known == role), "user")
    return AccessToken(name, known_role, _digest_of(secret), environment)


def _digest_of(secret: str) -> bytes:
    if secret.startswith(DIGEST_PREFIX):
        written = secret.removeprefix(DIGEST_PREFIX)
        if not re.fullmatch(r"[0-9a-fA-F]{64}", written):
            raise ValueError("after sha256: write the 64 hexadecimal digits of the token's SHA-256")
        return bytes.fromhex(written)
    if len(secret) < MIN_TOKEN_LENGTH:
        raise ValueError(f"a token has at least {MIN_TOKEN_LENGTH} characters")
    if not re.fullmatch(r"[!-~]+", secret):
        raise ValueError("it must be printable ASCII, without spaces")  # a header can bear nothing else
    return digest(secret)


def refuse_repeated(tokens: Iterable[AccessToken]) -> None:
    """ValueError if a token is there twice: whose it is must not depend on the order."""
    digests = [token.digest for token in tokens]
    if len(set(digests)) < len(digests):
        raise ValueError("a token is there twice; each belongs to one name")


def read_tokens_file(path: Path) -> tuple[AccessToken, ...]:
    """One token a line, as `parse_token` takes them; empty lines and those that begin with # say nothing.

    ValueError if a line is wrong, or if others than the file's owner could have written or read it; OSError.
    """
    with path.open(encoding="utf-8") as file:
        about = fstat(file.fileno())
        if about.st_mode & OTHERS or about.st_uid not in (0, geteuid()):
            raise ValueError(
                "it must belong to the server's user or root, and only that one may write it and no stranger "
                "read it: chmod 600"
            )
        lines = [line.strip() for line in file]
    tokens = []
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            try:
                tokens.append(parse_token(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    refuse_repeated(tokens)
    return tuple(tokens)
