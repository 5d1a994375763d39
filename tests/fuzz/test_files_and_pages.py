"""Pages, pictures, `.gitignore` files, durations, retry times: what else strangers write."""

from __future__ import annotations

import fnmatch
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.picture_admission import Unusable, admit, decode_base64, is_data_uri
from app.agent.retry_after import retry_after
from app.agent.tools import gitignore
from app.agent.tools.html_text import to_markdown, to_text
from app.agent.tools.image_header import recognise, unfit
from app.agent.tools.sandbox import Sandbox
from app.agent.tools.url_template import is_at
from app.team.durations import parse_duration
from app.team.permissions import is_pattern
from tests.agent.tools.pictures import drawn, size_of
from tests.fuzz.limits import LARGE, bounded, joined, large, tries

HTML = (
    *(
        "<p>",
        "</p>",
        "<svg>",
        "</svg>",
        "<style>",
        "</style>",
        "<script>",
        "</script",
        "<!--",
        "-->",
        "<!",
        "<?",
        "</",
    ),
    *(
        "<a href='",
        "'>",
        "</a>",
        "<pre>",
        "</pre>",
        "<li>",
        "<ol>",
        "<ul>",
        "</ul>",
        "<td>",
        "<",
        ">",
        "&amp;",
        "&#x",
    ),
    *(
        "&",
        ";",
        "<![CDATA[",
        "]]>",
        " ",
        "\n",
        "\t",
        "a",
        "\0",
        "\ud800",
        "é",
        "<b",
        " x=",
        '"',
        "<br/>",
        "<svg/>",
    ),
    *("<h1>", "<template>", "</template>", "<!DOCTYPE ", "[", "<textarea>", "<title>", "<plaintext>"),
)
PAGE = 1 << 17  # an eighth of what is fetched


