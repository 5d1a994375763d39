"""A run that waits goes on in another process as if it had stayed: the state that it needs stands in the rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.chaos.invariants import broken_promises
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.test_sequences import call_text

ROOT = Path(__file__).parents[1]
TEAM = f"""
agents:
  root:
    model: m
    description: Leads
    sub_agents: [helper, asker]
    handoffs: [successor]
    toolsets: [{{type: shell}}]
  helper:
    model: m
    description: Helps
    max_iterations: 1
    sub_agents: [deeper]
    toolsets: [{{type: think}}]
  asker: {{model: m, description: Asks, toolsets: [{{type: user_prompt}}]}}
  deeper:
    model: m
    description: Helps those who help
    max_iterations: 1
    toolsets: [{{type: think}}]
  successor: {{model: m, description: Goes on, toolsets: [{{type: shell}}]}}
  payer:
    model: m
    description: Has a tool that asks before it pays
    toolsets:
      - type: mcp
        command: {sys.executable}
        args: [-m, tests.agent.tools.mcp_server]
        env: {{PYTHONPATH: "{ROOT}"}}
        tools: [pay]
models: {{m: {{provider: anthropic, model: claude-sonnet-5-5}}}}
permissions: {{allow: [transfer_task, handoff, think, pay]}}
"""


class Two:
    """Two servers on one database. The first one asks; when it drains, the second one goes on."""

    def __init__(self, first: Server, second: Server) -> None:
        self.here, self.there = LocalClient(first), LocalClient(second)
        self.session = self.here.new_session(title="two", working_dir=str(first.settings.roots[0]))

    def ask(self, text: str, event: str, *, agent: str = "team") -> dict[str, Any]:
        """The question that the run waits on, after the first server has let go of it."""
        with self.here.run(self.session, text, agent=agent, query="?on_disconnect=continue") as stream:
            stream.until(event)
            self.here.server.runtime.supervisor.drain(0)
        return dict(self.there.session(self.session)["run"]["waiting_for"])

    def finish(self) -> list[str]:
        """The results of the session's tools, once its run has ended on the second server."""
        self.there.wait_until_free(self.session)
        [run] = self.there.call("GET", f"/api/runs?session={self.session}")
        assert run["status"] == "finished", run
        assert broken_promises(self.there.server.store, only=self.session) == []
        return self.results()

    def results(self) -> list[str]:
        return [row["content"] for row in self.there.messages(self.session) if row["role"] == "tool"]

    @property
    def last_words(self) -> str:
        return str(self.there.messages(self.session)[-1]["content"])


@pytest.fixture
def two(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Two]:
    (tmp_path / "team.yaml").write_text(TEAM)
    settings = make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", database_url=database_url)
    first, second = build(settings), build(settings)
    yield Two(first, second)
    first.close()
    second.close()


def task(text: str, agent: str) -> str:
    return call_text("transfer_task", agent=agent, task=text, expected_output="") + "[then][say done]"


THINK = call_text("think", thought="hm")


@pytest.mark.parametrize("depth", [1, 2])
def test_a_refused_limit_of_a_task_ends_the_task_and_not_its_parent(two: Two, depth: int) -> None:
    at_limit = f"{THINK}[then][say over the limit]"
    text = task(at_limit, "helper") if depth == 1 else task(task(at_limit, "deeper"), "helper")
    waiting = two.ask(text, "max_iterations_reached")
    assert waiting["kind"] == "max_iterations"
    two.there.resume(two.session, "reject")
    if depth == 2:  # the task that gave the other one away comes to its own limit then
        eventually(lambda: "run" in two.there.session(two.session), "the run goes on")
        eventually(
            lambda: two.there.session(two.session)["run"]["status"] == "awaiting_approval", "it asks again"
        )
        two.there.resume(two.session, "approve")
    [result] = two.finish()
    assert ("max_iterations limit (1)" if depth == 1 else "done") in result
    assert two.last_words == "done"


