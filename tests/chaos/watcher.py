"""A reader who never gives up: cut at random bytes, sent to another server each time, follows one session."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Iterator
from typing import Final

import requests

from app.conversation.event_facts import as_stored, first_of_its_call
from app.web.wire_encoders import LATER
from tests.chaos.actor import GONE, Actor
from tests.chaos.cluster import Cluster
from tests.chaos.notes import Notes
from tests.harness.strict_client import Misshapen, WrongType, decode_as_sent
from tests.while_it_runs.cutting import Connect

FRAME: Final = re.compile(rb"(?:id: (\d+)\n)?data: ([^\n]*)\n\n")
MEAN_BYTES: Final = 1500
SILENCE_SECONDS: Final = 2.0


class Watcher:
    """Owned by one thread until it has ended. `seen` are the frames by number, `gaps` the numbers that the servers
    said are missing."""

    def __init__(
        self, cluster: Cluster, notes: Notes, chance: random.Random, over: threading.Event, actor: Actor
    ) -> None:
        self._cluster = cluster
        self._notes = notes
        self._chance = chance
        self._over = over
        self._actor = actor
        self._last = 0
        self.seen: dict[int, bytes] = {}
        self.gaps: list[range] = []

    @property
    def session_id(self) -> str:
        return self._actor.session.id

    def watch(self) -> None:
        while not self._over.is_set():
            if not self.session_id:
                self._over.wait(0.1)
                continue
            try:
                self._connect()
            except GONE:
                self._over.wait(0.1)
            except Exception as error:
                self._notes.problem(f"a watcher broke: {error!r}")
                raise

    def _connect(self) -> None:
        server = self._chance.choice(self._cluster.servers)
        path = f"{server.url}/api/sessions/{self.session_id}/events?since={self._last}"
        limit = self._chance.randrange(1, 2 * MEAN_BYTES)
        with requests.get(path, stream=True, timeout=(2.0, SILENCE_SECONDS)) as response:
            if response.status_code == 200:
                self._take(self._read(response, limit))
            else:
                self._notes.count(f"watcher: {response.status_code}")
                self._over.wait(0.2)

    def _read(self, response: requests.Response, limit: int) -> bytes:
        """The bytes that came before the cut, or before a silence that is as good as one."""
        received = b""
        try:
            for chunk in response.iter_content(None):
                received += chunk
                if len(received) >= limit or self._over.is_set():
                    break
        except GONE:
            pass
        if len(received) >= limit:
            self._notes.count("watcher: cut")
        return received[:limit]

    def _take(self, received: bytes) -> None:
        for match in FRAME.finditer(received):
            try:
                decode_as_sent(match[2])
            except (Misshapen, WrongType) as error:
                self._notes.problem(
                    f"a watcher of {self.session_id} was sent what no client expects: {error}"
                )
            if match[1] is None:
                self._note_gap(json.loads(match[2]))
                continue
            number = int(match[1])
            if number <= self._last:
                self._notes.problem(f"a watcher of {self.session_id} saw event {number} after {self._last}")
            self.seen[number] = match[0]
            self._last = number

    def _note_gap(self, event: dict[str, object]) -> None:
        if event["type"] == "gap":
            first = int(str(event["first_available"]))
            self.gaps.append(range(self._last + 1, first))
            self._last = max(self._last, first - 1)

    def problems(self, stored: dict[int, bytes]) -> list[str]:
        """In words: the events that it saw otherwise than they are stored, and those that it was not shown."""
        known = set(self.seen).union(*self.gaps)
        both = self.seen.keys() & stored.keys()
        other = [number for number in both if as_stored(self.seen[number]) not in _shown(stored[number])]
        missed = [number for number in stored if number <= self._last and number not in known]
        return [
            *(f"event {number} is stored otherwise than a watcher saw it" for number in other[:3]),
            *(f"event {number} was never shown to a watcher" for number in missed[:3]),
        ]


def _shown(fact: bytes) -> tuple[bytes, ...]:
    """The forms in which a later client may be sent what is stored: a reader that comes while a call is being written
    is told how it began."""
    begun = (first_of_its_call(fact),) if b'"partial_tool_call"' in fact else ()
    return tuple(map(LATER.encode, (fact, *begun)))


class Replay:
    """An open response, as `Cutter` wants it."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response

    def chunks(self) -> Iterator[bytes]:
        yield from self._response.iter_content(None)

    def hang_up(self) -> None:
        self._response.close()


def replays(cluster: Cluster, session_id: str) -> list[Connect]:
    """Ways to open a session's stream, one through each server."""

    def through(url: str) -> Connect:
        path = f"{url}/api/sessions/{session_id}/events"
        return lambda after: Replay(requests.get(path, params={"since": after}, stream=True, timeout=10))

    return [through(server.url) for server in cluster.servers]


def unbroken(stored: dict[int, bytes]) -> list[tuple[int, int]]:
    """The stretches of numbers without a hole, which a kill may leave: the number before each, and its last."""
    stretches: list[tuple[int, int]] = []
    for number in sorted(stored):
        if stretches and stretches[-1][1] == number - 1:
            stretches[-1] = (stretches[-1][0], number)
        else:
            stretches.append((number - 1, number))
    return stretches
