"""E30: an agent chooses its model, and a toolset chooses the model that is shown its results."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import server_of
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event
from tests.test_fallback import asked
from tests.test_sequences import CALLED, END, RAN, SAID, TOOLS, TOOLS_LISTING, call_text, of_type, shape

OWN, SMALL, STRONG = "claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5-5"
TEAM = f"""
agents:
  root:
    model: anthropic/{OWN}
    toolsets:
      - {{type: model_picker, models: [small, anthropic/{STRONG}]}}
  reader:
    model: anthropic/{OWN}
    toolsets: [{{type: think, model: small}}, {{type: todo}}]
    fallback: {{models: [anthropic/{STRONG}], retries: -1}}
  router: {{model: by_topic, toolsets: [{{type: think}}]}}
models:
  small: {{provider: anthropic, model: {SMALL}, max_tokens: 5000}}
  by_topic:
    provider: anthropic
    model: {OWN}
    routing:
      - {{model: small, examples: ["good morning to you", "thanks a lot"]}}
      - {{model: anthropic/{STRONG}, examples: ["please prove the theorem of {{name}}"]}}
"""


server = server_of(TEAM)


def result_of(events: list[Event]) -> dict[str, Any]:
    (event,) = of_type(events, "tool_call_response")
    return dict(event["result"])


def change(name: str) -> str:
    return call_text("change_model", model=name) + "[then][say done]"


def test_a_changed_model_speaks_from_the_next_turn_on_and_in_later_runs_until_it_is_reverted(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    events = local.say(session, change("small"), agent="team")
    switched = ["tool_call", "agent_info", *RAN[1:]]
    assert shape(events) == [*TOOLS, *CALLED, *switched, *TOOLS_LISTING, *SAID, *END]
    assert result_of(events) == {"output": "Model changed to small"}
    assert [event["model"] for event in of_type(events, "agent_info")] == [
        f"anthropic/{OWN}",
        f"anthropic/{SMALL}",
    ]
    later = local.say(session, "[say hello]", agent="team")
    assert [event["model"] for event in of_type(later, "agent_info")] == [f"anthropic/{SMALL}"]
    back = local.say(session, call_text("revert_model") + "[then][say done]", agent="team")
    assert result_of(back) == {"output": "Model reverted to the agent's default model"}
    local.say(session, "[say hello]", agent="team")
    assert asked(model) == [OWN, SMALL, SMALL, SMALL, OWN, OWN]
    assert model.requests[1]["max_tokens"] == 5000, "with the settings of its entry in the file"
    local.say(local.new_session(), "[say hello]", agent="team")
    assert asked(model)[-1] == OWN, "another session"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "model parameter is required"),
        (
            "gpt",
            f'model "gpt" is not in the allowed list. Available models: small, anthropic/{STRONG}',
        ),
    ],
)
def test_a_model_that_is_not_offered_is_refused(
    local: LocalClient, model: OfflineServer, name: str, words: str
) -> None:
    events = local.say(local.new_session(), change(name), agent="team")
    assert result_of(events) == {"output": words, "isError": True}
    assert asked(model) == [OWN, OWN]


def test_a_request_that_chooses_a_model_overrules_what_the_agent_chose_before(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    local.say(session, change("small"), agent="team")
    body = {"messages": [{"content": "[say hello]"}], "model": f"anthropic/{STRONG}"}
    local.ask("POST", f"/api/sessions/{session}/agent/team", body).get_data()
    local.wait_until_free(session)
    assert asked(model) == [OWN, SMALL, STRONG]
    local.say(session, change("small"), agent="team")
    assert asked(model) == [OWN, SMALL, STRONG, STRONG, SMALL], "and the agent may choose again"


def test_a_toolset_chooses_who_is_shown_its_results_for_one_turn(
    local: LocalClient, model: OfflineServer
) -> None:
    text = (
        call_text("think", thought="x")
        + "[then]"
        + call_text("create_todo", description="y")
        + "[then][say done]"
    )
    events = local.say(local.new_session(), text, agent="team/reader")
    digested = ["agent_info", *CALLED, "agent_info"]
    assert shape(events) == [
        *TOOLS,
        *CALLED,
        *RAN,
        *TOOLS_LISTING,
        *digested,
        *RAN,
        *TOOLS_LISTING,
        *SAID,
        *END,
    ]
    models = [event["model"] for event in of_type(events, "agent_info")]
    assert models == [f"anthropic/{OWN}", f"anthropic/{SMALL}", f"anthropic/{OWN}"]
    assert asked(model) == [OWN, SMALL, OWN]


def test_when_that_model_fails_the_agents_own_one_answers(local: LocalClient, model: OfflineServer) -> None:
    text = call_text("think", thought="x") + "[then][fail 403 1][say done]"
    events = local.say(local.new_session(), text, agent="team/reader")
    (fallback,) = of_type(events, "model_fallback")
    assert (fallback["failed_model"], fallback["fallback_model"]) == (
        f"anthropic/{SMALL}",
        f"anthropic/{OWN}",
    )
    assert asked(model) == [OWN, SMALL, OWN]
    models = [event["model"] for event in of_type(events, "agent_info")]
    assert models == [f"anthropic/{OWN}", f"anthropic/{SMALL}", f"anthropic/{OWN}"]


def test_f22_models_that_think_in_different_ways_follow_each_other(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    for name in ("small", f"anthropic/{STRONG}"):
        events = local.say(
            session, f"[think]{call_text('change_model', model=name)}[then][think][say done]", agent="team"
        )
        assert of_type(events, "error") == []
    assert asked(model) == [OWN, SMALL, SMALL, STRONG]
    assert model.violations == []


def test_a_model_with_rules_lets_the_one_answer_whose_examples_are_like_the_message(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    thought = call_text("think", thought="x") + "[then][say done]"
    events = local.say(session, f"Prove this theorem, please. {thought}", agent="team/router")
    models = [event["model"] for event in of_type(events, "agent_info")]
    assert models == [f"anthropic/{OWN}", f"anthropic/{STRONG}"], "told once, and not for each turn"
    local.say(session, "Thanks! [say bye]", agent="team/router")
    local.say(session, "[say hello]", agent="team/router")
    assert asked(model) == [STRONG, STRONG, SMALL, OWN]
