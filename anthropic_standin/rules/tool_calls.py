"""Every tool call has its one answer, in the one place where it belongs (T1-T6, and the server's own tools).

Client calls are judged on the messages as they came, although the API merges neighbours of one role today: a client
that leans on that for results breaks on the next server that does not.
"""

from __future__ import annotations

from itertools import takewhile

from anthropic_standin.refusal import Json
from anthropic_standin.rules.grammar import SERVER_RESULTS
from anthropic_standin.rules.roles import blocks_of
from anthropic_standin.rules.shape import wrong


def check_calls(messages: list[Json]) -> None:
    _check_unique(messages)
    for index, message in enumerate(messages):
        asked = _asked(messages[index - 1]) if index else []
        _check_results(message, index, asked)
        if missing := [call for call in asked if call not in _answered_first(message)]:
            raise _unanswered(index - 1, missing)
    if open_calls := _asked(messages[-1]):
        raise _unanswered(len(messages) - 1, open_calls)


def check_server_calls(messages: list[Json]) -> None:
    """A server tool's call and result both live in the assistant's turn; only a paused turn may wait."""
    seen: set[str] = set()
    waiting: dict[str, tuple[str, str]] = {}
    for index, message in enumerate(messages):
        for position, block in enumerate(blocks_of(message)):
            path = f"messages.{index}.content.{position}"
            if block["type"] == "server_tool_use":
                seen.add(block["id"])
                waiting[block["id"]] = (path, block["name"])
            elif block["type"] in SERVER_RESULTS:
                _check_server_result(block, path, seen)
                waiting.pop(block["tool_use_id"], None)
        if waiting and _turn_is_over(messages, index):
            call, (path, name) = next(iter(waiting.items()))
            raise wrong(
                path,
                f"`{name}` tool use with id `{call}` was found without a corresponding "
                f"`{name}_tool_result` block",
            )


def _check_server_result(block: Json, path: str, seen: set[str]) -> None:
    call, kind = block["tool_use_id"], block["type"]
    if call not in seen:
        raise wrong(
            path,
            f"unexpected `tool_use_id` found in `{kind}` blocks: {call}. Each `{kind}` block must have "
            "a corresponding `server_tool_use` block before it.",
        )


def _turn_is_over(messages: list[Json], index: int) -> bool:
    """Whether the assistant's turn ends here, and not for the client's results or for a pause."""
    if messages[index]["role"] != "assistant" or index + 1 == len(messages):
        return False
    return messages[index + 1]["role"] != "assistant" and not _asked(messages[index])


def _check_unique(messages: list[Json]) -> None:
    seen: set[str] = set()
    for index, message in enumerate(messages):
        for position, block in enumerate(blocks_of(message)):
            if block["type"] not in ("tool_use", "server_tool_use"):
                continue
            if block["id"] in seen:
                raise wrong(f"messages.{index}.content.{position}", "`tool_use` ids must be unique")
            seen.add(block["id"])


def _check_results(message: Json, index: int, asked: list[str]) -> None:
    answered: set[str] = set()
    for position, block in enumerate(blocks_of(message)):
        if block["type"] != "tool_result":
            continue
        call, path = block["tool_use_id"], f"messages.{index}.content.{position}"
        if call not in asked:
            raise wrong(
                path,
                f"unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each `tool_result` block "
                "must have a corresponding `tool_use` block in the previous message.",
            )
        if call in answered:
            raise wrong(
                path,
                "each tool_use must have a single result. "
                f"Found multiple `tool_result` blocks with id: {call}",
            )
        answered.add(call)


def _asked(message: Json) -> list[str]:
    return [block["id"] for block in blocks_of(message) if block["type"] == "tool_use"]


def _answered_first(message: Json) -> set[str]:
    """The calls answered before any other kind of block: a later answer does not count."""
    results = takewhile(lambda block: block["type"] == "tool_result", blocks_of(message))
    return {block["tool_use_id"] for block in results}


def _unanswered(index: int, calls: list[str]) -> Exception:
    return wrong(
        f"messages.{index}",
        f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(calls)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
    )
