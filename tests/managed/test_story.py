"""The story that the README tells of the official SDK, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.process import BatonProcess

README = Path(__file__).parents[2] / "README.md"


def test_the_story_of_the_readme_runs_as_it_stands_there(
    baton: BatonProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"```python\n(from anthropic import Anthropic\n.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    exec(found[1].replace("http://localhost:8080", baton.url), {})
    told = capsys.readouterr().out.split()
    assert [kind for kind in told if kind != "event_delta"] == [
        "session.status_running",
        "session.thread_status_running",
        "user.message",
        "span.model_request_start",
        "agent.tool_use",
        "span.model_request_end",
        "agent.tool_result",
        "span.model_request_start",
        "event_start",
        "agent.message",
        "span.model_request_end",
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
    ]
