"""Pictures, PDFs and text files are attached by button, paste and drop, sent with all messages, and seen later."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys

from anthropic_standin.standin_server import OfflineServer
from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess
from tests.harness.wire import Client

GIVE: Final = """
const [kind, selector, files] = arguments;
const data = new DataTransfer();
for (const [name, type, base64] of files) {
  const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
  data.items.add(new File([bytes], name, { type }));
}
const more = { bubbles: true, cancelable: true };
const event = kind === 'paste' ? new ClipboardEvent('paste', { clipboardData: data, ...more })
  : new DragEvent('drop', { dataTransfer: data, ...more });
document.querySelector(selector).dispatchEvent(event);
"""


def png(width: int = 8, height: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(buffer, "PNG")
    return buffer.getvalue()


def give(tab: Tab, kind: str, *files: tuple[str, str, bytes]) -> None:
    """Pastes or drops files into the field."""
    encoded = [(name, kind, base64.b64encode(data).decode()) for name, kind, data in files]
    tab.shown("#composer")
    tab.script(GIVE, kind, "#composer", encoded)


def names(tab: Tab) -> list[str]:
    return tab.text(".attachments .name").split("\n")


def content(model: OfflineServer) -> list[dict[str, Any]]:
    """What the model was shown last of what the user said."""
    *_, said = (one for one in model.requests[-1]["messages"] if one["role"] == "user")
    return list(said["content"])


@pytest.fixture
def session(http: Client) -> str:
    return http.new_session(tools_approved=True)


def test_a_picture_a_pdf_and_a_file_are_sent_and_seen_after_a_reload(
    open_tab: OpenTab, session: str, tmp_path: Path, stand_in: OfflineServer
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("remember <b>this</b>\r\nand that\n")
    tab = open_tab(f"#/session/{session}")
    tab.shown('.session[data-connection="live"]')
    tab.see().find_element("css selector", ".composer input[type=file]").send_keys(str(notes))
    tab.wait_for_text(".attachments", "notes.txt")
    give(tab, "paste", ("image.png", "image/png", png()))
    tab.wait_for_text(".attachments", "image.png")
    give(tab, "drop", ("report.pdf", "application/pdf", b"%PDF-1.4\n%%EOF"))
    tab.wait_for_text(".attachments", "report.pdf")
    tab.say("[say seen]")
    tab.wait_for_text(".message.assistant", "seen")
    tab.wait_until_gone(".attachments")
    for _ in range(2):
        assert tab.text(".message.user .markdown").strip() == "[say seen]"
        assert tab.text("details.attached-file summary").startswith("notes.txt")
        assert tab.shown("a.attached-file").get_attribute("download") == "report.pdf"
        assert tab.text(".attached-file .output") == "remember <b>this</b>\nand that"
        assert tab.count(".message.user img.picture") == 1
        tab.see().refresh()
        tab.shown(".message.user img.picture")
    blocks = [block for block in content(stand_in) if block["type"] in ("text", "image", "document")]
    assert [block["type"] for block in blocks] == ["text", "image", "document"]
    assert blocks[2]["title"] == "report.pdf"
    assert (
        blocks[0]["text"] == '[say seen]\n\n<file name="notes.txt">\nremember <b>this</b>\nand that\n</file>'
    )


def test_what_can_not_be_sent_is_refused_before_it_is_sent_and_the_rest_stays(
    open_tab: OpenTab, session: str
) -> None:
    tab = open_tab(f"#/session/{session}")
    tab.write("look")
    for files, words in (
        ([("a.zip", "application/zip", b"PK\0\xff")], "a.zip can’t be sent: only pictures"),
        ([("a.pdf", "application/pdf", b"PK\0\xff")], "a.pdf is no PDF"),
        ([("broken.png", "image/png", b"no picture")], "broken.png can’t be read"),
    ):
        give(tab, "drop", *files)
        tab.wait_for_text(".composer .problem", words)
    give(tab, "drop", ("good.png", "image/png", png()))
    tab.wait_for_text(".attachments", "good.png")
    assert names(tab) == ["good.png"]
    assert tab.shown("#composer").get_attribute("value") == "look"


def test_the_servers_limits_are_told_and_kept(open_tab: OpenTab) -> None:
    tab = open_tab("#/new")
    tab.shown("#composer")
    most = tab.script("return fetch('api/limits').then((answer) => answer.json())")
    title = "return document.querySelector('.attach').title"
    assert "PNG" in tab.script(title) or tab.shown(".attach[title*='PNG']")
    assert f"at most {most['pictures']['max_count']}" in tab.script(title)
    give(tab, "drop", ("wide.png", "image/png", png(most["pictures"]["max_side"] + 1, 1)))
    tab.wait_for_text(".composer .problem", "wide.png has 8001 × 1 pixels")
    long = b"x" * (most["max_text_characters"] + 1)
    give(tab, "drop", ("long.txt", "text/plain", long))
    tab.wait_for_text(".composer .problem", "long.txt is too large: a message may have 5,000,000 characters")
    give(tab, "drop", *[(f"{at}.png", "image/png", png()) for at in range(most["pictures"]["max_count"] + 1)])
    tab.wait_for_text(".composer .problem", "40.png: a message has at most 40 pictures")
    assert len(names(tab)) == most["pictures"]["max_count"]


def test_attachments_are_removed_by_the_keyboard_and_stay_while_another_page_is_seen(
    open_tab: OpenTab, session: str
) -> None:
    tab = open_tab(f"#/session/{session}")
    tab.shown('.session[data-connection="live"]')
    give(tab, "paste", ("one.txt", "text/plain", b"1"), ("two.txt", "", b"2"))
    tab.wait_for_text(".attachments", "two.txt")
    tab.press("w")
    tab.shown("body[data-page='runs']")
    tab.open_session(session)
    tab.wait_for_text(".attachments", "two.txt")
    remove = tab.shown("button[aria-label='Remove one.txt']")
    tab.script("arguments[0].focus()", remove)
    remove.send_keys(Keys.ENTER)
    assert names(tab) == ["two.txt"]
    assert tab.script("return document.activeElement.ariaLabel") == "Remove two.txt"
    tab.see().switch_to.active_element.send_keys(Keys.ENTER)
    tab.wait_until_gone(".attachments")
    assert tab.script("return document.activeElement.textContent") == "Attach"


def test_queued_and_steered_messages_carry_attachments_and_a_refusal_keeps_them(
    open_tab: OpenTab, session: str, shared_baton: BatonProcess, stand_in: OfflineServer
) -> None:
    gate = Gate(shared_baton.directory, "attached")
    tab = open_tab(f"#/session/{session}")
    tab.shown("select.agent").send_keys("tools")
    tab.say(f"{gate.call} [then] [say first thing]")
    gate.wait_until_reached()
    tab.shown(".composer .bar button[title^='Enter: gets']")
    give(tab, "paste", ("shot.png", "image/png", png()))
    tab.wait_for_text(".attachments", "shot.png")
    tab.write("[say steered]")
    tab.shown("#composer").send_keys(Keys.CONTROL + Keys.ENTER)
    tab.wait_for_text(".queue li", "with a picture")
    tab.wait_until_gone(".attachments")
    give(tab, "paste", ("notes.txt", "text/plain", b"in the file"))
    tab.wait_for_text(".attachments", "notes.txt")
    tab.say("[say queued]")
    tab.wait_for_text(".queue", "with notes.txt")
    gate.open()
    tab.wait_for_text(".message.assistant", "queued")
    assert "in the file" in content(stand_in)[-1]["text"]
    assert tab.count(".message.user img.picture") == 1
    tab.wait_for_text(".head .chip", "Free")
    tab.script('window.fetch = async () => new Response(\'{"message": "too much"}\', { status: 413 })')
    give(tab, "paste", ("kept.txt", "text/plain", b"kept"))
    tab.wait_for_text(".attachments", "kept.txt")
    tab.say("kept words")
    tab.wait_for_text(".composer .problem", "too much")
    assert names(tab) == ["kept.txt"]
    assert tab.shown("#composer").get_attribute("value") == "kept words"
    gate.close()


def test_a_file_that_misses_the_field_is_attached_too(open_tab: OpenTab, session: str) -> None:
    tab = open_tab(f"#/session/{session}")
    tab.shown('.session[data-connection="live"]')
    encoded = [("notes.txt", "text/plain", base64.b64encode(b"hello").decode())]
    tab.script(GIVE, "drop", ".transcript", encoded)
    tab.wait_for_text(".attachments", "notes.txt")
    assert names(tab) == ["notes.txt"]
    tab.script("location.hash = '#/new'")
    tab.shown(".start")
    tab.script(GIVE, "drop", ".start", encoded)
    tab.wait_for_text(".attachments", "notes.txt")
