"""Clones a repository, with git's own program, for a session that has not begun.

Nothing of the repository is executed: no hook, no filter and no submodule. git connects to the address that was looked
up here, which is on the public internet, and follows no redirect from there. Where a token is needed git connects to
this process instead, which has the token and does the same: git never has it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from app.agent.tools import git_command
from app.agent.tools.processes import Command, run
from app.agent.tools.public_addresses import is_public
from app.agent.tools.run_facts import NeverCancelled
from app.agent.toolset import OutcomeUnknown

Failure = Literal["authentication", "forbidden", "not_found", "checkout", "clone"]

_KEPT: Final = 500  # characters of git's words
_FAILURES: Final[Sequence[tuple[str, Failure]]] = (
    (r"terminal prompts disabled|Authentication failed|error: 401", "authentication"),
    (r"error: 403", "forbidden"),
    (r"not found|error: 404", "not_found"),
)


class CloneFailed(Exception):
    def __init__(self, kind: Failure, words: str) -> None:
        super().__init__(words)
        self.kind: Final = kind


@dataclass(frozen=True, slots=True)
class Checkout:
    """A branch, or a commit."""

    branch: str = ""
    commit: str = ""


def clone(
    url: str,
    checkout: Checkout | None,
    into: Path,
    environment: Mapping[str, str],
    *,
    seconds: float,
    token: str = "",
) -> None:
    """Into a directory that is not there yet, in at most so many seconds. `environment` has the PATH. The token, if
    there is one, is shown to the repository's server only. CloneFailed."""
    end = time.monotonic() + seconds
    variables = {
        "PATH": environment.get("PATH", "/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_ALLOW_PROTOCOL": ":".join(git_command.SCHEMES),
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C.UTF-8",
    }
    settings = [
        "http.followRedirects=false",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=30",
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "credential.helper=",
    ]
    safe = ["git", *_options(settings)]
    without = ["--no-checkout"] if checkout is not None else []
    words = ["clone", "--quiet", "--template=", "--no-recurse-submodules", *without, "--", url, str(into)]
    with _way_to(url, token, end) as (more, leading):
        _git([*safe, *_options(more), *words], into.parent, {**variables, **leading}, "clone", end)
    if checkout is None:
        return
    if checkout.branch:
        there = ["-B", checkout.branch, "--track", f"refs/remotes/origin/{checkout.branch}"]
    else:
        there = ["--detach", f"{checkout.commit}^{{commit}}"]
    _git([*safe, "checkout", "--quiet", *there], into, variables, "checkout", end)


@contextmanager
def _way_to(url: str, token: str, end: float) -> Iterator[tuple[Sequence[str], Mapping[str, str]]]:
    """The settings, and the variables, that lead git to the repository's server."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    address = _public_address(host, port)
    if not token:
        yield [f"http.curloptResolve={host}:{port}:{address}"], {}
        return
    module: Any = import_module(
        "app.agent.tools.git_relay"
    )  # it takes a while, and few repositories have a token
    try:
        with module.relay(url, token, seconds=end - time.monotonic(), allows=is_public) as relay:
            try:
                yield relay.settings, relay.variables
            except CloneFailed as failed:
                if relay.problem:
                    raise CloneFailed("clone", relay.problem) from None
                if failed.kind == "authentication":
                    raise CloneFailed(failed.kind, f"{host} refuses the authorization_token") from None
                words = str(failed).replace(relay.address, url).replace(token, "…")
                raise CloneFailed(failed.kind, words) from None
    except OSError as error:
        raise CloneFailed("clone", f"git can't be run: {error}") from None


def _options(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("-c", setting)]


def _git(
    arguments: Sequence[str], directory: Path, variables: Mapping[str, str], otherwise: Failure, end: float
) -> None:
    """`end`: when it has to be done, by the monotonic clock."""
    left, command = max(0.0, end - time.monotonic()), Command(arguments, directory, variables)
    try:
        ended = run(command, timeout=left, cancellation=NeverCancelled())
    except (OSError, OutcomeUnknown) as error:
        raise CloneFailed("clone", f"git can't be run: {error}") from None
    if ended.status is None:
        raise CloneFailed("clone", "git took too long")
    if ended.status:
        said = ended.output.decode(errors="replace").strip()
        kinds = (kind for words, kind in _FAILURES if re.search(words, said))
        kind = next(kinds, otherwise) if otherwise == "clone" else otherwise
        raise CloneFailed(kind, said[-_KEPT:] or f"git ended with {ended.status}")


def _public_address(host: str, port: int) -> str:
    """One of the host's addresses, all of which are public. An IPv6 address has brackets."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CloneFailed("clone", f"{host} is not found: {error}") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(map(is_public, addresses)):
        raise CloneFailed("clone", f"{host} is, or has, an address that is not on the public internet")
    first = addresses[0]
    return f"[{first}]" if isinstance(ipaddress.ip_address(first), ipaddress.IPv6Address) else first
