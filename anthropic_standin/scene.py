"""Where a conversation stands: whose words are being answered, and how far the answer has come."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from anthropic_standin.refusal import Json
from anthropic_standin.rules.roles import blocks_of


@dataclass(frozen=True, slots=True)
class Scene:
    words: str  # all texts of the user's turn that is being answered
    last_words: str  # the last of them
    opening: str  # the first words of the session
    round: int  # how many times tools have answered since
    searches: tuple[str, ...]  # the server's calls in the assistant's unfinished turn
    results: tuple[str, ...]  # the tools' newest results
    call_ids: tuple[str, ...]  # of all calls so far

    @property
    def key(self) -> str:
        """The same for every request that answers these words in this session."""
        return hashlib.sha256(f"{self.opening}\0{self.words}".encode()).hexdigest()


def read_scene(messages: list[Json]) -> Scene:
    spoken = [index for index, message in enumerate(messages) if _texts(message)]
    last = spoken[-1] if spoken else 0
    first = last
    while first > 0 and messages[first - 1]["role"] == "user":
        first -= 1
    texts = [text for message in messages[first : last + 1] for text in _texts(message)]
    since = messages[last + 1 :]
    return Scene(
        words="\n".join(texts),
        last_words=texts[-1] if texts else "",
        opening=_texts(messages[spoken[0]])[0] if spoken else "",
        round=sum(_answers(message) for message in since),
        searches=_open_turn(since),
        results=_results([message for message in since if message["role"] == "user"][-1:]),
        call_ids=tuple(_calls(messages)),
    )


def _texts(message: Json) -> list[str]:
    """A person's words in this message. Results are not a person's words."""
    if message["role"] != "user":
        return []
    return [block["text"] for block in blocks_of(message) if block["type"] == "text"]


def _answers(message: Json) -> bool:
    return any(block["type"] == "tool_result" for block in blocks_of(message))


def _open_turn(since: list[Json]) -> tuple[str, ...]:
    """The searches of the turn that is last and unfinished: each of them was a pause."""
    ids: list[str] = []
    for message in since:
        if message["role"] == "user":
            ids.clear()
        ids += [block["id"] for block in blocks_of(message) if block["type"] == "server_tool_use"]
    return tuple(ids) if since and since[-1]["role"] == "assistant" else ()


def _results(messages: list[Json]) -> tuple[str, ...]:
    blocks = [block for message in messages for block in blocks_of(message) if block["type"] == "tool_result"]
    return tuple(
        " ".join(
            part["text"] for part in blocks_of({"content": block.get("content") or []}) if "text" in part
        )
        for block in blocks
    )


def _calls(messages: list[Json]) -> list[str]:
    return [
        block["id"] for message in messages for block in blocks_of(message) if block["type"] == "tool_use"
    ]
