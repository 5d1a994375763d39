"""The parts of which a session's next request to its model is made, in tokens. Estimates; no model is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from app.agent import model_catalogue
from app.agent.redaction import redacted
from app.conversation.blocks import text_block
from app.conversation.compaction import condensed, estimate
from app.conversation.healing import heal
from app.conversation.old_results import with_old_results_cut
from app.conversation.transcript import Message, api_content
from app.roots import Roots
from app.runtime.environment_info import surroundings
from app.runtime.session_agents import SessionAgent
from app.store.store import Store


@dataclass(frozen=True, slots=True)
class Part:
    tokens: int = 0
    items: int = 0

    def __add__(self, other: Part) -> Part:
        return Part(self.tokens + other.tokens, self.items + other.items)


@dataclass(frozen=True, slots=True)
class Context:
    """`window` is the model's, 0 if it is not known; `model` its name with the provider."""

    system_prompt: Part
    tool_definitions: Part
    prompt_files: Part
    messages: Part
    tool_results: Part
    summary: Part
    window: int
    model: str


class Contexts:
    """Reads; any thread may call it."""

    def __init__(self, store: Store, roots: Roots) -> None:
        self._store = store
        self._roots = roots

    def of(self, found: SessionAgent) -> Context:
        """System prompt and tools as they were sent last. A prompt file that has changed since counts with the system
        prompt, as it was."""
        session, agent = found.session, found.agent
        prompt = self._store.reads.newest_prompt(session.id, agent.name)
        digest = prompt.digest if prompt is not None else ""
        system = [str(block["text"]) for block in _listed(prompt.system if prompt is not None else "")]
        files = self._prompt_files(found) & set(system)
        summary = self._store.journal.summary(session.id)
        rows = [row for row in self._store.sessions.messages(session.id) if not row.is_hidden]
        shown = with_old_results_cut(heal(condensed(rows, summary)).rows, agent.max_old_tool_call_tokens).rows
        told = shown[:1] if summary is not None and summary.text else []
        spec = agent.models[0]
        return Context(
            _texts(text for text in system if text not in files),
            _texts(
                orjson.dumps(tool).decode() for tool in _listed(prompt.tools if prompt is not None else "")
            ),
            _texts(text for text in system if text in files),
            _rows((row for row in shown[len(told) :] if row.role != "tool"), digest),
            _rows((row for row in shown if row.role == "tool"), digest),
            _rows(told, digest),
            model_catalogue.facts(spec.model).window,
            spec.id,
        )

    def _prompt_files(self, found: SessionAgent) -> set[str]:
        if not found.own.add_prompt_files:
            return set()
        ground = self._roots.of(found.session.owner)
        here = Path(found.session.working_dir or ground.roots[0])
        placed = replace(found.session, working_dir=str(here))
        texts = surroundings(ground, placed, found.own).prompt_files
        return {(redacted(text) if found.own.redact_secrets else text).strip() for text in texts}


def _listed(text: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = orjson.loads(text) if text else []
    return listed


def _texts(texts: Iterable[str]) -> Part:
    return _sum(estimate(Message("user", (text_block(text),))) for text in texts)


def _rows(rows: Iterable[Message], prompt: str) -> Part:
    sent = ((row, api_content(row, prompt=prompt)) for row in rows)
    return _sum(estimate(replace(row, content=tuple(content))) for row, content in sent if content)


def _sum(tokens: Iterable[int]) -> Part:
    return sum((Part(number, 1) for number in tokens), Part())
