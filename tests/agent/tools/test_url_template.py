"""An argument never leaves its place in an address."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from app.agent.tools.url_template import InvalidArgument, filled, is_at

PLACE = re.compile(r"\$\{(\w+)\}")


def fill(template: str, argument: str) -> str:
    return filled(template, PLACE, lambda _: argument)


ESCAPES = [
    *[
        "",
        ".",
        "..",
        " ",
        ".. ",
        "/",
        "//",
        "\\",
        "../",
        "./x",
        "..\\x",
        "x/..",
        "x/../..",
        "a/./b",
        "x\\..\\y",
    ],
    *[
        "..\u200b",
        ".\u2060.",
        "\ufeff",
        "..;",
        "..;x=1",
        ".;",
        ";x",
        "..?x",
        "..#x",
        "..;/x",
        "?",
        "#",
        "\uff0e\uff0e",
        "\u2025",
        "\u2024\u2024",
        "x\uff0f..",
    ],
    *["\0", "a\0", "a\r\nX: y", "\n", "a\tb", "\x7f", "\x85"],
]


@pytest.mark.parametrize("decodings", [0, 1, 2, 3])
@pytest.mark.parametrize("argument", ESCAPES)
def test_what_could_be_read_as_another_path_is_refused(argument: str, decodings: int) -> None:
    for _ in range(decodings):
        argument = "".join(f"%{byte:02x}" for byte in argument.encode())[: 3 * 60] if argument else ""
    with pytest.raises(InvalidArgument):
        fill("http://h/users/1/keys/${x}", argument)
    with pytest.raises(InvalidArgument):
        fill("http://h/users/${x}/keys?a=b", argument)


def test_a_segment_is_judged_as_a_whole() -> None:
    with pytest.raises(InvalidArgument):
        fill("http://h/a/.${x}", ".")
    assert fill("http://h/a/${x}.json", "..") == "http://h/a/...json"


@pytest.mark.parametrize(
    "argument",
    [
        "x",
        "é",
        "a/b",
        "/etc/hosts",
        "a b",
        "a?b=1&c#d",
        "...",
        "a..b",
        ".git",
        "a;b",
        "100%",
        "\ud800",
        "{y}",
        "${x}",
    ],
)
def test_anything_else_is_one_segment(argument: str) -> None:
    url = fill("http://h/users/${x}/keys", argument)
    assert url == f"http://h/users/{quote(argument, safe='', errors='replace')}/keys"
    assert url.count("/") == 5


@pytest.mark.parametrize("argument", ["", "..", "a&b=c", "a\r\nb", "#x", "é"])
def test_anything_goes_in_a_query_encoded(argument: str) -> None:
    assert fill("http://h/a?q=${x}&z=1", argument) == f"http://h/a?q={quote(argument, safe='')}&z=1"


@pytest.mark.parametrize("argument", ["", "a.b", "a@b", "a:1", "a/b", "..", "-a", "a\n", "é"])
def test_an_argument_in_a_host_is_one_label(argument: str) -> None:
    with pytest.raises(InvalidArgument):
        fill("http://${x}.example/a", argument)
    assert fill("http://${x}.example/a", "eu-1") == "http://eu-1.example/a"


def test_origins_are_compared_whole() -> None:
    own = ("https://api.example/spec.json",)
    assert is_at("https://API.example:443/x", own)
    assert is_at("https://user@api.example./x", own)
    for other in (
        "http://api.example/",
        "https://api.example:8/",
        "https://api.example@evil/",
        "https://evil\\@api.example/",
        "https://api.example\\@evil/",
        "https://evil\t@api.example/",
        " https://api.example/",
        "https:api.example/",
        "https:///api.example/",
        "https://x:y/",
        "",
    ):
        assert not is_at(other, own)
