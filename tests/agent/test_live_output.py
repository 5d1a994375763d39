"""A tool's output while it runs: in order, whole characters, within bounds, between the call and its result."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from app.agent.live_output import LEFT_OUT, MOST_BYTES, PAUSE_SECONDS, PIECE, LiveOutput
from app.agent.toolset import Outcome, ToolCancelled, ToolContext, ToolResult
from app.conversation.call_events import ToolCallOutput, ToolCallResponse, ToolCallStarted
from app.conversation.run import Answer
from app.errors import RunCancelled
from tests.agent.scripted_model import ScriptedModel, called, said
from tests.agent.stage import Stage, tool
from tests.conversation.rows import user

SECONDS = 20.0  # a test that fails waits no longer


@dataclass
class Shown:
    """A clock that stands still, and what was shown."""

    now: float = 100.0
    pieces: list[str] = field(default_factory=list)

    def output(self, *, is_open: bool = True, mask: Callable[[str], str] | None = None) -> LiveOutput:
        output = LiveOutput(self.pieces.append, lambda: self.now, mask=mask)
        if is_open:
            output.open()
        return output


def test_the_first_piece_comes_at_once_and_what_comes_soon_after_it_as_one() -> None:
    shown = Shown()
    output = shown.output()
    for text in (b"a", b"b", b"c"):
        output.write(text)
    assert (shown.pieces, output.due) == (["a"], PAUSE_SECONDS)
    shown.now += PAUSE_SECONDS
    output.flush()
    output.flush()
    assert (shown.pieces, output.due) == (["a", "bc"], None)


def test_characters_arrive_whole_however_the_bytes_are_cut() -> None:
    words = "caf\u00e9 \u20ac \U0001f600 end"
    shown = Shown()
    output = shown.output()
    for byte in words.encode():
        output.write(bytes([byte]))
        shown.now += PAUSE_SECONDS
    output.close()
    assert "".join(shown.pieces) == words
    assert "\u20ac" in shown.pieces


def test_bytes_that_are_no_text_are_shown_as_in_results() -> None:
    shown = Shown()
    output = shown.output()
    output.write(b"caf\xe9 \0")
    assert shown.pieces == ["caf\ufffd \ufffd"]


def test_a_flood_is_cut_and_that_is_said_once() -> None:
    shown = Shown()
    output = shown.output()
    for _ in range(100):
        output.write(b"x" * 65_536)
        shown.now += PAUSE_SECONDS
    output.close()
    assert "".join(shown.pieces) == "x" * MOST_BYTES + LEFT_OUT
    assert max(map(len, shown.pieces)) <= PIECE


def test_output_of_exactly_the_bound_leaves_nothing_out() -> None:
    shown = Shown()
    output = shown.output()
    output.write(b"x" * MOST_BYTES)
    output.close()
    assert "".join(shown.pieces) == "x" * MOST_BYTES


def test_a_character_at_the_bound_is_not_cut_in_two() -> None:
    shown = Shown()
    output = shown.output()
    output.write(b"x" * (MOST_BYTES - 1) + "\u20ac".encode())
    output.close()
    assert "".join(shown.pieces) == "x" * (MOST_BYTES - 1) + LEFT_OUT


def test_nothing_is_shown_before_it_is_open_nor_written_after_it_is_closed() -> None:
    shown = Shown()
    output = shown.output(is_open=False)
    output.write(b"early")
    assert (shown.pieces, output.due) == ([], None)
    output.close()
    output.write(b"late")
    output.open()
    output.write(b"later")
    assert shown.pieces == ["early"]


def without_secret(text: str) -> str:
    return re.sub(
        r"BEGIN\nsecret.*?(END|\Z)", "[masked]", text.replace("password", "[masked]"), flags=re.DOTALL
    )


def test_a_mask_sees_whole_lines_so_that_no_piece_tells_half_a_secret() -> None:
    shown = Shown()
    output = shown.output(mask=without_secret)
    for piece in (b"my pass", b"word", b" is\nnot ", b"told"):
        output.write(piece)
        shown.now += PAUSE_SECONDS
        output.flush()
    assert "".join(shown.pieces) == "my [masked] is\n"
    assert output.due == PAUSE_SECONDS, "half a line is held back, and nobody waits for it in a circle"
    output.close()
    assert "".join(shown.pieces) == "my [masked] is\nnot told"


def test_where_a_mask_changes_what_was_shown_the_rest_is_left_out() -> None:
    shown = Shown()
    output = shown.output(mask=without_secret)
    for piece in (b"BEGIN\n", b"secret\n", b"more of it\n", b"END\n"):
        output.write(piece)
        shown.now += PAUSE_SECONDS
        output.flush()
    output.close()
    assert "".join(shown.pieces) == "BEGIN\n" + LEFT_OUT


# ---- in a run


def told(stage: Stage) -> list[tuple[str, str, str]]:
    seen = []
    for event in stage.events():
        match event:
            case ToolCallStarted():
                seen.append(("call", event.tool_call["id"], ""))
            case ToolCallOutput():
                seen.append(("output", event.tool_call_id, event.output))
                assert event.tool_definition["name"] == "look"
            case ToolCallResponse():
                seen.append(("response", event.tool_call["id"], event.response))
    return seen


def test_calls_side_by_side_show_their_output_between_their_own_call_and_result() -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    def look(arguments: object, context: ToolContext) -> Outcome:
        assert context.output is not None
        assert isinstance(arguments, dict)
        both.wait()
        context.output.write(arguments["id"].encode())
        both.wait()  # both have written before one of them ends
        return ToolResult("seen")

    calls = [(f"c{number}", "look", {"id": f"c{number}"}) for number in range(2)]
    stage = Stage(ScriptedModel(called(*calls), said("done")), tool("look", look))
    stage.perform(user("Hi"))
    assert told(stage) == [
        (kind, call_id, text)
        for call_id in ("c0", "c1")
        for kind, text in (("call", ""), ("output", call_id), ("response", "seen"))
    ]


@pytest.mark.parametrize("ends", [ToolCancelled("stopped"), OSError("broken")])
def test_a_tool_that_breaks_off_shows_nothing_after_its_end(ends: Exception) -> None:
    outputs: list[LiveOutput] = []

    def look(_arguments: object, context: ToolContext) -> Outcome:
        assert context.output is not None
        outputs.append(context.output)
        context.output.write(b"first")
        context.output.write(b"last")
        raise ends

    stage = Stage(
        ScriptedModel(called(("c0", "look", {})), said("done")), tool("look", look, read_only=False)
    )
    stage.answers = [Answer("approve")]
    try:
        stage.perform(user("Hi"))
    except RunCancelled:
        assert isinstance(ends, ToolCancelled)
    outputs[0].write(b"too late")
    outputs[0].flush()
    kinds = [(kind, text) for kind, _, text in told(stage)]
    assert kinds[:3] == [("call", ""), ("output", "first"), ("output", "last")]
    assert [kind for kind, _ in kinds[3:]] == ["response"]
