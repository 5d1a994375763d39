"""A call that is being written, as the page puts it together from the events."""

from __future__ import annotations

from typing import Any, Final

from tests.console.conftest import OpenTab

PLAY: Final = (
    "return import('./console/conversation.js').then(({ Conversation }) => {"
    " const talk = new Conversation('s', { changed() {}, run() {}, gap() {} });"
    " return arguments[0].map((event) => { talk.apply(event); return talk.calls.get('c').arguments })})"
)


def event(kind: str, arguments: str | None, *, defined: bool) -> dict[str, Any]:
    function = {"name": "think"} if arguments is None else {"name": "think", "arguments": arguments}
    definition = {"tool_definition": {"name": "think"}} if defined else {}
    return {"type": kind, "agent_name": "root", "tool_call": {"id": "c", "function": function}, **definition}


def test_pieces_are_put_together_and_a_call_that_begins_anew_is_not_doubled(open_tab: OpenTab) -> None:
    told = [
        event("partial_tool_call", None, defined=True),
        event("partial_tool_call", '{"a"', defined=False),
        event("partial_tool_call", ":1", defined=False),
        event("partial_tool_call", '{"a":1', defined=True),
        event("partial_tool_call", "2}", defined=False),
        event("tool_call", '{"a":12}', defined=True),
    ]
    assert open_tab().script(PLAY, told) == ["", '{"a"', '{"a":1', '{"a":1', '{"a":12}', '{"a":12}']
