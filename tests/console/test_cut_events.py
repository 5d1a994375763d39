"""An event that is too long for its line is cut. A page that follows shows all of it all the same."""

from __future__ import annotations

import base64
import io
import json
import os
from typing import Any, Final

from PIL import Image

from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.console.test_attachments import give
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

LONG: Final = "word " * 20_000
PICTURES: Final = "return [...document.querySelectorAll(arguments[0])].map((one) => one.naturalWidth)"


def noise() -> bytes:
    """A picture whose base64 is longer than a line may be."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (200, 200), os.urandom(120_000)).save(buffer, "PNG")
    return buffer.getvalue()


def widths(tab: Tab, selector: str) -> list[int]:
    found: list[int] = tab.script(PICTURES, selector)
    return found


def test_large_attachments_are_seen_while_the_run_is_at_work_and_in_other_tabs(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    gate = Gate(shared_baton.directory, "large")
    session = http.new_session(tools_approved=True)
    paper = b"%PDF-1.4\n" + b"x" * 90_000 + b"%%EOF"
    tabs = [open_tab(f"#/session/{session}") for _ in range(2)]
    for tab in tabs:
        tab.shown('.session[data-connection="live"]')
    sender = tabs[1]
    sender.shown("select.agent").send_keys("tools")
    for name, kind, data in (
        ("a.png", "image/png", noise()),
        ("a.pdf", "application/pdf", paper),
        ("a.txt", "text/plain", LONG.encode()),
    ):
        give(sender, "drop", (name, kind, data))
        sender.wait_for_text(".attachments", name)
    sender.say(f"{gate.call} [then] [say seen]")
    gate.wait_until_reached()
    link = "return document.querySelector('a.attached-file')?.href ?? ''"
    for tab in tabs:
        eventually(lambda tab=tab: widths(tab, ".message.user img.picture") == [200], "the picture is drawn")
        assert str(tab.script(link)).endswith(base64.b64encode(paper).decode())
        assert tab.text("details.attached-file summary").startswith(f"a.txt{len(LONG):,} characters")
        tab.wait_for_text(".head .chip", "Running")
    gate.open()
    for tab in tabs:
        tab.wait_for_text(".message.assistant", "seen")
        assert tab.count(".message.user") == 1


def test_a_large_result_is_whole_when_its_run_is_over(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    (shared_baton.directory / "noise.png").write_bytes(noise())
    session = http.new_session(tools_approved=True, working_dir=str(shared_baton.directory))
    tab = open_tab(f"#/session/{session}")
    tab.shown('.session[data-connection="live"]')
    tab.shown("select.agent").send_keys("tools")
    written = json.dumps({"path": "long.txt", "content": LONG})
    calls = f'[call read_file {{"path": "noise.png"}}] [call shell {{"cmd": "seq 1 6000"}}] [call write_file {written}]'
    tab.script("document.getElementById('composer').value = arguments[0]", f"{calls} [then] [say seen]")
    tab.say("")
    tab.wait_for_text(".message.assistant", "seen")
    tab.wait_for_text(".head .chip", "Free")

    def results() -> Any:
        tab.script("for (const one of document.querySelectorAll('.items details')) one.open = true")
        return widths(tab, ".call img.picture"), tab.text(".call")

    eventually(lambda: results()[0] == [200], "the picture of the result is drawn")
    live = results()
    tab.see().refresh()
    tab.wait_for_text(".message.assistant", "seen")
    eventually(lambda: results() == live, "a reload shows the same")
