"""The directives that a user can type."""

from __future__ import annotations

import re

import pytest

from app.offline import directives
from app.offline.directives import (
    Break,
    Call,
    Directive,
    Fail,
    Pause,
    Quirk,
    Say,
    Stop,
    Tempo,
    Think,
    read_script,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[say hello there]", Say("hello there")),
        ("[words 3]", Say("please look into")),
        ("[think]", Think("Let me think about this.")),
        ("[think about it]", Think("about it")),
        ("[redact]", Think("", redacted=True)),
        ('[call shell {"cmd": "ls"}]', Call("shell", {"cmd": "ls"})),
        ('[call shell {"cmd": "[a]", "n": [[1]]} ]', Call("shell", {"cmd": "[a]", "n": [[1]]})),
        ("[call list]", Call("list", {})),
        ("[pause]", Pause()),
        ("[pace 20]", Tempo(pace=20)),
        ("[delay 1.5]", Tempo(delay=1.5)),
        ("[stamp]", Tempo(stamp=True)),
        ("[truncate]", Stop("max_tokens", cuts="input")),
        ("[truncate-as-tool_use]", Stop("tool_use", cuts="input")),
        ("[max_tokens]", Stop("max_tokens", cuts="text")),
        ("[context_window]", Stop("model_context_window_exceeded", cuts="text")),
        ("[refuse]", Stop("refusal")),
        ("[fail 529]", Fail(529)),
        ("[fail 529 2]", Fail(529, 2)),
        ("[fail 429 1 retry-after 3]", Fail(429, 1, 3.0)),
        ("[hang-up 2]", Fail(None, 2)),
        ("[drop 5]", Break("drop", 5)),
        ("[drop 5 times 1]", Break("drop", 5, 1)),
        ("[stall 0]", Break("stall", 0)),
        ("[hold 2]", Break("hold", 2)),
        ("[error overloaded_error 5 times 2]", Break("error", 5, 2, "overloaded_error")),
        ("[same-ids]", Quirk("same-ids")),
        ("[nostop]", Quirk("nostop")),
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
    assert script.rounds == ((Call("a", {}), Call("b", {})), (Say("done"),))


def test_the_table_names_every_directive() -> None:
    documented = set(re.findall(r"`\[([a-z_-]+)", directives.__doc__ or ""))
    assert documented == {*directives._READERS, "call"}
