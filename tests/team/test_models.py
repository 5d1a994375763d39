"""The models that a reference stands for, and the vendors that are served."""

from __future__ import annotations

import pytest

from app.errors import InvalidRequest
from tests.team.teams import problems, team

MODELS = """\
models:
  big: {provider: anthropic, model: claude-opus-5-5}
  small: {provider: anthropic, model: claude-haiku-5-5}
  mix: {model: "big, small"}
  more: {model: "mix,anthropic/claude-x"}
  loop: {model: "loop,big"}
  gpt: {provider: openai, model: gpt-4o}
  router:
    provider: anthropic
    model: claude-sonnet-5-5
    routing:
      - {model: small, examples: [hi]}
"""


@pytest.mark.parametrize(
    ("reference", "ids"),
    [
        ("big", ["anthropic/claude-opus-5-5"]),
        ("anthropic/claude-x", ["anthropic/claude-x"]),
        ("anthropic/a/b", ["anthropic/a/b"]),
        ("auto", ["anthropic/claude-sonnet-5-5"]),
        ("''", ["anthropic/claude-sonnet-5-5"]),
        ("'big, small'", ["anthropic/claude-opus-5-5", "anthropic/claude-haiku-5-5"]),
        ("mix", ["anthropic/claude-opus-5-5", "anthropic/claude-haiku-5-5"]),
        ("more", ["anthropic/claude-opus-5-5", "anthropic/claude-haiku-5-5", "anthropic/claude-x"]),
        ("loop", ["anthropic/claude-opus-5-5"]),
        ("router", ["anthropic/claude-sonnet-5-5"]),
    ],
)
def test_a_reference_is_a_key_an_inline_model_auto_or_a_mix(reference: str, ids: list[str]) -> None:
    agent = team(f"agents: {{a: {{model: {reference}}}}}\n{MODELS}").agents[0]
    assert [model.id for model in agent.models] == ids


def test_a_model_knows_the_name_it_was_found_by() -> None:
    agent = team(f"agents: {{a: {{model: mix, fallback: {{models: [auto, small]}}}}}}\n{MODELS}").agents[0]
    assert [model.name for model in agent.models] == ["big", "small"]
    assert [model.name for model in agent.fallback_models] == ["auto", "small"]


def test_a_model_of_another_provider_that_is_not_used_does_no_harm() -> None:
    assert team(f"agents: {{a: {{model: big}}}}\n{MODELS}").agents[0].name == "a"


@pytest.mark.parametrize(
    ("agent", "problem"),
    [
        (
            "{model: gpt}",
            "8:9: models.gpt.provider: model 'gpt-4o' is of provider 'openai'; this server serves only",
        ),
        ("{model: openai/gpt-5}", "1:14: agents.a.model: model 'gpt-5' is of provider 'openai'; this server"),
        ("{model: 'big,gpt'}", "8:9: models.gpt.provider: model 'gpt-4o'"),
        ("{model: nothing}", "1:14: agents.a.model: agent 'a' references non-existent model 'nothing'"),
        ("{model: ' , '}", "1:14: agents.a.model: agent 'a' references no model"),
        ("{fallback: {models: [big, gpt]}}", "8:9: models.gpt.provider"),
        (
            "{fallback: {models: [nope]}}",
            "1:35: agents.a.fallback.models[0]: agent 'a' references non-existent",
        ),
        ("{toolsets: [{type: think, model: xai/grok}]}", "1:40: agents.a.toolsets[0].model: model 'grok'"),
    ],
)
def test_a_model_that_can_not_be_served_is_refused_at_its_line(agent: str, problem: str) -> None:
    (found,) = problems(f"agents: {{a: {agent}}}\n{MODELS}")
    assert problem.partition(": ")[2] in found
    assert found.partition(":")[0] == problem.partition(":")[0]


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("{model: claude-x}", "models.m: provider is required; this server serves 'anthropic'"),
        ("{provider: anthropic}", "models.m.model: is required"),
        (
            "{provider: anthropic, model: x, routing: [{model: openai/gpt}]}",
            "models.m.routing[0].model: model 'gpt' is of provider 'openai'; this server serves only",
        ),
        (
            "{provider: anthropic, model: x, routing: [{model: y}]}",
            "models.m.routing[0].model: routing rule 0 in model 'm' references non-existent model 'y'",
        ),
    ],
)
def test_a_model_that_is_used_must_be_complete(model: str, problem: str) -> None:
    assert problem in problems(f"agents: {{a: {{model: m}}}}\nmodels: {{m: {model}}}")[0]


def test_models_that_route_to_each_other_are_looked_at_once() -> None:
    loaded = team(
        """\
        agents: {r: {model: a}}
        models:
          a: {provider: anthropic, model: x, routing: [{model: b}]}
          b: {provider: anthropic, model: y, routing: [{model: a}]}
        """
    )
    assert loaded.agents[0].models[0].id == "anthropic/x"


@pytest.mark.parametrize(
    ("budget", "is_off", "starts"),
    [
        ("0", True, False),
        ("none", True, False),
        ("4096", False, True),
        ("high", False, True),
        ("~", False, False),
    ],
)
def test_a_thinking_budget_turns_thinking_on_or_off(budget: str, is_off: bool, starts: bool) -> None:
    definition = f"{{provider: anthropic, model: x, thinking_budget: {budget}}}"
    model = team(f"agents: {{a: {{model: m}}}}\nmodels: {{m: {definition}}}").agents[0].models[0]
    assert (model.thinking_is_off, model.starts_thinking) == (is_off, starts)


@pytest.mark.parametrize(
    ("options", "interleaved"),
    [
        ("{}", None),
        ("{interleaved_thinking: true}", True),
        ("{interleaved_thinking: 'No'}", False),
        ("{interleaved_thinking: 1}", True),
    ],
)
def test_interleaved_thinking_may_be_written_as_a_word(options: str, interleaved: bool | None) -> None:
    definition = f"{{provider: anthropic, model: x, provider_opts: {options}}}"
    model = team(f"agents: {{a: {{model: m}}}}\nmodels: {{m: {definition}}}").agents[0].models[0]
    assert model.interleaved_thinking is interleaved


def test_a_request_can_name_any_model_of_the_file() -> None:
    loaded = team(f"agents: {{a: {{}}}}\n{MODELS}")
    assert [model.id for model in loaded.models("mix")] == [
        "anthropic/claude-opus-5-5",
        "anthropic/claude-haiku-5-5",
    ]
    for reference, text in (
        ("gpt", "only Anthropic's models"),
        ("nope", "non-existent model 'nope'"),
        ("", "no model"),
    ):
        with pytest.raises(InvalidRequest, match=text):
            loaded.models(reference)
