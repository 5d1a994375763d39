"""A session of the Managed Agents API, at the server's own door: it is a session like any other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.factory import Server
from app.managed_ids import number_in
from tests.harness.in_process import LocalClient
from tests.managed.conftest import Sdk
from tests.managed.test_sessions import until_idle
from tests.managed.toolset_calls import ASK, call, results, started, waiting


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def test_a_call_is_approved_there_with_other_arguments(sdk: Sdk, local: LocalClient) -> None:
    session = started(
        sdk, call("bash", command="echo own") + "[then][say Done.]", default_config={"permission_policy": ASK}
    )
    waiting(sdk, session.id)
    number = str(number_in("sesn", session.id))
    question = local.call("GET", f"/api/sessions/{number}/question")
    changed = {"call_id": question["call_id"], "arguments": {"command": "echo changed"}}
    local.call("POST", f"/api/sessions/{number}/resume", {"confirmation": "approve", **changed})
    until_idle(sdk, session.id, times=2)
    ((text, is_error),) = results(sdk, session.id)
    assert text.endswith("changed")
    assert not is_error


def test_a_request_to_the_model_is_shown_there_with_its_options(sdk: Sdk, local: LocalClient) -> None:
    session = started(sdk, "[say Hello.]")
    until_idle(sdk, session.id)
    (run,) = local.call("GET", f"/api/runs?session={number_in('sesn', session.id)}")
    shown = local.call("GET", f"/api/runs/{run['id']}/request")
    assert shown["has_options"]
    assert {tool["name"] for tool in shown["request"]["tools"]} >= {"bash", "edit"}
