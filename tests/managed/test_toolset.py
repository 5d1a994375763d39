"""agent_toolset_20260401 through the official SDK: each tool's whole path, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.test_sessions import say, types, until_idle
from tests.managed.toolset_calls import ASK, TOOLSET, call, events, results, started


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def test_each_tool_is_called_and_answers(sdk: Sdk) -> None:
    session = started(
        sdk,
        call("write", file_path="in/a.txt", content="one\ntwo\n")
        + "[then]"
        + call("edit", file_path="in/a.txt", old_string="two", new_string="zwei")
        + "[then]"
        + call("read", file_path="in/a.txt", view_range=[2, 2])
        + call("glob", pattern="**/*.txt")
        + call("grep", pattern="z.ei")
        + call("bash", command="cd in; export A=b; cat a.txt")
        + "[then]"
        + call("bash", command="cat a.txt; echo $A; exit 3")
        + call("read", file_path="../../x")
        + "[then][say Done.]",
    )
    until_idle(sdk, session.id)
    found = results(sdk, session.id)
    place = found[3][0].removesuffix("/in/a.txt")
    assert place.endswith(f"environments/{session.id}")
    assert found == [
        ("wrote 8 bytes to in/a.txt", False),
        ("edited in/a.txt (1 replacement(s))", False),
        ("zwei", False),
        (f"{place}/in/a.txt", False),
        (f"{place}/in/a.txt:2:zwei", False),
        ("one\nzwei", False),
        ("one\nzwei\nb", True),
        ("read: path '../../x' is outside the session's working directory", True),
    ]
    assert {one.evaluated_permission for one in events(sdk, session.id, "agent.tool_use")} == {"allow"}


def test_the_shell_of_the_next_turn_begins_where_the_last_one_ended(sdk: Sdk) -> None:
    session = started(sdk, call("bash", command="mkdir in; cd in; export A=b") + "[then][say Done.]")
    until_idle(sdk, session.id)
    said = call("bash", command='basename "$PWD"; echo $A') + "[then][say Done.]"
    sdk.beta.sessions.events.send(session.id, events=[say(said)])
    until_idle(sdk, session.id, times=2)
    assert results(sdk, session.id)[-1] == ("in\nb", False)


def test_a_picture_and_a_document_come_as_blocks(sdk: Sdk) -> None:
    pdf = "printf '%%PDF-1.4\\n/Type /Page\\n%%%%EOF\\n' > d.pdf"
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    session = started(
        sdk,
        call("bash", command=f"{pdf}; echo {png} | base64 -d > p.png")
        + "[then]"
        + call("read", file_path="p.png")
        + call("read", file_path="d.pdf")
        + "[then][say Done.]",
    )
    until_idle(sdk, session.id)
    _, picture, document = events(sdk, session.id, "agent.tool_result")
    assert picture.content[1].source.media_type == "image/png"
    assert document.content[1].source.media_type == "application/pdf"
    assert types(sdk, session.id)[-1] == "session.status_idle"
    assert "session.error" not in types(sdk, session.id)


def test_a_damaged_document_does_not_spoil_the_session(sdk: Sdk) -> None:
    session = started(
        sdk,
        call("write", file_path="d.pdf", content="%PDF-1.4 and no more")
        + "[then]"
        + call("read", file_path="d.pdf")
        + "[then][say Done.]",
    )
    until_idle(sdk, session.id)
    assert results(sdk, session.id)[1] == ("read: d.pdf: not a whole PDF without a password", True)
    texts = [part.text for one in events(sdk, session.id, "agent.message") for part in one.content]
    assert texts == ["Done."]


def test_a_tool_that_is_not_enabled_is_not_there(sdk: Sdk) -> None:
    configs = [{"name": "bash", "enabled": False}]
    session = started(sdk, call("bash", command="touch x") + "[then][say Done.]", configs=configs)
    until_idle(sdk, session.id)
    ((words, failed),) = results(sdk, session.id)
    assert ("not available" in words, failed) == (True, True)
    assert events(sdk, session.id, "agent.tool_use")[0].evaluated_permission == "deny"


def test_a_toolset_without_an_enabled_tool_offers_none(sdk: Sdk, model: OfflineServer) -> None:
    session = started(sdk, "[say Done.]", default_config={"enabled": False})
    until_idle(sdk, session.id)
    assert model.requests[-1].get("tools", []) == []


def test_a_search_of_the_web_is_told_as_a_call(sdk: Sdk) -> None:
    session = started(
        sdk, "[pause][say Found.]", configs=[{"name": "web_search", "allowed_domains": ["example.com"]}]
    )
    until_idle(sdk, session.id)
    (use,) = events(sdk, session.id, "agent.tool_use")
    assert (use.name, use.evaluated_permission) == ("web_search", "allow")
    ((words, failed),) = results(sdk, session.id)
    assert (json.loads(words)[0]["url"], failed) == ("https://example.com/", False)
    usage = sdk.beta.sessions.retrieve(session.id).usage
    assert usage.server_tool_use is not None
    assert usage.server_tool_use.web_search_requests == 1


def test_a_page_outside_of_the_allowed_domains_is_refused(sdk: Sdk) -> None:
    configs = [{"name": "web_fetch", "allowed_domains": ["example.com"], "max_content_tokens": 100}]
    said = call("web_fetch", url="https://example.org/") + "[then][say Done.]"
    session = started(sdk, said, configs=configs)
    until_idle(sdk, session.id)
    words, failed = results(sdk, session.id)[0]
    assert (words.startswith("url_not_allowed"), failed) == (True, True)


@pytest.mark.parametrize(
    ("toolset", "words"),
    [
        ({}, "bash, write, edit may not run unasked"),
        ({"configs": [{"name": "bash", "permission_policy": ASK}]}, "write, edit may not run unasked"),
    ],
)
def test_with_tokens_tools_that_change_something_are_asked_for(
    company: Server, toolset: dict[str, Any], words: str
) -> None:
    with Sdk(company, "ann-has-this-token") as ann:
        tools: Any = [{"type": TOOLSET, **toolset}]
        with pytest.raises(
            anthropic.BadRequestError, match=f"tools.0.{TOOLSET}: {words}.*BATON_UNASKED_TOOLS=on"
        ):
            ann.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)


def test_with_tokens_what_is_asked_for_is_served(company: Server) -> None:
    asking: Any = [{"type": TOOLSET, "default_config": {"permission_policy": ASK}}]
    free: Any = [{"type": TOOLSET}]
    with Sdk(company, "ann-has-this-token") as ann:
        agent = ann.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=asking)
        environment = ann.beta.environments.create(name="here")
        session = ann.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        overridden: Any = {"type": "agent_with_overrides", "id": agent.id, "tools": free}
        calls: list[Callable[[], object]] = [
            lambda: ann.beta.agents.update(agent.id, version=1, tools=free),
            lambda: ann.beta.sessions.create(agent=overridden, environment_id=environment.id),
            lambda: ann.beta.sessions.update(session.id, agent={"tools": free}),
        ]
        for refused in calls:
            with pytest.raises(anthropic.BadRequestError, match="may not run unasked"):
                refused()


@pytest.mark.parametrize("more", [{"unasked_tools": True}, {"sandbox": "bubblewrap"}])
def test_an_operator_lets_tools_run_unasked(
    tmp_path: Path, stand_in: OfflineServer, more: dict[str, Any]
) -> None:
    tokens = [("ann/user", "ann-has-this-token")]
    server = build(make_settings(tmp_path, stand_in.url, auth_tokens=tokens, **more))
    with Sdk(server, "ann-has-this-token") as ann:
        tools: Any = [{"type": TOOLSET}]
        assert ann.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools).version == 1
    server.close()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"name": "web_search", "permission_policy": ASK}, "configs.0.permission_policy: .*web_search"),
        ({"name": "web_fetch", "url_sources": {"type": "any"}}, "configs.0.url_sources"),
        ({"name": "web_fetch", "allowed_domains": ["a b"]}, "allowed_domains"),
    ],
)
def test_what_can_not_be_done_is_refused_by_its_name(sdk: Sdk, config: Any, words: str) -> None:
    tools: Any = [{"type": TOOLSET, "configs": [config]}]
    with pytest.raises(anthropic.BadRequestError, match=words):
        sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)


def test_an_operator_takes_the_search_away(tmp_path: Path, model: OfflineServer) -> None:
    server = build(make_settings(tmp_path, model.url, web_search=False))
    with Sdk(server, "anything") as sdk:
        until_idle(sdk, started(sdk, "[say Hello.]").id)
        offered = {tool["name"] for tool in model.requests[-1]["tools"]}
        assert "web_fetch" in offered
        assert "web_search" not in offered
        tools: Any = [{"type": TOOLSET, "configs": [{"name": "web_search"}]}]
        with pytest.raises(anthropic.BadRequestError, match=r"configs.0: web_search is switched off"):
            sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)
        tools[0]["configs"][0]["enabled"] = False
        assert sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools).version == 1
    server.close()
