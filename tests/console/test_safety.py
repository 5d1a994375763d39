"""Nothing that is said can run, wherever it stands, and a token stays where it belongs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver.common.keys import Keys

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import StartBaton
from tests.console.browser import Tab
from tests.console.conftest import Links, OpenTab
from tests.harness.nginx import Nginx, find_nginx
from tests.harness.process import BatonProcess
from tests.harness.wire import Client

ANNA: Final = "annas-token-0123456789"
EYE: Final = "eyes-token-0123456789"

CHANGES: Final = ("#sidebar .new", "#main .composer", "#main .menu")

HOSTILE: Final = """<script>document.title = 'owned'</script>
<img src=x onerror="document.title = 'owned'">
(click)[javascript:document.title='owned']
<a href="javascript:document.title='owned'">click</a>
<javascript:document.title='owned'> <data:text/html,owned>
<svg onload=document.title='owned'> <iframe srcdoc="owned"></iframe>
`</code><script>document.title = 'owned'</script>`

> <b onmouseover=document.title='owned'>quoted</b>

| <script>document.title = 'owned'</script> | two |
| --- | --- |
| <img src=x onerror=document.title='owned'> | cell |

```html"><script>document.title = 'owned'</script>
<script>document.title = 'owned'</script>
```
"""

LINKS: Final = [
    ("[a](https://example.org/a?b=c)", "https://example.org/a?b=c"),
    ("[b](mailto:ben@example.org)", "mailto:ben@example.org"),
    ("https://example.org/bare.", "https://example.org/bare"),
    ("[c](javascript:alert(1))", None),
    ("[d](JaVaScRiPt:alert(1))", None),
    ("[e](data:text/html,<script>alert(1)</script>)", None),
    ("[f](vbscript:x)", None),
    ("[g](/api/sessions)", None),
    ("[h](//example.org)", None),
    ("[i](file:///etc/passwd)", None),
    ("[j](java\tscript:alert(1))", None),
    ("![k](https://example.org/pixel.png)", "https://example.org/pixel.png"),
]


def test_a_hostile_message_does_nothing_as_text_title_argument_or_result(
    open_tab: OpenTab, http: Client
) -> None:
    session = http.new_session(tools_approved=True)
    http.request("PATCH", f"/api/sessions/{session}/title", json={"title": HOSTILE})
    call = json.dumps({"cmd": f"cat <<'END'\n{HOSTILE}\nEND"})
    http.say(
        session,
        f"[call shell {call}] [then] [say {HOSTILE.replace('[', '(').replace(']', ')')}]",
        agent="tools",
    )
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.assistant", "quoted")
    tab.click(".call summary")
    tab.wait_for_text(".call .output", "owned")
    tab.wait_for_text(".message.user", "owned")
    assert "Baton" in str(tab.script("return document.title"))
    assert tab.script("return document.title") != "owned"
    assert tab.count("#main script, #main img, #main svg[onload], #main iframe, #sidebar script") == 0
    assert tab.count("#main a[href^='javascript'], #main a[href^='data']") == 0
    attributes = (
        "return [...document.querySelectorAll('body *')].flatMap((one) => one.getAttributeNames())"
        ".filter((name) => name.startsWith('on'))"
    )
    assert tab.script(attributes) == []


def test_a_link_leads_to_the_web_or_a_mailbox_or_is_text(links_of: Callable[[str], Links]) -> None:
    for typed, leads_to in LINKS:
        links = links_of(typed)
        assert [link["href"] for link in links] == ([leads_to] if leads_to else []), typed
        assert all("noopener" in link["rel"] for link in links)


def test_a_policy_forbids_what_the_pages_do_not_do_themselves(open_tab: OpenTab, http: Client) -> None:
    tab = open_tab()
    tab.shown(".brand")
    tab.script(
        "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
        " document.body.append(script); document.body.setAttribute('style', 'margin: 99px');"
    )
    assert tab.script("return [window.ran, getComputedStyle(document.body).margin]") == [None, "0px"]
    violations = open_tab.complaints()
    assert len([one for one in violations if "Content Security Policy" in one]) == 2


@pytest.fixture
def guarded(start_baton: StartBaton, model: OfflineServer) -> BatonProcess:
    return start_baton(settings={"BATON_AUTH_TOKENS": f"anna:{ANNA},eye/readonly:{EYE}"})


@pytest.fixture
def anna(guarded: BatonProcess) -> Iterator[Client]:
    client = Client(guarded.url, token=ANNA)
    yield client
    client.close()


def test_a_page_asks_for_a_token_sends_it_as_a_header_only_and_offers_what_it_may(
    open_tab: OpenTab, guarded: BatonProcess, anna: Client
) -> None:
    session = anna.new_session()
    asking = [{"content": '[call shell {"cmd":"echo hi"}]'}]
    anna.post(f"/api/sessions/{session}/agent/tools?stream=false", asking)
    tab = open_tab(f"#/session/{session}", url=guarded.url)
    tab.shown("#token").send_keys("wrong-token-0123456789" + Keys.ENTER)
    tab.wait_for_text("dialog", "does not know this token")
    tab.shown("#token").send_keys(EYE + Keys.ENTER)
    tab.wait_for_text(".question", "wants to call shell")
    tab.wait_for_text(".question .asked", "echo hi")
    tab.press("a")
    tab.press("s")
    assert [tab.count(one) for one in (*CHANGES, "#main .answers button")] == [0] * (len(CHANGES) + 1)
    tab.press("w")
    tab.wait_for_text(".runs-table", "Waiting for approval")
    assert tab.count(".runs-table button") == 0
    assert anna.session(session)["run"]["status"] == "awaiting_approval"
    tab.script("sessionStorage.setItem('baton.token', arguments[0])", ANNA)
    tab.see().refresh()
    tab.shown(".runs-table button")
    tab.open_session(session)
    tab.click_button("Approve")
    tab.wait_for_text(".head .chip", "Free")
    assert [tab.count(one) for one in CHANGES] == [1] * len(CHANGES)
    kept = "return JSON.stringify([{...localStorage}, document.cookie, location.href])"
    assert ANNA not in str(tab.script(kept))
    assert not [address for address in fetched(tab) if ANNA in address]
    assert ANNA not in guarded.log()


@pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed")
def test_below_a_path_it_asks_for_nothing_outside(
    open_tab: OpenTab, shared_baton: BatonProcess, tmp_path: Path
) -> None:
    with Nginx(tmp_path, shared_baton.port, path="/agents") as nginx:
        tab = open_tab(url=nginx.url)
        tab.press("n")
        tab.shown("select.agent").send_keys("plain")
        tab.say("[say through the proxy]")
        tab.wait_for_text(".message.assistant", "through the proxy")
        assert fetched(tab)
        assert [address for address in fetched(tab) if not address.startswith(f"{nginx.url}/")] == []


def fetched(tab: Tab) -> list[str]:
    """The addresses of all that the page has asked for."""
    return [
        str(one)
        for one in tab.script("return performance.getEntriesByType('resource').map((one) => one.name)")
    ]


BIDI: Final = "echo \u202etxt.exe\u2066 \u200b\u00ad\U000e0041 end"


def test_what_cannot_be_seen_in_a_call_is_written_out(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    call = json.dumps({"cmd": BIDI})
    http.post(f"/api/sessions/{session}/agent/tools?stream=false", [{"content": f"[call shell {call}]"}])
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".question .asked", "echo ⟦U+202E⟧txt.exe⟦U+2066⟧ ⟦U+200B⟧⟦U+00AD⟧⟦U+E0041⟧ end")
    tab.wait_for_text(".call .gist", "⟦U+202E⟧")
    assert "\u202e" not in tab.text(".question")
    tab.click_button("Reject")
    tab.wait_for_text(".head .chip", "Free")


def test_approving_all_takes_one_click_more_and_is_shown(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    http.post(
        f"/api/sessions/{session}/agent/tools?stream=false", [{"content": '[call shell {"cmd":"echo hi"}]'}]
    )
    tab = open_tab(f"#/session/{session}")
    tab.click_button("Approve all…")
    tab.wait_for_text("dialog", "stays denied")
    assert not http.session(session)["tools_approved"]
    tab.click_button("Cancel", within="dialog")
    tab.click_button("Approve all…")
    tab.click_button("Approve all", within="dialog")
    assert "without asking" in tab.shown(".head .unasked").text
    assert http.session(session)["tools_approved"]
    tab.click(".head .menu summary")
    tab.click_button("Ask before tools run")
    tab.wait_until_gone(".head .unasked")
    tab.click(".head .menu summary")
    tab.click_button("Run tools without asking…")
    tab.click_button("Run without asking", within="dialog")
    assert "without asking" in tab.shown(".head .unasked").text
