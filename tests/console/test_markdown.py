"""Markdown as the console shows it."""

from __future__ import annotations

from typing import Final

from tests.console.conftest import OpenTab

CASES: Final = [
    (
        "plain *a* **b** ***c*** ~~d~~ `e`",
        "<p>plain <em>a</em> <strong>b</strong> <em><strong>c</strong></em> <s>d</s> <code>e</code></p>",
    ),
    ("2 * 3 * 4 and snake_case_name", "<p>2 * 3 * 4 and snake_case_name</p>"),
    ("\\*not\\* \\`this\\`", "<p>*not* `this`</p>"),
    ("``a ` b``", "<p><code>a ` b</code></p>"),
    ("# One\n## Two", '<h3 class="h1">One</h3><h4 class="h2">Two</h4>'),
    ("One\n===\nTwo\n---", '<h3 class="h1">One</h3><h4 class="h2">Two</h4>'),
    (
        "### One\n###### Two\n# Three",
        '<h3 class="h3">One</h3><h4 class="h6">Two</h4><h3 class="h1">Three</h3>',
    ),
    ("- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
    ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    (
        "1. a\n\n   b\n   - c\n     1. d",
        "<ol><li><p>a</p><p>b</p><ul><li>c<ol><li>d</li></ol></li></ul></li></ol>",
    ),
    ("> a\n> b", "<blockquote><p>a\nb</p></blockquote>"),
    ("```py\na < b\n```", '<pre tabindex="0" data-language="py"><code>a &lt; b</code></pre>'),
    ("```\nnot closed yet", '<pre tabindex="0" data-language=""><code>not closed yet</code></pre>'),
    ("```py\ndef f", '<pre tabindex="0" data-language="py"><code>def f</code></pre>'),
    ("```py\ndef f\n```", '<span class="hljs-keyword">def</span>'),
    ("```nosuch\ndef <b>\n```", "<code>def &lt;b&gt;</code>"),
    ("    indented\n    code", "<code>indented\ncode</code>"),
    ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
    (
        "|a|b|c|\n|-|:-:|-:|\n|1|2|3|",
        '<tbody><tr><td>1</td><td class="center">2</td><td class="right">3</td></tr></tbody>',
    ),
    ("|a|\n|-|\n|1<br>2 \\| 3|", "<td>1<br>2 | 3</td>"),
    ("<b>bold</b> &amp; &copy; &#x41; text", "<p>&lt;b&gt;bold&lt;/b&gt; &amp; © A text</p>"),
    ("a  \nb\\\nc<br>d<BR/>e\nf", "<p>a<br>b<br>c<br>d<br>e\nf</p>"),
    ("`<br>`", "<p><code>&lt;br&gt;</code></p>"),
    (
        "- [ ] a\n- [x] b",
        '<li class="task"><input type="checkbox" disabled="" checked="" aria-label="Done"> b</li>',
    ),
    ("- [y] c\n- d [ ]", "<ul><li>[y] c</li><li>d [ ]</li></ul>"),
    ("see main.py and a@example.org", ">a@example.org</a></p>"),
    ("[a][1]\n\n[1]: https://example.org/x", 'href="https://example.org/x"'),
    (
        "a[^n]\n\n[^n]: why",
        '<section class="footnotes"><ol><li data-note-text="1" tabindex="-1"><p>why</p></li></ol></section>',
    ),
    (
        "a[^n]\n\n[^n]: why",
        '<p>a<sup><button type="button" class="note-ref" data-note="1" aria-label="Footnote 1">1</button></sup></p>',
    ),
    ("^[a-z]+$", "<p>^[a-z]+$</p>"),
]

GROWING: Final = [
    *(typed for typed, _ in CASES),
    "- a\n---x\n\n- b\n-\n- c\n\n  d\ne",
    "a\n#b\n#\n# c\n\na|b\nc|d\n-|-\n1|2\n3",
    "a\n```x`y\nb\n```js\nlet a = '```'\n\n```\n````md\n```\n````\nend",
    "1. a\n2. b\n\n\n3) c\n\n   ```\n   d\n   ```\n\n    e",
    "> a\nb\n> - c\n>\n> d\n\n> e\n\n\tf",
    "[^1] [x]\n\n- y\n\n[x]: https://example.org/\n[^1]: z\n\n    more\n\nlast",
    "# a\n\nb\n\n### c\n\nd\n\n- #### e\n\n###### f\n\ng\n\nh",
    "a\r\nb\r\n\r\nc\rd",
]

RENDER: Final = (
    "return import('./console/markdown.js').then(({ MarkdownView }) => {"
    " const view = new MarkdownView(); view.update(arguments[0]); return view.node.innerHTML })"
)

GROW: Final = (
    "return import('./console/markdown.js').then(({ MarkdownView }) => {"
    " const [text, breaks] = arguments, grown = new MarkdownView({ breaks }), pairs = [];"
    " for (let length = 1; length <= text.length; length += 1) {"
    "  grown.update(text.slice(0, length));"
    "  if (text.length > 400 && length % 50 && length < text.length) continue;"
    "  const whole = new MarkdownView({ breaks }); whole.update(text.slice(0, length));"
    "  pairs.push([grown.node.innerHTML, whole.node.innerHTML]);"
    " } return pairs })"
)


def test_markdown_becomes_what_it_means(open_tab: OpenTab) -> None:
    tab = open_tab()
    for typed, expected in CASES:
        assert expected in str(tab.script(RENDER, typed)), typed


def test_a_text_that_grows_ends_as_the_whole_text_does(open_tab: OpenTab) -> None:
    tab = open_tab()
    for text in (*GROWING, "\n\n".join(GROWING)):
        for breaks in (False, True):
            for grown, whole in tab.script(GROW, text, breaks):
                assert grown == whole


def test_what_was_not_closed_costs_no_more_than_it_is_long(open_tab: OpenTab) -> None:
    """A renderer that tried every way to pair these up would not come back."""
    tab = open_tab()
    for piece in ("**a ", "`", "[", "[a](", "*a_", "> ", "- ", "~~x", "|", "\\"):
        assert tab.script(RENDER, piece * 3000)