@tries(150)
@given(st.one_of(joined(HTML), st.text(max_size=200), large(HTML)))
@example("<pre>" + " " * PAGE)
@example("<pre>" + "\t" * PAGE + "x")
@example("<svg>" * 25_000 + "</p>" * 30_000)
@example("<svg><style>" * 12_000 + "</noscript>" * 12_000)
@example("<!--" * (PAGE // 4))
@example("<![CDATA[" * (PAGE // 9))
@example("<a x=" * (PAGE // 5))
@example("<a" + " x" * (PAGE // 2))
@example("</" * (PAGE // 2))
@example("<script>" + "</script" * (PAGE // 8))
@example("&" * PAGE)
@example("&#" * (PAGE // 2))
@example("<" * PAGE)
@example("<!DOCTYPE " * (PAGE // 10))
@example("<![" * (PAGE // 3))
@example("<![<!")
@example("<![if !IE]>seen<![endif]>")
def test_any_page_gives_text_in_linear_time(page: str) -> None:
    with bounded():
        found = (to_text(page), to_markdown(page))
    for text in found:
        assert len(text) <= 30 * len(page) + 100


IGNORED = (
    *(
        "*",
        "**",
        "/",
        "!",
        "#",
        "\\",
        "[",
        "]",
        "[!",
        "[^",
        "-",
        "a",
        "?",
        "\n",
        " ",
        "\r\n",
        "(",
        ")",
        "{",
        "|",
        "&&",
    ),
    *("[a-", "[[", "[z-a]", "--", "~~", "||", "\\\\", "**/", "/**", "\udcff", "é", "[[:alpha:]]", "*a"),
)


@tries(150)
@given(
    st.one_of(joined(IGNORED), st.text(max_size=60), large(IGNORED)),
    st.lists(st.one_of(st.just("a" * 255), joined(("a", "b", "*", "]", "\n", "\udcff"), most=8)), max_size=6),
)
@example("*a" * (LARGE * 4) + "b", ["a" * 255] * 8)
@example("[" * LARGE, ["a"])
@example("**/" * LARGE, ["a"] * 200)
@example(("[" * 4000 + "\n") * 30, ["a"])
@example("**/" * 1300 + "b", ["a"] * 200)
@example("a*" * 100 + "\n" + ("*a" * 120 + "b\n") * 1000, ["a" * 255] * 4)
def test_any_gitignore_gives_rules_that_decide_soon(text: str, path: list[str]) -> None:
    with bounded():
        rules = gitignore.parse(text)
        assert len(rules) <= gitignore.MAX_RULES
        for rule in rules[:200]:
            rule.matches(path, True)


def test_the_gitignore_files_of_one_walk_have_a_bound_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file costs what it may; there can be any number of both."""
    monkeypatch.setattr(gitignore, "SECONDS_OF_ALL", 0.1)
    (tmp_path / ".gitignore").write_text("b\n" + "**/x/**/y/**/z\n" * 2000)
    deep = "/".join("x" * 40)
    with bounded():
        ignored = gitignore.Ignored(Sandbox(tmp_path))
        assert ignored.hides("b", False)
        hidden = [ignored.hides(f"{deep}/{number}/.git", True) for number in range(1000)]
        assert all(hidden)
        assert not ignored.hides("b", False)


@tries(300)
@given(joined(("[", "]", "!", "a", "*"), most=8), joined(("[", "]", "!", "a"), most=6))
def test_a_bracket_without_an_end_stands_for_itself(glob: str, name: str) -> None:
    assert bool(gitignore._compile(glob).match(name)) == fnmatch.fnmatchcase(name, glob)


MAGIC = (
    *(
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"RIFF\0\0\0\0WEBP",
        b"VP8X",
        b"VP8L",
        b"VP8 ",
        b"\xff",
        b"\0",
    ),
    *(
        b"\xff\xc0",
        b"\xff\xe0\0\2",
        b"\xff\xe0\0\0",
        b"\xff\xe0\xff\xff",
        b"IHDR",
        struct.pack(">I", 2**31),
        b"\x2f",
    ),
)


@tries(150)
@given(st.one_of(joined(MAGIC), st.binary(max_size=80), large(MAGIC)))
@example(b"\xff\xd8\xff" + b"\xff\xe0\0\0" * LARGE)
@example(b"\xff\xd8" + b"\xff" * (LARGE * 30))
def test_any_bytes_are_a_picture_or_none(data: bytes) -> None:
    with bounded():
        picture = recognise(data)
    if picture is not None:
        assert picture.width >= 0
        assert picture.height >= 0
        assert unfit(picture, len(data)) or 0 < picture.width <= 8000


WHOLE = [drawn(40, 30, kind) for kind in ("PNG", "JPEG", "GIF", "WEBP")]
WHOLE += [drawn(2100, 8), drawn(40, 30, "GIF", frames=3), drawn(40, 30, mode="P"), drawn(40, 30, mode="L")]


@tries(150)
@given(
    st.sampled_from(WHOLE),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_a_picture_with_any_damage_is_admitted_as_one_that_can_be_decoded_or_not_at_all(
    whole: bytes, cut: float, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(whole[: int(len(whole) * cut) or len(whole)])
    for place, value in changes:
        data[int(place * len(data))] = value
    with bounded():
        try:
            admitted = admit(bytes(data))
        except Unusable:
            return
    assert max(size_of(admitted.data)) <= 2000


@tries(150)
@given(st.text(max_size=300))
@example("data:image/png;base64," + "A" * LARGE)
@example(" " * LARGE + "=")
def test_any_text_is_base64_or_not(text: str) -> None:
    with bounded():
        is_data_uri(text)
        try:
            decode_base64(text)
        except ValueError:
            pass


RETRY = (
    *(
        "1",
        "0",
        "-",
        ".",
        "e",
        "9" * 30,
        "nan",
        "inf",
        "_",
        " ",
        "Fri, ",
        "31 Dec ",
        "9999 ",
        "0000 ",
        "23:59:59",
    ),
    *("GMT", "+9999", "-0000", "Jan", ",", ":", "\0", "é", "٣", "99:99", "-2400", "1" * 400),
)
VALUE = st.one_of(joined(RETRY, most=8), st.text(max_size=20), large(RETRY, size=4000))


@tries(250)
@given(st.dictionaries(st.sampled_from(("retry-after", "retry-after-ms")), VALUE))
@example({"retry-after": "Fri, 31 Dec 0000 23:59:59 +9999"})
@example({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"})
def test_any_retry_time_is_a_number_of_seconds_or_none(headers: Mapping[str, str]) -> None:
    with bounded():
        seconds = retry_after(headers, 1.8e9)
    assert seconds is None or 0 <= seconds < float("inf")


@tries(150)
@given(
    st.one_of(
        joined(("1", "9" * 400, ".", "h", "m", "ms", "µs", "-", "+", "٣", " ", "1h")), st.text(max_size=20)
    )
)
def test_any_duration_is_a_number_or_a_value_error(text: str) -> None:
    with bounded():
        try:
            parse_duration(text)
        except ValueError:
            return


@tries(150)
@given(
    st.one_of(
        joined(("*", "[", "]", "!", "-", ":", "=", "a", "\\", "/", "(", "{", "é")), st.text(max_size=40)
    )
)
@example("[a--b]")
@example("[a&&b]")
@example("[[a]")
def test_any_pattern_of_permissions_is_one_or_not(text: str) -> None:
    with bounded():
        assert is_pattern(text) in (True, False)


@tries(150)
@given(
    st.one_of(
        joined(("http://", "a", "[", "]", ":", "@", "/", "99999", "%", "\\", "?", "#", "é", "\0")), st.text()
    )
)
def test_any_text_is_at_an_address_or_not(url: str) -> None:
    with bounded():
        assert is_at(url, ["https://example.com"]) in (True, False)


@pytest.mark.parametrize("text", ["", "\ufeff", "\0"])
def test_a_page_of_nothing_is_nothing(text: str) -> None:
    assert len(to_text(text)) <= 1
