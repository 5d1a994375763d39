"""The checks of `baton doctor` from outside: of a server, through whatever is in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import requests

from app.selfcheck.finding import Finding
from baton_client import BatonClient, BatonError, NotAllowedError, UnavailableError

FIRST_BYTE_SECONDS: Final = 5.0
"""A stream's first line is written at once; the next byte comes 15 s later. A line that has not come by now is held
back."""


def check_server(url: str, token: str | None) -> Iterator[Finding]:
    """It makes a session for a moment, and deletes it."""
    with BatonClient(url, token, retry_seconds=0.0) as baton:
        try:
            yield _answers(baton)
            yield _agents(baton)
            session = str(baton.create_session()["id"])
        except NotAllowedError as error:
            yield Finding(
                "failed", "server", str(error), "see --token, and BATON_ALLOWED_HOSTS at the server"
            )
            return
        except BatonError as error:
            advice = (
                "is it running there?"
                if isinstance(error, UnavailableError)
                else "is this the address of Baton?"
            )
            yield Finding("failed", "server", str(error), advice)
            return
        try:
            yield _unbuffered(f"{baton.url}/api/sessions/{session}/events", token)
        finally:
            baton.delete_session(session)


def _answers(baton: BatonClient) -> Finding:
    begun = time.monotonic()
    baton.ready()
    milliseconds = (time.monotonic() - begun) * 1000
    return Finding("ok", "server", f"{baton.url} is ready, in {milliseconds:.0f} ms")


def _agents(baton: BatonClient) -> Finding:
    names = [str(agent["name"]) for agent in baton.agents()]
    if not names:
        return Finding(
            "failed", "agents there", "no agent file of the server loads", "see BATON_AGENTS and its log"
        )
    return Finding("ok", "agents there", ", ".join(names))


def _unbuffered(url: str, token: str | None) -> Finding:
    """Opens the stream of a session in which nothing happens: all that comes is its first line."""
    headers = {"Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    begun = time.monotonic()
    try:
        with requests.get(url, headers=headers, stream=True, timeout=FIRST_BYTE_SECONDS) as response:
            if response.status_code != 200:
                return Finding(
                    "failed", "streams", f"the server answers {response.status_code}", "see its log"
                )
            line = next(response.iter_content(1), b"")
    except requests.RequestException:
        return _held_back()
    milliseconds = (time.monotonic() - begun) * 1000
    if not line:
        return Finding(
            "failed", "streams", "the stream ended at once", "see the server's log and the proxy's"
        )
    return Finding("ok", "streams", f"the first byte comes after {milliseconds:.0f} ms, unbuffered")


def _held_back() -> Finding:
    return Finding(
        "failed",
        "streams",
        f"no byte of a stream came within {FIRST_BYTE_SECONDS:.0f} s: something in between holds it back",
        "switch off buffering and compression for text/event-stream in the proxy, and let it speak HTTP/1.1 to Baton",
    )
