"""A model's stream, a hook's answer and a web server's index of skills: JSON of the right shape, or nearly."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.hook_answers import HookBroken, verdict
from app.agent.tools import skill_files
from app.agent.tools.configured_http import HttpAnswer
from app.agent.tools.run_facts import NeverCancelled
from app.agent.tools.skill_files import MAX_FILES, MAX_SKILLS, SkillUnreadable, remote_skills
from tests.fuzz.limits import LARGE, bounded, joined, tries

TEXTS = st.one_of(
    st.text(max_size=6), st.sampled_from(("approve", "block", "deny", "a/../b", "\0", "", "x" * 300))
)
KEYS = st.sampled_from(
    (
        *("continue", "decision", "reason", "hook_specific_output", "permission_decision", "updated_input"),
        *("system_message", "stop_reason", "additional_context", "skills", "name", "description", "files"),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@tries(150)
@given(
    st.one_of(VALUES.map(json.dumps).map(str.encode), st.binary(max_size=30)),
    st.sampled_from((0, 1, 2, -9, None)),
)
@example(b"{" * LARGE, 0)
@example(b'{"hook_specific_output":{"updated_input":' + b'{"a":' * 300 + b"1" + b"}" * 302, 0)
def test_any_answer_of_a_hook_is_a_verdict_or_broken(output: bytes, status: int | None) -> None:
    with bounded():
        try:
            found = verdict(status, output, output)
        except HookBroken:
            return
    orjson.dumps(str(found).encode("utf-8", "replace").decode())


def test_any_index_of_skills_is_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b""

    def answered(*_args: Any, **_options: Any) -> HttpAnswer:
        return HttpAnswer(200, "application/json", body, is_cut=False)

    monkeypatch.setattr(skill_files, "send", answered)

    @tries(150)
    @given(
        st.one_of(
            VALUES.map(json.dumps),
            st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=4).map(
                lambda one: json.dumps({"skills": one})
            ),
            joined(("{", '"skills":', "[", "]", "}", '"name":"a"', ",", "1")),
        )
    )
    @example(
        json.dumps({"skills": [{"name": "n" * 20_000, "description": "d\0" * 9_000, "files": ["f"] * 5_000}]})
    )
    def each(text: str) -> None:
        nonlocal body
        body = text.encode()
        with bounded():
            try:
                found = remote_skills("https://example.com", NeverCancelled())
            except SkillUnreadable:
                return
        assert len(found) <= MAX_SKILLS
        for name, skill in found.items():
            assert len(name) <= skill_files.MAX_NAME
            assert len(skill.description) <= skill_files.MAX_DESCRIPTION
            assert len(skill.files) <= MAX_FILES
            assert "\0" not in name + skill.description + "".join(skill.files)

    each()
