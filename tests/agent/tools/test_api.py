"""An address as a tool: the request, the answer, and the failures."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from app.agent.tools.api import ApiToolset
from app.agent.tools.run_facts import RunFacts
from app.agent.toolset import ToolFailed, ToolResult
from app.team.toolset_spec import ApiToolSpec
from tests.agent.tools.web_site import WebSite, running
from tests.agent.tools.workbench import Workbench, find


@pytest.fixture
def site() -> Iterator[WebSite]:
    with running() as site:
        yield site


def api(endpoint: str, **fields: Any) -> ApiToolset:
    definition = ApiToolSpec.model_validate({"name": "ask", "endpoint": endpoint, "method": "GET", **fields})
    return ApiToolset(definition, fill_in=RunFacts().fill_in)


def test_a_tool_is_described_by_its_definition() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    toolset = api(
        "http://x/", instruction="Asks.", args={"q": {"type": "string"}}, required=["q"], output_schema=schema
    )
    assert toolset.instructions == "Asks."
    assert find(toolset, "ask").definition() == {
        "name": "ask",
        "category": "api",
        "description": "Asks.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
        "annotations": {"readOnlyHint": True, "title": "ask"},
        "outputSchema": schema,
    }
    assert find(api("http://x/"), "ask").output_schema == {"type": "string"}


def test_arguments_of_a_get_are_filled_into_the_address_and_stay_in_their_place(
    bench: Workbench, site: WebSite
) -> None:
    site.add("/of/a%2Fc%3Fb%3D1%26%C3%A9/3", "answer")
    toolset = api(site.url("/of/${what}/${n}"))
    assert bench.call(toolset, "ask", what="a/c?b=1&é", n=3).output == "answer"
    assert site.asked == ["/of/a%2Fc%3Fb%3D1%26%C3%A9/3"]


def test_an_argument_that_would_change_the_path_is_refused(bench: Workbench, site: WebSite) -> None:
    toolset = api(site.url("/users/1/keys/${key}?note=${note}"))
    for argument in ("..", ".", "", None, "/", "\\", "../x", "%2e%2e", "..;", "a\r\nX-A: b"):
        result = bench.call(toolset, "ask", key=argument, note="..")
        assert "can't be one segment of a path" in result.output
        assert result.is_error
    assert site.asked == []
    bench.call(toolset, "ask", key="x", note="..\r\n&")
    assert site.asked == ["/users/1/keys/x?note=..%0D%0A%26"]


def test_an_argument_in_the_host_reaches_no_private_address(bench: Workbench, site: WebSite) -> None:
    toolset = api(f"http://${{host}}:{site.port}/")
    assert "is not a public address" in bench.call(toolset, "ask", host="localhost").output
    assert "can't be a part of a host's name" in bench.call(toolset, "ask", host="127.0.0.1").output
    assert site.asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "patch", "DELETE"])
def test_arguments_of_other_methods_are_the_body(bench: Workbench, site: WebSite, method: str) -> None:
    site.add("/", "done", status=201)
    toolset = api(site.url("/"), method=method, headers={"X-Fixed": "1"})
    assert bench.call(toolset, "ask", a=1, b=["é"]).output == "done"
    [(sent, _, headers, body)] = site.requests
    assert sent == method.upper()
    assert json.loads(body) == {"a": 1, "b": ["é"]}
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("Baton/")


def test_headers_are_completed_from_the_request_that_started_the_run(bench: Workbench, site: WebSite) -> None:
    site.add("/")
    definition = ApiToolSpec(
        name="ask",
        endpoint=site.url("/"),
        headers={"X-User": "for ${headers.x-user}", "X-None": "[${headers.Absent}]"},
    )
    toolset = ApiToolset(definition, fill_in=RunFacts(headers={"X-User": "ann"}).fill_in)
    bench.call(toolset, "ask")
    [(_, _, headers, _)] = site.requests
    assert (headers["X-User"], headers["X-None"]) == ("for ann", "[]")


def test_any_status_is_an_answer_and_a_long_one_is_cut(bench: Workbench, site: WebSite) -> None:
    site.add("/missing", "not here", status=404)
    site.add("/long", "x" * 2_000_000)
    missing = bench.call(api(site.url("/missing")), "ask")
    assert (missing.output, missing.is_error) == ("not here", True)
    result = bench.call(api(site.url("/long")), "ask")
    assert result.output == "x" * 30_000 + "\n\n[Output truncated: exceeded 30,000 character limit]"


def test_headers_go_to_no_other_host(bench: Workbench, site: WebSite) -> None:
    site.add("/here", status=302, body="moved", Location="/there")
    site.add("/there", "arrived")
    site.add("/away", status=302, body="moved away", Location=site.url("/there", host="localhost"))
    assert bench.call(api(site.url("/here")), "ask").output == "arrived"
    odd = f"http://127.0.0.2:{site.port}\\@127.0.0.1:{site.port}/there"  # parsers disagree on its host
    site.add("/odd", status=302, body="moved oddly", Location=odd)
    for toolset in (
        api(site.url("/away")),
        api(site.url("/odd")),
        api(site.url("/here"), method="POST"),
    ):
        assert "which is not followed" in bench.call(toolset, "ask").output
    assert site.asked == ["/here", "/there", "/away", "/odd", "/here"]


def test_what_can_not_be_reached_is_a_failure(bench: Workbench) -> None:
    result = bench.call(api("http://127.0.0.1:9/"), "ask")
    assert result.is_error
    assert result.output.startswith("Error calling tool: request failed: ")


@pytest.mark.parametrize("endpoint", ["", "/path", "ftp://x/", "http://"])
def test_an_endpoint_that_is_no_address_fails_the_listing(endpoint: str) -> None:
    with pytest.raises(ToolFailed, match="not an absolute http or https address"):
        api(endpoint).tools()


def test_a_cancel_ends_the_wait(bench: Workbench, site: WebSite) -> None:
    asked, over = threading.Event(), threading.Event()

    def hang(_request: BaseHTTPRequestHandler) -> None:
        asked.set()
        over.wait(10)

    site.pages["/"] = hang

    def cancel() -> None:
        asked.wait(10)
        bench.cancellation.cancel()

    threading.Thread(target=cancel).start()
    result = bench.call(api(site.url("/")), "ask")
    over.set()
    assert result == ToolResult.unknown("the run was cancelled before the answer came")
