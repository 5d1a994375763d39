"""The directives that a user can type."""

from __future__ import annotations

import re

import pytest

from anthropic_standin import directives
from anthropic_standin.directives import (
    BreakDirective,
    CallDirective,
    Directive,
    FailDirective,
    PauseDirective,
    QuirkDirective,
    SayDirective,
    StopDirective,
    TempoDirective,
    ThinkDirective,
    read_script,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[say hello there]", SayDirective("hello there")),
        ("[words 3]", SayDirective("please look into")),
        ("[think]", ThinkDirective("Let me think about this.")),
        ("[think about it]", ThinkDirective("about it")),
        ("[redact]", ThinkDirective("", redacted=True)),
        ('[call shell {"cmd": "ls"}]', CallDirective("shell", {"cmd": "ls"})),
        ('[call shell {"cmd": "[a]", "n": [[1]]} ]', CallDirective("shell", {"cmd": "[a]", "n": [[1]]})),
        ("[call list]", CallDirective("list", {})),
        ("[pause]", PauseDirective()),
        ("[pace 20]", TempoDirective(pace=20)),
        ("[delay 1.5]", TempoDirective(delay=1.5)),
        ("[stamp]", TempoDirective(stamp=True)),
        ("[truncate]", StopDirective("max_tokens", cuts="input")),
        ("[truncate-as-tool_use]", StopDirective("tool_use", cuts="input")),
        ("[max_tokens]", StopDirective("max_tokens", cuts="text")),
        ("[context_window]", StopDirective("model_context_window_exceeded", cuts="text")),
        ("[refuse]", StopDirective("refusal")),
        ("[fail 529]", FailDirective(529)),
        ("[fail 529 2]", FailDirective(529, 2)),
        ("[fail 429 1 retry-after 3]", FailDirective(429, 1, 3.0)),
        ("[hang-up 2]", FailDirective(None, 2)),
        ("[drop 5]", BreakDirective("drop", 5)),
        ("[drop 5 times 1]", BreakDirective("drop", 5, 1)),
        ("[stall 0]", BreakDirective("stall", 0)),
        ("[hold 2]", BreakDirective("hold", 2)),
        ("[error overloaded_error 5 times 2]", BreakDirective("error", 5, 2, "overloaded_error")),
        ("[same-ids]", QuirkDirective("same-ids")),
        ("[nostop]", QuirkDirective("nostop")),
    ],
)
def test_a_directive_is_read(text: str, expected: Directive) -> None:
    script = read_script(f"Please {text} now")
    assert script.rounds == ((expected,),)
    assert script.words == "Please  now"


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "a[0] = b[say]",
        "[see the docs](https://example.com/)",
        "[ say x]",
        "[fail]",
        "[fail soon]",
        "[words many]",
        "[drop]",
        "[stamp twice]",
        "[call shell {broken]",
        '[call shell {"a": 1}',
        "[call]",
    ],
)
def test_other_brackets_are_text(text: str) -> None:
    script = read_script(text)
    assert script.rounds == ((),)
    assert script.words == text


def test_then_begins_the_next_round() -> None:
    script = read_script("[call a][call b]\n[then]\n[say done]")
    assert script.rounds == ((CallDirective("a", {}), CallDirective("b", {})), (SayDirective("done"),))


def test_the_table_names_every_directive() -> None:
    documented = set(re.findall(r"`\[([a-z_-]+)", directives.__doc__ or ""))
    assert documented == {*directives._READERS, "call"}
