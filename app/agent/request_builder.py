"""Turns a transcript into requests; what has not changed since the last one is not encoded again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from app.agent import model_catalogue
from app.agent.kept_history import Group, KeptHistory
from app.agent.model_client import ModelRequest
from app.conversation.blocks import Block, for_api, is_thinking
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.hook_context import is_hook_context
from app.conversation.system_words import is_system
from app.conversation.transcript import Message, api_content

_CACHE: Final = {"type": "ephemeral"}
_PLACE: Final = re.compile(r"messages\.(\d{1,9})\.content\.(\d{1,9})")
_MARKED_MESSAGES: Final = 2  # the newest place to cache up to, and the one of the request before


class RequestBuilder:
    """Follows one transcript under one prompt. Give it the rows whenever there are more of them; if the last
    ones are not those that it knows (a paused turn was given up), it begins anew."""

    def __init__(self, prompt: FrozenPrompt, kept: KeptHistory | None = None) -> None:
        """`kept` has what earlier runs have encoded, and gets what this one encodes first."""
        self.prompt = prompt
        self._kept = kept
        self._groups: list[Group] = []
        self._rows = 0
        self._newest: Message | None = None

    def build(
        self,
        rows: Sequence[Message],
        *,
        model: str,
        max_tokens: int,
        options: Mapping[str, Any],
        base_url: str = "",
    ) -> ModelRequest:
        """The request for a transcript that begins with the rows given before."""
        if self._rows and (len(rows) < self._rows or rows[self._rows - 1] is not self._newest):
            self._groups, self._rows = [], 0
        kept = self._kept if not self._rows else None
        if kept is not None:
            self._groups = kept.groups(rows, self.prompt.digest)
            self._rows = self._groups[-1].end if self._groups else 0
        for index in range(self._rows, len(rows)):
            self._add(rows[index], index + 1)
        messages = self._messages(knows_system=model_catalogue.facts(model).system_messages)
        if kept is not None:
            kept.keep_groups(rows, self.prompt.digest, self._groups)
        self._rows, self._newest = len(rows), rows[-1] if rows else None
        return ModelRequest(
            model=model,
            system=self.prompt.system.encode(),
            tools=self.prompt.tools.encode(),
            messages=messages,
            max_tokens=max_tokens,
            options=dict(options),
            base_url=base_url,
        )

    def _add(self, row: Message, end: int) -> None:
        role = "assistant" if row.role == "assistant" else "user"
        content = api_content(row, prompt=self.prompt.digest)
        if not content:
            return
        if not self._groups or self._groups[-1].role != role:
            self._groups.append(Group(role))
        last = self._groups[-1]
        if role == "user" and any(map(is_system, row.content)):
            last.system.extend(for_api(block) for block in row.content if is_system(block))
            content = [for_api(block) for block in row.content if not is_system(block)]
        last.content.extend(content)
        last.encoded, last.end = b"", end

    def _messages(self, *, knows_system: bool) -> list[bytes]:
        users = [index for index, group in enumerate(self._groups) if group.role == "user"]
        marked = set(users[-_MARKED_MESSAGES:])
        messages = []
        for index, group in enumerate(self._groups):
            if group.content:
                encode = _encode_marked if index in marked else _encoded
                messages.append(encode(group))
            if group.system:  # a message of that role stands behind a user's
                role = "system" if knows_system and group.content else "user"
                messages.append(_encode(role, group.system))
        return messages


def named_rows(rows: Sequence[Message], prompt: FrozenPrompt, words: str) -> list[Message]:
    """The rows that the API means when it names a place in a request; none if it names none."""
    named = _PLACE.search(words)
    groups: list[tuple[str, list[Message]]] = []
    system: list[Message] = []
    for row in rows:
        role = "assistant" if row.role == "assistant" else "user"
        content = api_content(row, prompt=prompt.digest)
        system_words = sum(map(is_system, row.content)) if role == "user" else 0
        if content and (not groups or groups[-1][0] != role):
            if system:
                groups.append(("system", system))
                system = []
            groups.append((role, []))
        if content:
            groups[-1][1].extend([row] * (len(content) - system_words))
            system.extend([row] * system_words)
    groups = [group for group in groups if group[1]]
    if named is None or int(named[1]) >= len(groups):
        return []
    _, blocks_of_rows = groups[int(named[1])]
    return blocks_of_rows[int(named[2]) :][:1]


def begins_with_thinking(rows: Sequence[Message], prompt: FrozenPrompt) -> bool:
    """Did the turn whose tools have just answered begin with thinking that can be sent back? Models that are told
    how long to think insist on it. True where no tool has answered last."""
    rows = [row for row in rows if not is_hook_context(row)]
    if not rows or rows[-1].role != "tool":
        return True
    said = next((index for index in range(len(rows) - 1, -1, -1) if rows[index].role == "user"), -1)
    first = next(row for row in rows[said + 1 :] if row.role == "assistant")
    content = api_content(first, prompt=prompt.digest)
    return bool(content) and is_thinking(content[0])


def _encoded(group: Group) -> bytes:
    return group.encoded or _encode_once(group)


def _encode_once(group: Group) -> bytes:
    group.encoded = _encode(group.role, group.content)
    return group.encoded


def _encode_marked(group: Group) -> bytes:
    last = group.content[-1]
    if is_thinking(last):
        return _encoded(group)
    return _encode(group.role, [*group.content[:-1], {**last, "cache_control": _CACHE}])


def _encode(role: str, content: Sequence[Block]) -> bytes:
    # A copy, because these are kept as long as the run lives: orjson's own bytes hold on to a buffer of 4 KiB.
    return bytes(memoryview(orjson.dumps({"role": role, "content": content})))
