"""The environment that the server was started with, kept where its tools can't read it.

The kernel shows a process's first environment in /proc/PID/environ to every process of the same user. The master
therefore takes it away at its start: the kernel's copy is overwritten, the settings leave `os.environ`, and the process
is made undumpable, which closes its memory, descriptors and environment to other processes of its user. Workers inherit
all that when they are forked.

gunicorn's configuration is run again on HUP, by a master that may be older than this file: nothing here may need a new
name of another module.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Final

MARKER: Final = "BATON_AUTH_TOKENS_IN"
"""Says that the settings are elsewhere: in the memory of this process, or at the descriptor whose number it holds. A
version that does not know it takes it for a misspelt BATON_AUTH_TOKENS and refuses to start, which is better than to
serve without tokens."""

_MEMORY: Final = "memory"
_OWN: Final = ("BATON_", "ANTHROPIC_")
"""No library reads them from `os.environ`; others, such as PGPASSWORD, stay there for libpq."""

_NEEDED_EARLY: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "PWD", "LANG", "LANGUAGE", "LC_"),
    *("PYTHON", "VIRTUAL_ENV", "LD_", "GLIBC_TUNABLES", "MALLOC_", "GUNICORN_", "LISTEN_", "NOTIFY_SOCKET"),
    *("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "SENDFILE", "XDG_RUNTIME_DIR"),
)
"""Variables that the interpreter and gunicorn read before this module is imported; the ends in `_` and PYTHON are
prefixes."""

_PR_SET_DUMPABLE: Final = 4
_ENV_START, _ENV_END = 47, 48  # places in /proc/PID/stat, counted from the state

_kept: dict[str, str] | None = None
_added: dict[str, str] = {}


class EnvironmentLost(Exception):
    """The settings were taken out of the environment, and are not where they should be."""


def take() -> Mapping[str, str]:
    """Takes the environment away from the process's outside and returns it whole. The first call of a process does
    it; later ones return the same, with what was `add`ed. Raises EnvironmentLost."""
    global _kept
    close_to_others()
    if _kept is None:
        where = os.environ.pop(MARKER, None)
        if where is not None:
            os.environ.update(_received(where))
        _kept = dict(os.environ)
        for name in _kept:
            if name.startswith(_OWN):
                del os.environ[name]
        os.environ[MARKER] = _MEMORY
        _overwrite_block()
    return whole()


def whole() -> Mapping[str, str]:
    """The environment as it was given, for the settings. Where `take` was never called that is `os.environ`. Raises
    EnvironmentLost."""
    if _kept is None and MARKER in os.environ:
        raise EnvironmentLost(
            f"{MARKER} is set, but this process does not have the settings: restart the server"
        )
    return {**(os.environ if _kept is None else _kept), **_added}


def add(**variables: str) -> None:
    """Settings that the server makes for itself. A master that takes its place is not given them."""
    _added.update(variables)


def for_helpers() -> dict[str, str]:
    """For the server's own child processes: the variables that the interpreter needs, and no setting."""
    return {name: value for name, value in os.environ.items() if _is_needed_early(name)}


def hand_over(environment: MutableMapping[str, str]) -> None:
    """Makes `environment` the one for the master that this process is about to become by exec (USR2). Everything that
    may be secret waits in a socket for it: unlike a file or a pipe, it can't be opened through /proc. Raises OSError
    if it does not fit."""
    if _kept is None:
        return
    secret = {name: value for name, value in _kept.items() if not _is_needed_early(name)}
    here, there = socket.socketpair()
    here.setblocking(False)
    data = json.dumps(secret).encode()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(data) + 65_536)
    if here.send(data) < len(data):
        raise OSError(
            "the environment is too large to be handed to another master: restart the server instead"
        )
    here.close()
    os.set_inheritable(there.fileno(), True)
    environment.clear()
    environment.update({name: value for name, value in _kept.items() if _is_needed_early(name)})
    environment[MARKER] = str(there.detach())


def close_to_others() -> None:
    """Closes this process's memory, descriptors and environment to others of its user, until an exec. Its forks
    inherit that."""
    if prctl := getattr(ctypes.CDLL(None, use_errno=True), "prctl", None):  # only Linux has it
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _received(where: str) -> dict[str, str]:
    if not where.isdigit():
        raise EnvironmentLost(f"{MARKER}={where} is not a descriptor: restart the server")
    try:
        with socket.socket(fileno=int(where)) as there, there.makefile("rb") as stream:
            received: dict[str, str] = json.loads(stream.read())
    except (OSError, ValueError) as error:
        raise EnvironmentLost(f"the old master's settings did not arrive: {error}") from error
    return received


def _is_needed_early(name: str) -> bool:
    return any(
        name.startswith(one) if one.endswith("_") or one == "PYTHON" else name == one for one in _NEEDED_EARLY
    )


def _overwrite_block() -> None:
    """Libraries written in C keep pointers into the block, so each variable is put elsewhere first."""
    for name, value in os.environ.items():
        os.putenv(name, value)
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
    except (OSError, IndexError):
        return  # not Linux: there is no such file to be read
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
