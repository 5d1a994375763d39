"""Limits and prices that an agent file sets: what a run may use, how much of old results is shown, who summarizes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent import model_catalogue
from app.agent.run_budgets import RunBudgets
from app.conversation.usage import Usage
from app.errors import BudgetReached
from app.factory import build
from app.team.agent import AgentDefinition
from app.team.config import RunBudget
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import text_of
from tests.test_sequences import call_text, of_type

SONNET = "anthropic/claude-sonnet-5-5"
PRICED = {"provider": "anthropic", "model": "claude-mythos-5-2", "cost": {"input": 1_000, "output": 2_000}}
TWICE = call_text("think", thought="x") + "[then]" + call_text("think", thought="y") + "[then][say done]"

Serve = Callable[..., LocalClient]


@pytest.fixture
def serve(tmp_path: Path, model: OfflineServer) -> Iterator[Serve]:
    """A server with one agent file."""
    built = []

    def start(url: str = "", /, *, titles: bool = False, **sections: Any) -> LocalClient:
        (tmp_path / "one.yaml").write_text(json.dumps(sections))
        settings = make_settings(tmp_path, url or model.url, agents=tmp_path / "one.yaml", titles=titles)
        built.append(build(settings))
        return LocalClient(built[-1])

    yield start
    for server in built:
        server.close()


def thinker(**fields: Any) -> dict[str, Any]:
    return {"root": {"model": SONNET, "instruction": "i", "toolsets": [{"type": "think"}], **fields}}


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        ({"agents": thinker(), "budget": {"max_tokens": 1}}, "budget.max_tokens"),
        (
            {"agents": thinker(budgets=["tight"]), "budgets": {"tight": {"max_tokens": 1}}},
            "budgets.tight.max_tokens",
        ),
        (
            {"agents": thinker(model="m"), "models": {"m": PRICED}, "budget": {"max_cost": 0.001}},
            "budget.max_cost",
        ),
    ],
)
def test_a_run_that_has_used_up_a_budget_ends_before_the_next_turn(
    serve: Serve, model: OfflineServer, sections: dict[str, Any], place: str
) -> None:
    client = serve(**sections)
    session = client.new_session()
    events = client.say(session, TWICE, agent="one")
    (error,) = of_type(events, "error")
    assert error["code"] == "budget_reached"
    assert place in error["error"]
    assert len(model.requests) == 1
    again = client.say(session, "[say a run begins with nothing used]", agent="one")
    assert of_type(again, "error") == []


def test_readers_are_told_what_is_used_of_each_budget_and_which_limit_was_reached(serve: Serve) -> None:
    agents = thinker(model="m", budgets=["tight"])
    client = serve(
        agents=agents,
        models={"m": PRICED},
        budget={"max_cost": 1000.0, "max_time": "1h"},
        budgets={"tight": {"max_tokens": 1}, "nobodys": {"max_tokens": 1}},
    )
    session = client.new_session()
    told = client.say(session, TWICE, agent="one")
    (usage,) = of_type(told, "token_usage")
    (used,) = of_type(told, "budget_usage")
    assert told.index(used) == told.index(usage) + 1
    assert used["session_id"] == session
    tokens, cost = usage["usage"]["context_length"], usage["usage"]["cost"]
    run, tight = used["budgets"]
    assert (run["name"], run["max_cost"], run["max_time_seconds"]) == ("run", 1000.0, 3600.0)
    assert (tight["name"], tight["max_tokens"]) == ("tight", 1)
    assert "max_tokens" not in run
    assert "max_cost" not in tight
    assert "unpriced" not in run
    for one in (run, tight):
        assert (one["tokens"], one["cost"]) == (tokens, pytest.approx(cost))
        (mine,) = one["per_agent"]
        assert (mine["agent_name"], mine["tokens"], mine["cost"]) == ("root", tokens, pytest.approx(cost))
    (reached,) = of_type(told, "budget_exceeded")
    (error,) = of_type(told, "error")
    assert told.index(reached) < told.index(error)
    assert {key: reached[key] for key in ("session_id", "budget", "limit", "used", "max", "config_path")} == {
        "session_id": session,
        "budget": "tight",
        "limit": "max_tokens",
        "used": f"{tokens} tokens",
        "max": "1 tokens",
        "config_path": "budgets.tight.max_tokens",
    }
    assert reached["message"] == error["error"]


def test_a_run_without_budgets_tells_of_none(serve: Serve) -> None:
    client = serve(agents=thinker())
    told = client.say(client.new_session(), "[say hi]", agent="one")
    assert of_type(told, "budget_usage") == []


def test_what_several_agents_have_used_of_a_budget_is_told_apart(serve: Serve) -> None:
    agents = thinker(sub_agents=["helper"], budgets=["pot"])
    agents["helper"] = {"model": SONNET, "instruction": "i", "budgets": ["pot"]}
    client = serve(agents=agents, budgets={"pot": {"max_tokens": 1_000_000}})
    task = call_text("transfer_task", agent="helper", task="[say helped]", expected_output="")
    told = client.say(client.new_session(tools_approved=True), f"{task}[then][say done]", agent="one")
    first, second, third = [event["budgets"][0] for event in of_type(told, "budget_usage")]
    assert [{one["agent_name"] for one in used["per_agent"]} for used in (first, second, third)] == [
        {"root"},
        {"root", "helper"},
        {"root", "helper"},
    ]
    assert third["tokens"] == sum(one["tokens"] for one in third["per_agent"])
    assert third["elapsed_seconds"] == pytest.approx(sum(one["active_seconds"] for one in third["per_agent"]))


def test_an_answer_without_a_known_price_is_said_to_be_none() -> None:
    budgets = RunBudgets(RunBudget(max_tokens=100))
    agent = AgentDefinition()
    budgets.spend(agent, Usage(output_tokens=1), 0.0, priced=False)
    budgets.spend(agent, Usage(output_tokens=1), 0.1)
    (reading,) = budgets.readings(agent)
    assert (reading["unpriced"], reading["tokens"]) == (True, 2)


def test_a_budget_that_nobody_names_bounds_nobody(serve: Serve) -> None:
    client = serve(agents=thinker(), budgets={"tight": {"max_tokens": 1}})
    assert text_of(client.say(client.new_session(), TWICE, agent="one")) == "done"


def test_a_task_draws_on_the_budget_of_the_run_that_gave_it(serve: Serve, model: OfflineServer) -> None:
    agents = thinker(sub_agents=["helper"], budgets=["pot"])
    agents["helper"] = {
        "model": SONNET,
        "instruction": "i",
        "budgets": ["pot"],
        "toolsets": [{"type": "think"}],
    }
    client = serve(agents=agents, budgets={"pot": {"max_tokens": 1}})
    task = call_text("transfer_task", agent="helper", task=TWICE)
    events = client.say(client.new_session(), f"{task}[then][say root goes on]", agent="one")
    assert [error["code"] for error in of_type(events, "error")] == ["budget_reached"] * 2
    assert len(model.requests) == 1


def test_time_is_taken_from_the_budgets_of_the_agent_that_was_at_work() -> None:
    now = [0.0]
    named = {"slow": RunBudget(max_time=10.0)}
    budgets = RunBudgets(RunBudget(max_time=100.0), named, lambda: now[0])
    slow, other = AgentDefinition(budgets=("slow",)), AgentDefinition()
    assert list(budgets.check(slow)) == []
    now[0] = 8.5
    assert list(budgets.check(other)) == []
    now[0] = 60.0
    (warning,) = budgets.check(slow)
    assert (
        warning
        == "The run has used most of its budget budgets.slow.max_time (8s of 10s); it stops when that is used up."
    )
    now[0] = 62.0
    with pytest.raises(BudgetReached, match=r"budgets\.slow\.max_time \(10s of 10s\)"):
        list(budgets.check(slow))
    assert list(budgets.check(other)) == []
    now[0] = 101.0
    with pytest.raises(BudgetReached, match=r"budget\.max_time \(1m41s of 1m40s\)"):
        list(budgets.check(other))


def test_a_warning_comes_once_for_each_limit() -> None:
    agent = AgentDefinition()
    budgets = RunBudgets(RunBudget(max_cost=1.0, max_tokens=100))
    budgets.spend(agent, Usage(input_tokens=50, output_tokens=29), 0.9)
    assert ["budget.max_cost ($0.90 of $1.00)" in words for words in budgets.check(agent)] == [True]
    budgets.spend(agent, Usage(output_tokens=1), 0.0)
    assert ["budget.max_tokens (80 tokens of 100 tokens)" in words for words in budgets.check(agent)] == [
        True
    ]
    assert list(budgets.check(agent)) == []


def test_a_price_in_the_agent_file_counts(serve: Serve) -> None:
    client = serve(agents=thinker(model="m"), models={"m": PRICED})
    session = client.new_session()
    (usage,) = of_type(client.say(session, "[say hi]", agent="one"), "token_usage")
    last = usage["usage"]["last_message"]
    cost = (last["input_tokens"] * 1_000 + last["output_tokens"] * 2_000) / 1_000_000
    assert last["Cost"] == usage["usage"]["cost"] == pytest.approx(cost)
    assert cost > 0


def test_a_task_budget_is_sent_with_the_beta_that_it_needs(serve: Serve, model: OfflineServer) -> None:
    deep = {"provider": "anthropic", "model": "claude-sonnet-5-5", "task_budget": 128_000}
    client = serve(agents=thinker(model="m"), models={"m": deep})
    assert text_of(client.say(client.new_session(), "[say hi]", agent="one")) == "hi"
    assert model.requests[0]["output_config"] == {"task_budget": {"type": "tokens", "total": 128_000}}


def results(request: dict[str, Any]) -> list[str]:
    return [
        block["content"] if isinstance(block["content"], str) else block["content"][0]["text"]
        for message in request["messages"]
        for block in message["content"]
        if block["type"] == "tool_result"
    ]


@pytest.mark.parametrize(("most", "shown"), [(100, 1), (0, 3), (-1, 3)])
def test_old_results_are_shown_as_far_as_the_agent_file_says(
    serve: Serve, model: OfflineServer, most: int, shown: int
) -> None:
    client = serve(agents=thinker(max_old_tool_call_tokens=most))
    calls = "[then]".join(call_text("think", thought=letter * 300) for letter in "abc")
    client.say(client.new_session(), f"{calls}[then][say done]", agent="one")
    kept = [text for text in results(model.requests[-1]) if text != "[content truncated]"]
    assert len(kept) == shown
    assert "ccc" in kept[-1]


def test_one_result_is_cut_where_the_agent_file_says(
    serve: Serve, model: OfflineServer, tmp_path: Path
) -> None:
    client = serve(agents=thinker(max_tool_result_tokens=10))
    client.say(client.new_session(), call_text("think", thought="x" * 500) + "[then][say done]", agent="one")
    (result,) = results(model.requests[-1])
    assert "[The first 40 of " in result
    assert result.count("x") < 45


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> Iterator[OfflineServer]:
    facts = replace(model_catalogue.facts("claude-sonnet-5-5"), window=4_000)
    known = {**model_catalogue._MODELS, "claude-sonnet-5-5": facts}
    monkeypatch.setattr(model_catalogue, "_MODELS", known)
    with OfflineServer(windows={"claude-sonnet-5-5": 4_000}) as stand_in:
        yield stand_in
        assert stand_in.violations == []


@pytest.mark.parametrize(
    ("fields", "spoken", "times"),
    [
        ({"session_compaction": False}, "[words 2650]", 0),
        ({"compaction_threshold": 0.5}, "[words 1500]", 1),
        ({}, "[words 1500]", 0),
        ({"compaction_model": "anthropic/claude-haiku-5-5"}, "[words 2650]", 1),
    ],
)
def test_the_agent_file_says_when_and_by_whom_a_conversation_is_summarized(
    serve: Serve, small_window: OfflineServer, fields: dict[str, Any], spoken: str, times: int
) -> None:
    client = serve(small_window.url, agents=thinker(**fields))
    session = client.new_session()
    client.say(session, spoken, agent="one")
    events = client.say(session, "[say hello]", agent="one")
    assert len(of_type(events, "session_summary")) == times
    asked = [request["model"] for request in small_window.requests if "max_tokens" in request]
    wanted = fields.get("compaction_model", SONNET).removeprefix("anthropic/")
    assert (wanted in asked[1:-1]) == bool(times)


def test_an_agent_that_sums_nothing_up_by_itself_does_it_when_asked(
    serve: Serve, model: OfflineServer
) -> None:
    client = serve(agents=thinker(session_compaction=False))
    session = client.new_session()
    for text in ("[say one]", "[say two]"):
        client.say(session, text, agent="one")
    asked = client.ask("POST", f"/api/sessions/{session}/compact", {})
    ended = client.ask("POST", f"/api/sessions/{session}/turns/{asked.headers['X-Run-ID']}/wait")
    assert (asked.status_code, ended.status_code) == (202, 204)
    client.say(session, "[say three]", agent="one")
    assert "[say one]" not in str(model.requests[-1]["messages"]), "a summary stands for it"


def test_titles_are_written_by_the_model_that_the_agents_model_names(
    serve: Serve, model: OfflineServer
) -> None:
    named = {
        "provider": "anthropic",
        "model": "claude-sonnet-5-5",
        "title_model": "anthropic/claude-haiku-5-5",
    }
    client = serve(agents=thinker(model="m"), models={"m": named}, titles=True)
    client.say(client.new_session(), "[say hi]", agent="one")
    asked = {SONNET.removeprefix("anthropic/"), "claude-haiku-5-5"}
    eventually(lambda: {request["model"] for request in model.requests} == asked, "a title is asked for")


def test_readers_are_told_of_a_model_whose_cost_a_budget_can_not_count(serve: Serve) -> None:
    client = serve(agents=thinker(model="anthropic/claude-mythos-5-2"), budget={"max_cost": 1.0})
    (warning,) = of_type(client.say(client.new_session(), "[say hi]", agent="one"), "warning")
    assert "price of anthropic/claude-mythos-5-2 is not known" in warning["message"]


def test_secrets_reach_neither_model_nor_tools_nor_clients_nor_the_store(
    serve: Serve, model: OfflineServer
) -> None:
    secret = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    shell = {"type": "shell", "env": {"PART": secret[4:]}}
    client = serve(
        agents=thinker(redact_secrets=True, toolsets=[shell, {"type": "think"}], instruction=secret)
    )
    session = client.new_session(tools_approved=True)
    written = call_text("think", thought=f"I noted {secret}.")
    events = client.say(
        session,
        f"{written}[then]{call_text('shell', cmd='echo ghp_$PART')}[then][say done]",
        agent="one",
    )
    assert secret in json.dumps(events[0:8]), "the user's own words are told as they were typed"
    assert secret not in json.dumps([event for event in events if event["type"] != "user_message"])
    call = of_type(events, "tool_call")[0]
    assert json.loads(call["tool_call"]["function"]["arguments"]) == {"thought": "I noted [REDACTED]."}
    assert of_type(events, "tool_call_response")[1]["response"] == "[REDACTED]"
    assert secret not in json.dumps(model.requests)
    assert secret not in json.dumps(client.session(session)["messages"][1:])
    assert text_of(events) == "done"


def test_an_agent_with_a_cache_answers_the_same_question_without_its_model(
    serve: Serve, model: OfflineServer
) -> None:
    client = serve(agents=thinker(cache={"enabled": True, "trim_spaces": True}))
    first = client.say(client.new_session(), TWICE, agent="one")
    count = len(model.requests)
    session = client.new_session()
    again = client.say(session, f" {TWICE.upper()} ", agent="one")
    assert text_of(again) == text_of(first) == "done"
    assert len(model.requests) == count
    assert [item["message"]["role"] for item in client.session(session)["messages"]] == ["user", "assistant"]
    assert text_of(client.say(session, "[say another]", agent="one")) == "another"
    assert len(model.requests) == count + 1


def test_an_agent_without_a_cache_asks_its_model_each_time(serve: Serve, model: OfflineServer) -> None:
    client = serve(agents=thinker(cache={"enabled": False}))
    for _ in range(2):
        client.say(client.new_session(), "[say hi]", agent="one")
    assert len(model.requests) == 2
