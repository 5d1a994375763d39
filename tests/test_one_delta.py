"""The page "One text delta" of the design names each file that a delta goes through, in order, and no other."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from types import FrameType
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.runtime.streams.event_reader import EventReader
from tests.harness.in_process import LocalClient
from tests.harness.process import ROOT, eventually
from tests.walk.connection import SocketResponse
from tests.walk.person import frames

THREADS = ("model-reader", "stream-writer")
"""The second one makes a round itself if it is just awake when the first one would."""


WAITING = "app/io_loop.py"
"""Where both of them wait, one of them perhaps while the other one is at work."""


class Footprints:
    """The files of `app` that these threads enter, each one when it is first entered."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.walking = False

    def __enter__(self) -> Footprints:
        threading.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        threading.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: Any) -> None:
        if threading.current_thread().name not in THREADS:
            sys.setprofile(None)
        elif self.walking and event == "call":
            file = frame.f_code.co_filename.removeprefix(f"{ROOT}/")
            begun = self.files or threading.current_thread().name == THREADS[0]
            if begun and file.startswith("app/") and file not in (*self.files, WAITING):
                self.files.append(file)


@pytest.fixture
def footprints() -> Iterator[Footprints]:
    with Footprints() as footprints:
        yield footprints


def test_a_delta_goes_through_the_files_of_its_page(
    footprints: Footprints, server: Server, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, take = [], EventReader.take

    def reading(reader: EventReader) -> bytes | None:
        taken = take(reader)
        reads.append(taken)
        return taken

    monkeypatch.setattr(EventReader, "take", reading)
    page = (
        (ROOT / "docs" / "design.md").read_text().partition("\n## One text delta\n")[2].partition("\n## ")[0]
    )
    client = LocalClient(server)
    session = client.new_session()
    path = f"/api/sessions/{session}/agent/plain"
    response = SocketResponse(client, path, [{"role": "user", "content": "[hold 5][words 30]"}], nullcontext)
    words = (event for _, event in frames(response) if event is not None and event["type"] == "agent_choice")
    assert len([*islice(words, 5)]) == 5
    eventually(lambda: reads and reads[-1] == b"", "the writer has the stream, and nothing is left to send")
    footprints.walking = True
    model.release()
    assert len([*words]) == 25
    response.close()
    assert footprints.files == re.findall(r"^\d+\. `(app/[\w/]+\.py)`", page, re.MULTILINE)
