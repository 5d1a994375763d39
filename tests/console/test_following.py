"""The end of a conversation is followed until a person scrolls away from it, whatever the page itself does."""

from __future__ import annotations

from typing import Any, Final

from anthropic_standin.standin_server import OfflineServer
from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.process import eventually
from tests.harness.wire import Client

STAGE: Final = """
const { Transcript } = await import('./console/transcript.js');
const frame = () => new Promise((go) => requestAnimationFrame(() => go()));
const frames = async (count) => { for (let i = 0; i < count; i += 1) await frame(); };
const transcript = new Transcript();
const pane = transcript.scroller;
const room = document.createElement('div');
room.className = 'session';
room.style.height = '500px';
room.append(transcript.node);
document.getElementById('main').replaceChildren(room);
const items = [];
const add = (lines = 3) => {
  const text = Array(lines).fill('A line of an answer.').join('\\n\\n');
  const key = `item-${items.length}`;
  items.push({ key, version: 0, depth: 0, kind: items.length % 2 ? 'assistant' : 'user', text });
  return items.at(-1);
};
const show = () => transcript.show([...items]);
const left = () => Math.round(pane.scrollHeight - pane.scrollTop - pane.clientHeight);
for (let i = 0; i < 30; i += 1) add();
show();
await frames(2);
"""
"""A transcript on an empty page, without a server's pace."""


def play(tab: Tab, scene: str) -> Any:
    tab.shown(".welcome")
    return tab.script(f"return (async () => {{ {STAGE} {scene} }})()")


def test_items_that_come_before_the_pages_own_scrolling_is_told_keep_the_end(open_tab: OpenTab) -> None:
    seen = play(
        open_tab(),
        """
        const seen = [];
        for (let round = 0; round < 20; round += 1) {
          add(); show();
          await frame();  // it is drawn, and scrolled; the scroll event comes with the next frame
          add(30); show();
          await frames(2);
          seen.push(left());
        }
        return [pane.scrollHeight > 5 * pane.clientHeight, ...new Set(seen)];
        """,
    )
    assert seen == [True, 0]


def test_words_that_come_sizes_that_change_and_details_that_open_keep_the_end(open_tab: OpenTab) -> None:
    seen = play(
        open_tab(),
        """
        const seen = [];
        const said = add();
        if (said.kind === 'user') said.kind = 'assistant';
        for (let round = 0; round < 12; round += 1) {
          said.text += '\\n\\nAnother paragraph.'.repeat(round * 3);
          said.thinking = 'Hm.\\n'.repeat(40);
          said.version += 1;
          show();
          room.style.height = `${300 + (round % 3) * 60}px`;
          for (const one of transcript.list.querySelectorAll('details')) one.open = round % 2 === 0;
          await frames(3);
          seen.push(left());
        }
        said.text = 'Less.'; said.version += 1; show();
        await frames(3);
        return [...new Set(seen), left()];
        """,
    )
    assert seen == [0, 0]


def test_a_person_who_scrolls_up_stays_there_and_one_who_comes_back_follows_again(open_tab: OpenTab) -> None:
    away, stayed, stays, back = play(
        open_tab(),
        """
        pane.scrollTop -= 30;  // less than what still counts as being at the end
        add(); show();
        await frames(3);
        const place = pane.scrollTop;
        const away = left() > 0;
        for (let i = 0; i < 5; i += 1) { add(20); show(); await frame(); }
        await frames(2);
        const stayed = [place, pane.scrollTop];
        pane.scrollTop = pane.scrollHeight;
        await frames(2);
        add(20); show();
        await frames(3);
        return [away, stayed[0], stayed[1], left()];
        """,
    )
    assert away
    assert stayed == stays
    assert back == 0


def test_the_first_turn_of_a_wheel_lets_the_end_go(open_tab: OpenTab) -> None:
    assert play(
        open_tab(),
        """
        pane.dispatchEvent(new WheelEvent('wheel', { deltaY: -1, bubbles: true }));
        add(20); show();
        await frames(3);
        return left() > 0;
        """,
    )


def test_what_is_sent_is_always_seen(open_tab: OpenTab, http: Client, stand_in: OfflineServer) -> None:
    session = http.new_session()
    http.say(session, "[words 900]")
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.assistant", "please")
    for number in range(6):
        tab.script("document.querySelector('.transcript').scrollTop = 0")
        tab.say(f"[say {number} " + "and so on " * 120 + f"end {number}.]")
        tab.wait_for_text(".message.assistant", f"end {number}.")
        tab.wait_for_text(".head .chip", "Free")
        eventually(lambda: at_end(tab), f"answer {number} is followed to its end", seconds=5)


def at_end(tab: Tab) -> bool:
    return bool(
        tab.script(
            "const pane = document.querySelector('.transcript');"
            " return pane.scrollHeight - pane.scrollTop - pane.clientHeight < 2"
        )
    )
