"""Pages as a reader sees them."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from app.agent.tools.html_text import to_markdown, to_text

PAGE = """<!doctype html><html><head><title>T</title><style>p{}</style></head><body>
<h1>Head &amp; <em>shoulders</em></h1>
<p>One   <b>bold</b>
line<br>and <a href="/x">a link</a>.</p><script>evil()</script>
<ul><li>first<li>second<ul><li>inner</li></ul></li></ul>
<ol><li>one</li><li>two</li></ol>
<pre><code>a  b
  c</code></pre>
<table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td>2</td></tr></table>
<img alt="cat" src="c.png"><svg><text>hidden</text></svg></body></html>"""


def test_markdown_keeps_the_structure() -> None:
    assert to_markdown(PAGE) == (
        "# Head & *shoulders*\n\nOne **bold** line\nand [a link](/x).\n\n- first\n- second\n\n  - inner\n\n"
        "1. one\n2. two\n\n```\na  b\n  c\n```\n\nk v\n1 2\n\n![cat](c.png)"
    )


def test_text_keeps_the_words() -> None:
    assert to_text(PAGE) == (
        "Head & shoulders\n\nOne bold line\nand a link.\n\nfirst\nsecond\n\ninner\n\none\ntwo\n\n"
        "a  b\n  c\n\nk v\n1 2"
    )


@pytest.mark.parametrize(
    "html", ["", "</p></ul></a>", "<a>x", "<li>x", "<b", "x &am", "<!-- never closed", "<svg/>x"]
)
def test_broken_html_breaks_nothing(html: str) -> None:
    for convert in (to_text, to_markdown):
        assert isinstance(convert(html), str)


def test_words_after_a_reference_at_the_end_are_not_lost() -> None:
    assert to_text("<p>fish &amp") == "fish &"


@pytest.mark.parametrize("part", ["<", "<a ", "<!--", "</", "&", "<svg>", "<!", "<?", "<p a='"])
def test_the_parser_does_not_look_at_a_hostile_page_again_and_again(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0
    feed = HTMLParser.feed

    def counting(self: HTMLParser, data: str) -> None:
        nonlocal looked_at
        looked_at += len(self.rawdata) + len(data)
        feed(self, data)

    monkeypatch.setattr(HTMLParser, "feed", counting)
    page = part * (100_000 // len(part))
    to_markdown(page)
    assert 0 < looked_at <= 4 * len(page)
