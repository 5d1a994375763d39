"""/metrics tells what has happened in this process and how it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.numbers import Numbers
from tests.harness.process import eventually

TOKEN = "a-token-of-some-length"
MODEL = "claude-sonnet-5-5"


def numbers(client: LocalClient) -> Numbers:
    response = client.server.app.test_client().get("/metrics", buffered=True)
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain")
    return Numbers(response.get_data(as_text=True))


@pytest.fixture
def client(server: Server) -> LocalClient:
    return LocalClient(server)


def test_a_run_is_counted_with_its_outcome_events_tokens_and_times(client: LocalClient) -> None:
    session = client.new_session()
    with client.run(session, "[say hello]") as stream:
        events = stream.rest()
    client.wait_until_free(session)
    seen = numbers(client)
    assert seen.of("baton_runs_started_total") == 1
    assert seen.of("baton_runs_ended_total", status="finished", code="") == 1
    assert seen.of("baton_run_seconds_count", status="finished") == 1
    assert seen.of("baton_run_first_event_seconds_count") == 1
    assert seen.of("baton_events_total") == len(events)
    assert seen.of("baton_model_first_token_seconds_count", model=MODEL) == 1
    assert seen.of("baton_model_call_seconds_count", model=MODEL, outcome="finished") == 1
    usage = events[-2]["usage"]["last_message"]
    assert seen.of("baton_model_tokens_total", kind="output") == usage["output_tokens"]
    assert seen.of("baton_model_tokens_total", kind="cache_write") == usage["cached_write_tokens"]
    assert seen.of("baton_model_cost_dollars_total", model=MODEL) == pytest.approx(usage["Cost"])


def test_a_run_that_failed_is_counted_with_its_code_and_each_attempt_with_its_failure(
    client: LocalClient,
) -> None:
    session = client.new_session()
    client.say(session, "[fail 529]")
    client.wait_until_free(session)
    seen = numbers(client)
    assert seen.of("baton_runs_ended_total", status="failed", code="model_failed") == 1
    assert seen.of("baton_model_call_seconds_count", outcome="retryable") == 3
    assert seen.of("baton_model_first_token_seconds_count") == 0


def test_what_a_cut_turn_had_used_is_counted_too(client: LocalClient) -> None:
    session = client.new_session()
    client.say(session, "[words 20][drop 5]")
    client.wait_until_free(session)
    seen = numbers(client)
    assert seen.of("baton_model_call_seconds_count", outcome="retryable") == 1
    assert seen.of("baton_model_tokens_total") > 0


def test_tool_calls_are_timed_by_tool_and_state_and_a_name_the_model_made_up_is_no_label(
    client: LocalClient,
) -> None:
    session = client.new_session(tools_approved=True)
    calls = '[call shell {"cmd":"true"}][call no_such_tool {}]'
    client.say(session, f"{calls}[then][say done]", agent="tools")
    client.wait_until_free(session)
    seen = numbers(client)
    assert seen.of("baton_tool_seconds_count", tool="shell", state="completed") == 1
    assert seen.of("baton_tool_seconds_count") == 1
    assert seen.labels("baton_tool_seconds_count", "tool") == {"shell"}


def test_levels_are_those_of_the_moment_of_asking(client: LocalClient) -> None:
    session = client.new_session()
    before = numbers(client)
    with client.run(session, '[call shell {"cmd":"true"}][then][say done]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        client.server.gauges.measure_database()
        during = numbers(client)
        assert during.of("baton_runs", status="awaiting_approval") == 1
        assert during.of("baton_streams") == 1
        assert during.of("baton_threads_in_use") == before.of("baton_threads_in_use") + 1
        client.server.control.cancel(session, by="the test", wait=10)
    client.wait_until_free(session)
    client.server.gauges.measure_database()
    after = numbers(client)
    assert after.of("baton_runs") == after.of("baton_streams") == 0
    assert after.of("baton_threads_in_use") == before.of("baton_threads_in_use")
    assert after.of("baton_streams_limit") == client.server.settings.max_streams
    assert after.of("baton_threads_limit") == client.server.settings.all_threads


def test_the_longest_wait_for_a_person_grows_until_there_is_an_answer(client: LocalClient) -> None:
    gauges = client.server.gauges
    gauges.measure_waits()
    assert numbers(client).of("baton_longest_wait_seconds") == 0
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}][then][say done]', agent="tools") as stream:
        stream.until("tool_call_confirmation")

        def waits() -> float:
            gauges.measure_waits()
            return numbers(client).of("baton_longest_wait_seconds", status="awaiting_approval")

        first = eventually(waits, "the wait is measured")
        eventually(lambda: waits() > first, "it grows")
        assert numbers(client).of("baton_longest_wait_seconds", status="awaiting_input") == 0
        client.resume(session, "reject")
        stream.rest()
    client.wait_until_free(session)
    assert waits() == 0


def test_a_run_that_waits_for_a_person_is_counted_after_a_restart(
    tmp_path: Path, stand_in: OfflineServer
) -> None:
    settings = make_settings(tmp_path, stand_in.url)
    first = build(settings)
    client = LocalClient(first)
    session = client.new_session()
    with client.run(
        session,
        '[call shell {"cmd":"true"}][then][say done]',
        agent="tools",
        query="?on_disconnect=continue",
    ) as stream:
        stream.until("tool_call_confirmation")
        first.runtime.supervisor.drain(5.0)
    first.close()
    second = build(settings)
    client = LocalClient(second)
    second.gauges.measure_database()
    assert numbers(client).of("baton_runs", status="awaiting_approval") == 1
    client.resume(session, "reject")
    client.wait_until_free(session)
    second.close()


def test_refusals_are_counted_by_code(client: LocalClient) -> None:
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}][then][say done]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        assert client.try_run(session, "me too").status_code == 409
        client.stop(session)
    client.call("GET", "/nowhere", expect=404)
    client.wait_until_free(session)
    seen = numbers(client)
    assert seen.of("baton_refusals_total", status="409", code="awaiting_approval") == 1
    assert seen.of("baton_refusals_total", status="404", code="not_found") == 1
    assert seen.of("baton_requests_total", route="none", method="any", status="404") == 1


def test_messages_in_the_queue_are_counted_by_kind(client: LocalClient) -> None:
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}][then][say done]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        client.call("POST", f"/api/sessions/{session}/followup", _message("later"), expect=202)
        client.server.gauges.measure_database()
        seen = numbers(client)
        assert seen.of("baton_queued_messages", kind="followup") == 1
        assert seen.of("baton_queued_messages", kind="steer") == 0
        client.stop(session)
    client.wait_until_free(session)


def _message(text: str) -> dict[str, object]:
    return {"messages": [{"content": text}]}


def test_transactions_are_timed_and_failures_counted(client: LocalClient) -> None:
    before = numbers(client)
    client.new_session()
    after = numbers(client)
    assert (
        after.of("baton_database_seconds_count", kind="write")
        == before.of("baton_database_seconds_count", kind="write") + 1
    )
    with client.server.store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE sessions RENAME TO gone")
    client.call("GET", "/api/sessions", expect=503)
    assert numbers(client).of("baton_database_failures_total") == 1


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[LocalClient]:
    settings = make_settings(
        tmp_path_factory.mktemp("guarded"), stand_in.url, auth_tokens=(("ann/readonly", TOKEN),)
    )
    built = build(settings)
    yield LocalClient(built)
    built.close()


def test_with_tokens_the_numbers_need_one(guarded: LocalClient) -> None:
    assert guarded.ask("GET", "/metrics").status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.ask("GET", "/metrics", headers=headers).status_code == 200
