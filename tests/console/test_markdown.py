"""Markdown as the console shows it."""

from __future__ import annotations

from typing import Final

from tests.console.conftest import OpenTab

CASES: Final = [
    (
        "plain *a* **b** ***c*** ~~d~~ `e`",
        "<p>plain <em>a</em> <strong>b</strong> <strong><em>c</em></strong>",
    ),
    ("2 * 3 * 4 and snake_case_name", "<p>2 * 3 * 4 and snake_case_name</p>"),
    ("\\*not\\* \\`this\\`", "<p>*not* `this`</p>"),
    ("``a ` b``", "<p><code>a ` b</code></p>"),
    ("# One\n## Two", '<h3 class="h1">One</h3><h4 class="h2">Two</h4>'),
    ("- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
    ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    ("> a\n> b", "<blockquote><p>a\nb</p></blockquote>"),
    ("```py\na < b\n```", '<pre tabindex="0" data-language="py"><code>a &lt; b</code></pre>'),
    ("```\nnot closed yet", '<pre tabindex="0" data-language=""><code>not closed yet</code></pre>'),
    ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
    ("|a|b|\n|-|:-:|\n|1|2|", "<tbody><tr><td>1</td><td>2</td></tr></tbody>"),
    ("<b>bold</b> &amp; text", "<p>&lt;b&gt;bold&lt;/b&gt; &amp;amp; text</p>"),
]

RENDER: Final = (
    "return import('./console/markdown.js').then(({ MarkdownView }) => {"
    " const view = new MarkdownView(); view.update(arguments[0]); return view.node.innerHTML })"
)

GROW: Final = (
    "return import('./console/markdown.js').then(({ MarkdownView }) => {"
    " const grown = new MarkdownView(), whole = new MarkdownView(), text = arguments[0];"
    " for (let length = 1; length <= text.length; length += 1) grown.update(text.slice(0, length));"
    " whole.update(text); return [grown.node.innerHTML, whole.node.innerHTML] })"
)


def test_markdown_becomes_what_it_means(open_tab: OpenTab) -> None:
    tab = open_tab()
    for typed, expected in CASES:
        assert expected in str(tab.script(RENDER, typed)), typed


def test_a_text_that_grows_ends_as_the_whole_text_does(open_tab: OpenTab) -> None:
    text = "\n\n".join(typed for typed, _ in CASES)
    grown, whole = open_tab().script(GROW, text)
    assert grown == whole


def test_what_was_not_closed_costs_no_more_than_it_is_long(open_tab: OpenTab) -> None:
    """A renderer that tried every way to pair these up would not come back."""
    tab = open_tab()
    for piece in ("**a ", "`", "[", "[a](", "*a_", "> ", "- ", "~~x", "|", "\\"):
        assert tab.script(RENDER, piece * 3000)
