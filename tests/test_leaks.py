"""Runs leave no file, socket or process behind, however many there were."""

from __future__ import annotations

import os

from app.factory import Server
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

RUNS = 40
SPARE = 10  # files of idle connections that are kept for later; the busier the machine, the more of them there are


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_runs_with_tools_leave_no_file_open(server: Server) -> None:
    client = LocalClient(server)
    session = client.new_session(tools_approved=True)
    text = '[call shell {"cmd":"echo hi"}][call think {"thought":"x"}][then][say done]'
    for _ in range(3):
        client.say(session, text, agent="tools")
    before = open_files()
    for _ in range(RUNS):
        client.say(session, text, agent="tools")
    eventually(lambda: open_files() <= before + SPARE, "files were closed")