def test_a_pause_within_a_task_is_ended_by_the_adopter(two: Two) -> None:
    """Paused before the task's second question to its model; the session of the conversation is the one that waits."""
    two.here.call("POST", f"/api/sessions/{two.session}/pause")
    with two.here.run(
        two.session, task(f"{THINK}[then][say went]", "helper"), agent="team", query="?on_disconnect=continue"
    ) as stream:
        assert stream.until("runtime_paused")["agent_name"] == "root"
        for paused in (False, True):
            assert two.here.call("POST", f"/api/sessions/{two.session}/pause") == {"paused": paused}
        event = stream.until("runtime_paused")
        assert (event["agent_name"], event["session_id"]) == ("helper", two.session)
        two.here.server.runtime.supervisor.drain(0)
    [run] = two.there.call("GET", f"/api/runs?session={two.session}")
    assert run["paused"]
    assert two.there.call("POST", f"/api/sessions/{two.session}/pause") == {"paused": False}
    eventually(
        lambda: (two.there.session(two.session).get("run") or {}).get("status") == "awaiting_approval",
        "the task comes to its limit",
    )
    two.there.resume(two.session, "approve")
    assert two.finish() == ["went"]
    assert two.last_words == "done"


def test_a_form_of_a_task_is_its_result(two: Two) -> None:
    prompt = call_text("user_prompt", message="Which way?")
    two.ask(task(f"{prompt}[then][say went]", "asker"), "elicitation_request")
    two.there.elicit(two.session, "accept", {"way": "uphill"})
    assert two.finish() == ["went"]


def test_a_call_that_can_not_be_read_is_not_run_by_the_adopter(two: Two, tmp_path: Path) -> None:
    both = call_text("shell", cmd="touch whole") + call_text("shell", cmd="touch ran-it")
    two.ask(f"{both}[truncate-as-tool_use][then][say done]", "tool_call_confirmation")
    two.there.resume(two.session, "approve-session")
    assert "not valid JSON" in two.finish()[1]
    assert (tmp_path / "whole").exists()
    assert not (tmp_path / "ran-it").exists()


def test_a_hand_off_before_the_question_counts_after_it(two: Two) -> None:
    both = call_text("handoff", agent="successor") + call_text("shell", cmd="echo ran")
    two.ask(f"{both}[then][say done]", "tool_call_confirmation")
    two.there.resume(two.session, "approve")
    two.finish()
    [run] = two.there.call("GET", f"/api/runs?session={two.session}")
    assert run["agent"] == "team/successor"


def test_a_task_goes_on_although_its_conversation_gives_none_away_any_more(two: Two) -> None:
    prompt = call_text("user_prompt", message="Which way?")
    two.ask(task(f"{prompt}[then][say went]", "asker"), "elicitation_request")
    two.there.call("PATCH", f"/api/sessions/{two.session}/delegation-policy", {"enabled": False})
    two.there.elicit(two.session, "accept", {"way": "uphill"})
    assert two.finish() == ["went"]


def test_a_run_that_names_no_agent_goes_on_with_the_one_that_has_the_session(two: Two) -> None:
    two.here.say(two.session, call_text("handoff", agent="successor") + "[then][say mine]", agent="team")
    two.ask(call_text("shell", cmd="echo ran") + "[then][say done]", "tool_call_confirmation")
    two.there.resume(two.session, "approve")
    two.there.wait_until_free(two.session)
    runs = two.there.call("GET", f"/api/runs?session={two.session}")
    assert [run["agent"] for run in runs] == ["team/successor"] * 2
    speakers = [item["agentName"] for item in two.there.session(two.session)["messages"] if item["agentName"]]
    assert speakers[-1] == "successor"


def test_no_number_of_an_event_is_missing_or_given_twice(two: Two) -> None:
    two.ask(call_text("shell", cmd="echo ran") + "[then][say done]", "tool_call_confirmation")
    two.there.resume(two.session, "approve")
    assert two.finish() == ["ran"]
    with two.there.follow(two.session, since=0) as stream:
        stream.until("stream_stopped")
        assert stream.ids == list(range(1, len(stream.ids) + 1))
        assert stream.types.count("tool_call_confirmation") == 1


def test_a_tool_that_pays_after_a_form_is_unknown_when_its_session_is_taken_away(
    two: Two, tmp_path: Path
) -> None:
    words = call_text("pay", folder=str(tmp_path))
    with two.here.run(two.session, words, agent="team/payer") as stream:
        stream.until("elicitation_request")
        two.there.elicit(two.session, "accept", {"colour": "red"})
        eventually((tmp_path / "paid").exists, "it has paid")
        run = two.there.session(two.session)["run"]["id"]
        two.there.call("POST", f"/api/runs/{run}/release", {"reason": "stuck"})
        (tmp_path / "receipt").touch()
    two.here.wait_until_free(two.session)
    [result] = two.results()
    assert "not known whether" in result
