"""The address of the server that a command asks, if nobody says one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DEFAULT: Final = "http://127.0.0.1:8080"

_ANY: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}  # noqa: S104 - it is not bound here


def server_address(environment: Mapping[str, str]) -> str | None:
    """Where the server listens that has these settings. None for a Unix socket, to which HTTP clients have no
    address: the proxy in front of it has one."""
    bind = environment.get("BATON_BIND", "").strip()
    if not bind:
        return DEFAULT
    if bind.startswith("unix:"):
        return None
    host, _, port = bind.rpartition(":")
    return f"http://{_ANY.get(host, host)}:{port}"
