"""Traces: one span per run, model call and tool call, in the trace of whoever asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.telemetry.open_telemetry import OpenTelemetry
from app.telemetry.telemetry import Telemetry
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import ROOT
from tests.harness.threads import ThreadStarts

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{CALLER}-01"}

DELEGATING = """\
agents:
  root: {model: anthropic/claude-sonnet-5-5, description: Leads, instruction: Lead., sub_agents: [helper]}
  helper: {model: anthropic/claude-sonnet-5-5, description: Helps, instruction: Help.}
"""


def test_the_last_spans_are_given_up_if_no_thread_can_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    tracing = OpenTelemetry(InMemorySpanExporter())
    starts = ThreadStarts(monkeypatch)
    starts.refuse(0)
    tracing.close()
    assert starts.names == ["traces-close"]
    tracing.close()


class Traced:
    """A server in this process, and the spans that it has sent when it is closed."""

    def __init__(self, directory: Path, model_url: str) -> None:
        self._exporter = InMemorySpanExporter()
        tracing = OpenTelemetry(self._exporter)
        agents = directory / "agents"
        agents.mkdir()
        (agents / "duo.yaml").write_text(DELEGATING)
        for file in (Path(__file__).parents[1] / "agents_for_tests").iterdir():
            (agents / file.name).write_text(file.read_text())
        settings = make_settings(directory, model_url, agents=agents)
        self.server: Server = build(settings, telemetry=Telemetry(tracing=tracing))
        self.client = LocalClient(self.server)

    def run(self, text: str, *, agent: str, headers: dict[str, str]) -> str:
        session = self.client.new_session(tools_approved=True)
        with self.client.run(session, text, agent=agent, headers=headers) as stream:
            stream.rest()
        self.client.wait_until_free(session)
        return session

    def spans(self) -> Sequence[ReadableSpan]:
        """In the order in which they began."""
        self.server.close()
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


@pytest.fixture
def traced(tmp_path: Path, model: OfflineServer) -> Iterator[Traced]:
    made = Traced(tmp_path, model.url)
    yield made
    made.server.close()


def parents(spans: Sequence[ReadableSpan]) -> dict[str, str]:
    """Each span's name with its parent's."""
    names = {span.context.span_id: span.name for span in spans if span.context}
    found = {}
    for span in spans:
        parent = span.parent.span_id if span.parent else 0
        found[span.name] = names.get(parent, f"{parent:016x}")
    return found


def test_a_run_with_a_tool_call_is_one_tree_in_the_trace_of_its_request(traced: Traced) -> None:
    session = traced.run('[call shell {"cmd":"exit 3"}][then][say done]', agent="tools", headers=HEADERS)
    spans = traced.spans()
    chat = "chat claude-sonnet-5-5"
    assert [span.name for span in spans] == [
        "invoke_agent tools/root",
        chat,
        "execute_tool shell",
        chat,
    ]
    assert parents(spans) == {
        "invoke_agent tools/root": CALLER,
        chat: "invoke_agent tools/root",
        "execute_tool shell": "invoke_agent tools/root",
    }
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {TRACE}
    run, asked, tool, _ = (dict(span.attributes or {}) for span in spans)
    assert run["gen_ai.operation.name"] == "invoke_agent"
    assert run["gen_ai.conversation.id"] == session
    assert asked["gen_ai.operation.name"] == "chat"
    assert asked["gen_ai.request.model"] == "claude-sonnet-5-5"
    assert asked["gen_ai.response.finish_reasons"] == ("tool_use",)
    assert isinstance(asked["gen_ai.usage.output_tokens"], int)
    assert spans[1].kind is SpanKind.CLIENT
    assert tool["gen_ai.tool.name"] == "shell"


def test_no_word_of_a_conversation_is_in_a_trace(traced: Traced) -> None:
    traced.run('[call shell {"cmd":"echo sesame"}][then][say sesame]', agent="tools", headers=HEADERS)
    assert all("sesame" not in span.to_json() for span in traced.spans())


def test_a_run_without_a_trace_begins_one_and_a_failure_is_marked_with_its_code(traced: Traced) -> None:
    traced.run("[fail 400]", agent="plain", headers={})
    run, call = traced.spans()
    assert run.parent is None
    assert run.status.status_code is call.status.status_code is StatusCode.ERROR
    assert dict(run.attributes or {})["error.type"] == "model_failed"
    assert dict(call.attributes or {})["error.type"] == "final"


def test_what_a_colleague_does_for_a_task_is_below_the_call_that_delegated_it(traced: Traced) -> None:
    task = '{"agent":"helper","task":"[say helped]","expected_output":"help"}'
    traced.run(f"[call transfer_task {task}][then][say done]", agent="duo", headers=HEADERS)
    spans = traced.spans()
    delegated = next(span for span in spans if span.name == "execute_tool transfer_task")
    below = [span.name for span in spans if span.parent and span.parent == delegated.context]
    assert below == ["chat claude-sonnet-5-5"]
    assert len([span for span in spans if span.name.startswith("chat")]) == 3


@pytest.mark.parametrize("header", ["nonsense", "00-0-0-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_header_that_makes_no_sense_is_ignored(traced: Traced, header: str) -> None:
    traced.run("[say hello]", agent="plain", headers={"traceparent": header})
    run, _ = traced.spans()
    assert run.parent is None


def test_nothing_of_opentelemetry_is_imported_when_traces_are_off() -> None:
    program = (
        "import sys, app.factory, app.telemetry.telemetry; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60)
    assert done.returncode == 0
