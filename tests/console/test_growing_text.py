"""A text that grows costs what is new of it, and leaves alone what a person has selected."""

from __future__ import annotations

from typing import Final

import pytest

from tests.console.browser import Tab
from tests.console.conftest import OpenTab

LONG: Final = "".join(
    f"## Part {number}\n\nSome **bold** text with `code`.\n\n- one\n- two\n\n```py\nx = {number}\n```\n\n"
    for number in range(1200)
)

SETTLED: Final = (
    "return import('./console/markdown.js').then(({ MarkdownView }) => {"
    " const [text] = arguments, view = new MarkdownView(); view.update(text);"
    " const parsed = []; const parse = view.parser.parse;"
    " view.parser.parse = (source, env) => (parsed.push(source.length), parse.call(view.parser, source, env));"
    " const before = [...view.node.children]; let more = text;"
    " for (const word of ['And', ' so', ' on', '.\\n\\n', '- a', '\\n- b', '\\n\\nEnd']) view.update((more += word));"
    " view.parser.parse = parse;"
    " return [Math.max(...parsed), before.slice(0, -2).every((node, i) => node === view.node.children[i])] })"
)

GROWS: Final = (
    "return import('./console/markdown.js').then(({ MarkdownView }) => {"
    " const [text, more, selector] = arguments, view = new MarkdownView(); view.update(text);"
    " document.body.append(view.node); const node = view.node.querySelector(selector);"
    " getSelection().selectAllChildren(node); const selected = String(getSelection());"
    " const kept = view.update(text + more) ?? view.node.querySelector(selector) === node;"
    " const same = String(getSelection()).startsWith(selected); view.node.remove(); return [kept, same, selected] })"
)


@pytest.fixture
def tab(open_tab: OpenTab) -> Tab:
    return open_tab()


def test_what_is_settled_in_a_long_answer_is_neither_parsed_nor_built_again(tab: Tab) -> None:
    assert len(LONG) > 80_000
    most, same = tab.script(SETTLED, LONG)
    assert most < 400
    assert same


@pytest.mark.parametrize(
    ("text", "more", "selector"),
    [
        ("first\n\nsecond", " goes on\n\nthird", "p"),
        ("- first\n- second", " goes on\n- third", "li"),
        ("first **second** third", " goes on *and on*", "strong"),
        ("|a|b|\n|-|-|\n|first|second|\n", "|third|fourth|", "td"),
        ("```\nfirst\n", "second\n", "pre code"),
        ("[a][1] first\n\nsecond", "\n\nthird\n\n[2]: https://example.org/\n", "p"),
    ],
    ids=["paragraphs", "items", "one-paragraph", "rows", "open-fence", "definitions"],
)
def test_selected_text_stays_selected_while_more_comes(tab: Tab, text: str, more: str, selector: str) -> None:
    kept, same, selected = tab.script(GROWS, text, more, selector)
    assert selected.strip()
    assert (kept, same) == (True, True)


FOLLOWS: Final = """
return import('./console/markdown.js').then(async ({ MarkdownView }) => {
  const view = new MarkdownView(), shown = [], update = view.update;
  let clock = 0; // an update takes a second of it for each ten characters
  const now = performance.now; performance.now = () => clock;
  view.update = function (text) { shown.push(text.length); clock += text.length * 100; return update.call(view, text) };
  for (let length = 10; length <= 100; length += 10) view.follow('x'.repeat(length));
  performance.now = now;
  const followed = [...shown];
  view.update('x'.repeat(120));
  return [followed, view.waiting, view.node.textContent.length] })
"""


def test_costly_updates_are_fewer_and_the_last_text_is_shown_whole(tab: Tab) -> None:
    assert tab.script(FOLLOWS) == [[10], 0, 120]
