"""The model's words come back byte for byte: a signature over it would break otherwise."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from app.store.store import Store
from tests.harness.process import eventually
from tests.store.actors import begin, new_session

BLOCKS: dict[str, dict[str, Any]] = {
    "signed thinking": {"type": "thinking", "thinking": "\n hm\t…\u2028\r\n", "signature": "EqQB+/=" * 900},
    "redacted thinking": {"type": "redacted_thinking", "data": "AbC/+=="},
    "every plane of unicode": {"type": "text", "text": "é e\u0301 \ufeff \u200d \uffff \U0001f469\U0010ffff"},
    "control characters": {"type": "text", "text": "a\0b\x1b[0m\x7f \b\f"},
    "large numbers": {
        "type": "tool_use",
        "id": "a",
        "name": "n",
        "input": {"big": 2**53 + 1, "max": 2**64 - 1, "min": -(2**63), "f": 0.1, "e": 1e300, "z": -0.0},
    },
    "order of keys": {
        "type": "tool_use",
        "input": {"z": 1, "a": {"y": None, "b": []}},
        "name": "n",
        "id": "a",
    },
    "a type of tomorrow": {"type": "holo", "shape": [[], {}, "", None, True], "": "empty key"},
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_a_block_comes_back_as_it_was(store: Store, block: dict[str, Any]) -> None:
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    store.journal.add_messages(baton, session.id, [Message("assistant", (block,))])
    back = store.sessions.messages(session.id)[-1].content[0]
    assert orjson.dumps(back) == orjson.dumps(block)
    assert json.dumps(back) == json.dumps(block)


def test_everything_about_a_message_comes_back(store: Store) -> None:
    session = new_session(store)
    message = Message(
        "assistant",
        ({"type": "text", "text": "hi"},),
        agent="root",
        prompt="digest",
        created_at=1.25,
        implicit=True,
        partial="cancelled",
        stop_reason="end_turn",
        usage=Usage(1, 2, 3, 2**40),
        model="a-model",
        cost=0.000123,
        position=1,
    )
    baton = begin(store, session.id, "hello").run.baton
    assert store.journal.add_turn(baton, session.id, message, tokens=(11, 12)).position == 1
    assert store.sessions.messages(session.id)[1] == message
    changed = store.sessions.get(session.id)
    assert (changed.input_tokens, changed.output_tokens, changed.cost) == (11, 12, 0.000123)


def test_a_frozen_prompt_comes_back_byte_for_byte_and_the_newest_counts(store: Store) -> None:
    session = new_session(store)
    baton = begin(store, session.id).run.baton
    first = FrozenPrompt("d1", "root", "def", "m", '[{"text": "\\u00e9 é"}]', "", [{"name": "t", "a": [1]}])
    second = FrozenPrompt("d2", "root", "def", "m", "", '[ {"odd" :  "spaces"} ]', [])
    said = Message("assistant", ({"type": "text", "text": "hi"},))
    store.journal.add_turn(baton, session.id, said, tokens=None, prompt=first)
    assert store.reads.prompt(session.id, "root", ["def"]) == first
    frozen_at = store.database.now()
    eventually(lambda: store.database.now() > frozen_at, "the database's clock has moved on")
    store.journal.add_turn(baton, session.id, said, tokens=None, prompt=second)
    assert store.reads.prompt(session.id, "root", ["def"]) == second
    assert store.reads.prompt(session.id, "root", ["another"]) is None
    assert store.sessions.tool_definitions(session.id) == {"d1": [{"name": "t", "a": [1]}], "d2": []}


def test_only_the_last_words_of_the_user_are_marked_as_refused(store: Store) -> None:
    session = new_session(store)
    baton = begin(store, session.id, "fine").run.baton
    store.journal.add_turn(
        baton, session.id, Message("assistant", ({"type": "text", "text": "hi"},)), tokens=None
    )
    store.runs.finish(baton, "finished")
    baton = begin(store, session.id, "not", "fine").run.baton
    store.journal.refuse_last(baton, session.id)
    assert [row.partial for row in store.sessions.messages(session.id)] == ["", "", "refused", "refused"]


def test_what_toolsets_remember_is_replaced_and_kept_by_key(store: Store) -> None:
    session = new_session(store)
    baton = begin(store, session.id).run.baton
    for state in ({"n": 1}, {"n": 2, "z": None}):
        message = Message("tool", ({"type": "tool_result", "tool_use_id": "x", "content": "y"},))
        store.journal.add_result(baton, session.id, message, "completed", toolset_states={"todo": state})
    assert store.sessions.tool_states(session.id) == {"todo": {"n": 2, "z": None}}
