"""Regular expressions that a model looks for: whatever they are, the search ends, and the server does not notice."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.tools import regex_search
from app.agent.tools.regex_search import BadPattern, RegexSearch, TooSlow
from tests.agent.cancellation import FakeCancellation
from tests.fuzz.limits import LARGE, bounded, joined, tries

TOKENS = (
    *(
        "(",
        ")",
        "(?:",
        "(?=",
        "(?<!",
        "(?P<a>",
        "(?P=a)",
        "(?(1)",
        "[",
        "]",
        "[^",
        "{",
        "}",
        "{9,}",
        "{,99999}",
        "*",
    ),
    *(
        "+",
        "?",
        "|",
        "^",
        "$",
        ".",
        "\\",
        "\\d",
        "\\1",
        "\\b",
        "\\u",
        "a",
        "b",
        "-",
        "(?i)",
        "(?x)",
        "#",
        "\0",
        "é",
    ),
)
TEXTS = st.one_of(st.binary(max_size=40), joined((b"a", b"b", b"\n", b"\xff", b" ", b"1"), most=40))


def test_any_pattern_finds_or_is_refused_or_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex_search, "SECONDS", 0.5)

    @tries(40)
    @given(st.one_of(joined(TOKENS, most=12), st.text(max_size=12)), TEXTS)
    @example("(a*)*b", b"a" * 60)
    @example("(a|a)*$", b"a" * 60 + b"!")
    @example("(((a{999}){999}){999}){999}", b"a")
    @example("a{4294967295}", b"a")
    @example("(" * 20_000, b"a")
    @example("[" + "a-z" * LARGE, b"a")
    @example("\ud800", b"\xed\xa0\x80")
    @example("$", b"\n" * LARGE)
    def each(pattern: str, data: bytes) -> None:
        with bounded():
            try:
                with RegexSearch(pattern, FakeCancellation()) as search:
                    spans = search.spans(data)
            except (BadPattern, TooSlow):
                return
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        assert len(spans) <= 1000
        for line, start, end in spans:
            assert 0 <= start <= end <= len(lines[line])

    each()
