"""Permission patterns: the contract's examples, the fixed rough edges, and the properties that must hold."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.team.permissions import Permissions, argument_text, decide, is_pattern, parse_pattern
from tests.team.teams import steady


def allows(pattern: str, tool: str, arguments: dict[str, Any] | None = None) -> bool:
    return decide(Permissions(allow=(pattern,)), tool, arguments) == "allow"


def denies(pattern: str, tool: str, arguments: dict[str, Any] | None = None) -> bool:
    return decide(Permissions(deny=(pattern,)), tool, arguments) == "deny"


@pytest.mark.parametrize(
    ("pattern", "tool", "arguments"),
    [
        ("read_*", "read_file", {}),
        ("*", "anything", None),
        ("Shell", "sHELL", {}),
        ("mcp:github:*", "mcp:github:create_issue", {}),
        ("mcp_github_*", "mcp_github_list", {}),
        ("shell:cmd=git status*", "shell", {"cmd": "git status --short /tmp/x"}),
        ("shell:cmd=LS", "shell", {"cmd": "ls"}),
        ("shell:cmd=ls*:cwd=/home/*", "shell", {"cmd": "ls -l", "cwd": "/home/ada/code"}),
        ("fetch:url=https://example.com/*", "fetch", {"url": "https://example.com/a:b"}),
        ("fetch:url=http://localhost:8080/x", "fetch", {"url": "http://localhost:8080/x"}),
        ("t:n=3", "t", {"n": 3.0}),
        ("t:b=true", "t", {"b": True}),
        ("t:l=[[]a b]", "t", {"l": ["a", "b"]}),
        ("t:l=\\[a b\\]", "t", {"l": ["a", "b"]}),
        ("t:x=?a[0-9]", "t", {"x": "ba7"}),
        ("t:x=[^a]", "t", {"x": "b"}),
        ("t:x=a=b", "t", {"x": "a=b"}),
        ("t:x=", "t", {"x": ""}),
    ],
)
def test_a_pattern_matches_what_it_says(pattern: str, tool: str, arguments: dict[str, Any] | None) -> None:
    assert allows(pattern, tool, arguments)


@pytest.mark.parametrize(
    ("pattern", "tool", "arguments"),
    [
        ("read_*", "write_file", {}),
        ("shell", "shell_extra", {}),
        ("shell:cmd=ls", "shell", {"cmd": "ls -l"}),
        ("shell:cmd=ls", "shell", {}),
        ("shell:cmd=*", "shell", None),
        ("shell:cmd=ls*:cwd=/home/*", "shell", {"cmd": "ls", "cwd": "/etc"}),
        ("fetch:url=https://example.com/*", "fetch", {"url": "https://evil.test/"}),
        ("t:x=*foo*", "t", {"x": "a/foo"}),
        ("t:x=?", "t", {"x": "/"}),
        ("t:x=[^a]", "t", {"x": "A"}),
    ],
)
def test_a_pattern_matches_nothing_else(pattern: str, tool: str, arguments: dict[str, Any] | None) -> None:
    assert not allows(pattern, tool, arguments)


def test_a_colon_stays_in_the_value_that_it_belongs_to_e33() -> None:
    assert parse_pattern("api:url=https://x:8080/a?b=c:method=GET") == (
        "api",
        (("url", "https://x:8080/a?b=c"), ("method", "GET")),
    )


def test_a_star_that_forbids_crosses_slashes_and_one_that_permits_does_not_e33() -> None:
    arguments = {"cmd": "/usr/bin/sudo ls"}
    assert denies("shell:cmd=*sudo*", "shell", arguments)
    assert decide(Permissions(ask=("shell:cmd=*sudo*",)), "shell", arguments) == "ask"
    assert not allows("shell:cmd=*sudo*", "shell", arguments)


def test_many_stars_cost_no_more_than_few() -> None:
    assert not denies(f"t:x={'*a' * 30}b", "t", {"x": "a" * 100_000})


def test_deny_comes_before_allow_and_allow_before_ask() -> None:
    everything = Permissions(allow=("*",), ask=("*",), deny=("shell",))
    assert decide(everything, "shell", {}) == "deny"
    assert decide(everything, "fetch", {}) == "allow"
    assert decide(Permissions(ask=("*",)), "fetch", {}) == "ask"
    assert decide(Permissions(), "fetch", {}) is None


@pytest.mark.parametrize("pattern", ["a[", "a[b", "t:x=\\", "[]", "t:x=[z-a]", "[^]"])
def test_a_broken_pattern_is_recognised_and_allows_nothing(pattern: str) -> None:
    assert not is_pattern(pattern)
    assert decide(Permissions.model_construct(allow=(pattern,)), "a", {"x": "b"}) is None


@pytest.mark.parametrize("pattern", ["a[", "t:x=\\", "t:x=[z-a]", "*:x=["])
def test_a_broken_pattern_denies_what_it_might_mean(pattern: str) -> None:
    assert denies(pattern, "t", {"x": "b"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (True, "true"),
        (None, "<nil>"),
        (3, "3"),
        (3.0, "3"),
        (0.5, "0.5"),
        (["a", 1, False], "[a 1 false]"),
        ({"b": 2, "a": ["x"]}, "map[a:[x] b:2]"),
    ],
)
def test_arguments_are_matched_in_gos_notation(value: object, text: str) -> None:
    assert argument_text(value) == text


patterns = st.text(alphabet="ab*?[]^-\\:=/ x.", max_size=20)
json_values = st.recursive(
    st.sampled_from([None, True, False, 0, -7, 2.5, 1e30, "", "a/b", "x:[y]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner),
    max_leaves=5,
)
arguments = st.none() | st.dictionaries(st.sampled_from(["a", "b", "x"]), json_values, max_size=3)
plain = st.text(alphabet=string.ascii_lowercase + string.digits + "_- /.", min_size=1, max_size=15)


@steady
@given(pattern=patterns, tool=plain, call=arguments)
def test_any_pattern_meets_any_call_without_an_error(
    pattern: str, tool: str, call: dict[str, Any] | None
) -> None:
    assert decide(Permissions(deny=(pattern,)), tool, call) in ("deny", None)


@steady
@given(pattern=patterns, tool=plain, call=arguments)
def test_what_a_pattern_allows_it_would_also_deny(
    pattern: str, tool: str, call: dict[str, Any] | None
) -> None:
    allowed = decide(Permissions(allow=(pattern,)), tool, call)
    denied = decide(Permissions(deny=(pattern,)), tool, call)
    assert allowed is None or denied == "deny"


@steady
@given(tool=plain, value=st.text(alphabet=string.printable, max_size=30))
def test_a_value_without_special_characters_matches_itself_and_its_extensions(tool: str, value: str) -> None:
    escaped = "".join(f"\\{char}" if char in "*?[\\" else char for char in value)
    if ":" in value:
        return
    assert allows(f"{tool}:x={escaped}", tool, {"x": value})
    assert not allows(f"{tool}:x={escaped}", tool, {"x": f"{value}!"})


@steady
@given(tool=plain, prefix=plain, rest=st.text(alphabet="aZ/\n *ü", max_size=10))
def test_a_trailing_star_after_plain_text_matches_every_continuation(
    tool: str, prefix: str, rest: str
) -> None:
    assert allows(f"{tool}:x={prefix}*", tool, {"x": prefix + rest})


@steady
@given(url=st.from_regex(r"https?://[a-z]{1,8}(:[0-9]{1,4})?(/[a-z:]{0,8}){0,3}", fullmatch=True))
def test_any_address_can_be_written_into_a_pattern(url: str) -> None:
    assert allows(f"fetch:url={url}", "fetch", {"url": url})


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": ".env/"},
        {"path": "a/../.env"},
        {"path": ".//.env"},
        {"paths": ["README.md", "./.env"]},
        {"paths": ".env/."},
    ],
)
def test_a_denial_over_a_path_catches_every_spelling_and_every_item(arguments: dict[str, Any]) -> None:
    assert denies("*:path=.env", "any_tool", arguments)


@pytest.mark.parametrize("name", ["filePath", "source", "destination", "old_path", "files", "targetFile"])
def test_a_denial_catches_spellings_in_arguments_of_other_servers_tools(name: str) -> None:
    assert denies(f"*:{name}=*.env", "move", {name: "a/.env/"})
    assert denies(f"*:{name}=*.env", "move", {name: ["x", "a/.env/."]})


def test_a_permission_over_a_path_allows_no_detour() -> None:
    assert allows("write_file:path=docs/*", "write_file", {"path": "docs/a.md"})
    assert not allows("write_file:path=docs/*", "write_file", {"path": "docs/../a.md"})
    assert not allows("read_multiple_files:path=docs/*", "read_multiple_files", {"paths": ["docs/a", "b"]})
    assert allows("clone:source=https://x/*", "clone", {"source": "https://x/y"})
