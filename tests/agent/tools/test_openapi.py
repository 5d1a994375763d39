"""An API that describes itself: its operations as tools, and their calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema
import pytest

from app.agent.tools import public_http
from app.agent.tools.openapi import DocumentUnavailable, OpenApiToolset
from app.agent.tools.openapi_document import operations
from app.agent.tools.run_facts import NeverCancelled, RunFacts
from tests.agent.tools.web_site import WebSite, running
from tests.agent.tools.workbench import Workbench, find

PETS: dict[str, Any] = {
    "openapi": "3.1.0",
    "servers": [{"url": "/v{version}", "variables": {"version": {"default": "2"}}}],
    "paths": {
        "/pets/{pet id}": {
            "parameters": [{"name": "pet id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {
                "operationId": "pets.get one",
                "summary": "Gets a pet",
                "description": "With all its toys.",
                "parameters": [
                    {"$ref": "#/components/parameters/Toys"},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                ],
            },
            "patch": {
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}
                }
            },
        },
        "/pets": {
            "post": {
                "operationId": "addPets",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"type": "array", "items": {"type": "string"}}}
                    },
                },
            },
        },
    },
    "components": {
        "parameters": {
            "Toys": {
                "name": "toys",
                "in": "query",
                "description": "Which toys",
                "schema": {"type": "array", "items": {"type": "string"}},
            }
        },
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "friend": {"$ref": "#/components/schemas/Pet"}},
            }
        },
    },
}


@pytest.fixture
def site() -> Iterator[WebSite]:
    with running() as site:
        site.add("/spec/openapi.json", json.dumps(PETS), kind="application/json")
        yield site


@pytest.fixture
def pets(site: WebSite) -> OpenApiToolset:
    toolset = api(site, "/spec/openapi.json")
    toolset.start()
    site.requests.clear()
    return toolset


def api(site: WebSite, path: str, origins: Sequence[str] = ()) -> OpenApiToolset:
    return OpenApiToolset(
        site.url(path),
        headers={"X-User": "${headers.X-User}"},
        fill_in=RunFacts(headers={"x-user": "ann"}).fill_in,
        cancellation=NeverCancelled(),
        origins=origins,
    )


def test_every_operation_is_a_tool(pets: OpenApiToolset) -> None:
    assert [(tool.name, tool.title, tool.category, tool.read_only) for tool in pets.tools()] == [
        ("pets_get_one", "Gets a pet", "openapi", True),
        ("patch_pets_pet_id", "PATCH /pets/{pet id}", "openapi", False),
        ("addPets", "addPets", "openapi", False),
    ]
    assert find(pets, "pets_get_one").description == "Gets a pet\n\nWith all its toys."
    for tool in pets.tools():
        jsonschema.Draft202012Validator.check_schema(tool.for_model()["input_schema"])


def test_path_query_and_body_are_one_flat_schema(pets: OpenApiToolset) -> None:
    assert find(pets, "pets_get_one").parameters == {
        "type": "object",
        "properties": {
            "toys": {"type": "array", "items": {"type": "string"}, "description": "Which toys"},
            "pet id": {"type": "integer"},
        },
        "required": ["pet id"],
    }
    changed = find(pets, "patch_pets_pet_id").parameters
    assert changed is not None
    assert changed["required"] == ["pet id", "body_name"]
    assert changed["properties"]["body_friend"] == {}, "a pet within a pet"
    whole = find(pets, "addPets").parameters
    assert whole is not None
    assert whole["properties"] == {"body": {"type": "array", "items": {"type": "string"}}}
    assert whole["required"] == ["body"]


def test_arguments_go_where_they_belong(bench: Workbench, pets: OpenApiToolset, site: WebSite) -> None:
    site.add("/v2/pets/7", "fine")
    bench.call(pets, "pets_get_one", **{"pet id": 7, "toys": ["ball", "b&w"]})
    result = bench.call(pets, "patch_pets_pet_id", **{"pet id": 7, "body_name": "Rex", "body_friend": None})
    assert result.output == "fine"
    site.add("/v2/pets", "added")
    assert bench.call(pets, "addPets", body=["Rex"]).output == "added"
    sent = [(method, path, body) for method, path, _, body in site.requests]
    assert sent == [
        ("GET", "/v2/pets/7?toys=ball&toys=b%26w", b""),
        ("PATCH", "/v2/pets/7", b'{"name": "Rex"}'),
        ("POST", "/v2/pets", b'["Rex"]'),
    ]
    assert {headers["X-User"] for _, _, headers, _ in site.requests} == {"ann"}
    assert site.requests[1][2]["Content-Type"] == "application/json"


def test_an_argument_can_not_leave_its_place_in_the_path(
    bench: Workbench, pets: OpenApiToolset, site: WebSite
) -> None:
    bench.call(pets, "pets_get_one", **{"pet id": "a/b?x=1"})
    assert site.asked[1:] == ["/v2/pets/a%2Fb%3Fx%3D1"]
    for argument in ("..", ".", "", None, "/", "../../admin", "%2e%2e", "..;", "x\r\nX-A: b"):
        result = bench.call(pets, "patch_pets_pet_id", **{"pet id": argument, "body_name": "Rex"})
        assert "can't be one segment of a path" in result.output
        assert result.is_error
    assert len(site.asked) == 2, "the document and one call"


def described(base: str, path: str = "/a") -> str:
    operation = {"operationId": "ask", "parameters": [{"name": "tenant", "in": "path"}]}
    document = {"openapi": "3.1.0", "servers": [{"url": base}], "paths": {path: {"get": operation}}}
    return json.dumps(document)


@pytest.fixture
def elsewhere() -> Iterator[WebSite]:
    with running() as site:
        site.add("/a", "reached")
        yield site


def test_a_document_does_not_lead_to_private_addresses(
    bench: Workbench, site: WebSite, elsewhere: WebSite
) -> None:
    site.add("/elsewhere", described(elsewhere.url("")))
    toolset = api(site, "/elsewhere")
    toolset.start()
    result = bench.call(toolset, "ask")
    assert (result.is_error, "is not a public address" in result.output) == (True, True)
    assert elsewhere.requests == []


def test_headers_go_to_no_server_that_only_the_document_names(
    bench: Workbench, site: WebSite, elsewhere: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_http, "is_public", lambda _: True)
    site.add("/elsewhere", described(elsewhere.url("")))
    toolset = api(site, "/elsewhere")
    toolset.start()
    assert bench.call(toolset, "ask").output == "reached"
    [(_, _, headers, _)] = elsewhere.requests
    assert "X-User" not in headers


def test_headers_go_to_the_servers_that_the_agents_author_named(
    bench: Workbench, site: WebSite, elsewhere: WebSite
) -> None:
    site.add("/elsewhere", described(elsewhere.url("")))
    toolset = api(site, "/elsewhere", origins=[elsewhere.url("")])
    toolset.start()
    assert bench.call(toolset, "ask").output == "reached"
    assert elsewhere.requests[0][2]["X-User"] == "ann"


@pytest.mark.parametrize("trick", ["argument", "user", "path", "backslash"])
def test_neither_argument_nor_path_moves_the_headers_to_another_host(
    bench: Workbench, site: WebSite, elsewhere: WebSite, trick: str
) -> None:
    base, path = {
        "argument": ("http://{tenant}", "/a"),
        "user": (site.url("").replace("//", "//x@"), f"@127.0.0.1:{elsewhere.port}/a"),
        "path": (site.url(""), f"@127.0.0.1:{elsewhere.port}/a"),
        "backslash": (f"{elsewhere.url('')}\\@127.0.0.1:{site.port}", "/a"),
    }[trick]
    site.add("/trick", described(base, path))
    toolset = api(site, "/trick")
    toolset.start()
    assert bench.call(toolset, "ask", tenant=f"127.0.0.1:{elsewhere.port}").is_error
    assert elsewhere.requests == []


def test_a_query_argument_and_a_header_bring_no_line_into_the_request(
    bench: Workbench, site: WebSite
) -> None:
    site.add("/v2/pets/7", "fine")
    toolset = api(site, "/spec/openapi.json")
    toolset.start()
    bench.call(toolset, "pets_get_one", **{"pet id": 7, "toys": ["a\r\nX-A: b", "&x=1#"]})
    assert site.asked[-1] == "/v2/pets/7?toys=a%0D%0AX-A%3A+b&toys=%26x%3D1%23"
    facts = RunFacts(headers={"x-user": "ann\r\nX-A: b"})
    bad = OpenApiToolset(
        site.url("/spec/openapi.json"),
        headers={"X-User": "${headers.X-User}"},
        fill_in=facts.fill_in,
        cancellation=NeverCancelled(),
    )
    with pytest.raises(DocumentUnavailable):
        bad.start()


def test_an_error_status_is_an_error_and_a_long_answer_says_so(
    bench: Workbench, pets: OpenApiToolset, site: WebSite
) -> None:
    site.add("/v2/pets/1", "no such pet", status=404)
    site.add("/v2/pets/2", "x" * 1_100_000)
    missing = bench.call(pets, "pets_get_one", **{"pet id": 1})
    assert (missing.output, missing.is_error) == ("HTTP 404: no such pet", True)
    long = bench.call(pets, "pets_get_one", **{"pet id": 2})
    assert long.output.startswith("[Warning: the response is larger than 1 MiB")
    assert long.output.endswith("[Output truncated: exceeded 30,000 character limit]")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{}", 404, "answers with status 404"),
        ("{}", 200, "is not of OpenAPI 3"),
        ('{"swagger": "2.0"}', 200, "is not of OpenAPI 3"),
        ("a: [", 200, "neither JSON nor YAML"),
        (" " * 10_500_000, 200, "larger than 10 MB"),
    ],
)
def test_a_document_that_is_none_leaves_the_toolset_out(
    site: WebSite, body: str, status: int, words: str
) -> None:
    site.add("/bad", body, status=status)
    with pytest.raises(DocumentUnavailable, match=words):
        api(site, "/bad").start()


def test_a_document_may_be_yaml_and_name_its_server(site: WebSite) -> None:
    site.add("/y", "openapi: 3.0.0\nservers: [{url: 'https://api.example/base/'}]\npaths: {/a: {get: {}}}")
    toolset = api(site, "/y")
    toolset.start()
    assert [tool.name for tool in toolset.tools()] == ["get_a"]


@pytest.mark.parametrize(
    "paths",
    [None, [], {"/a": None}, {"/a": {"get": []}}, {"/a": {"get": {"parameters": [3], "requestBody": 4}}}],
)
def test_a_sloppy_document_breaks_nothing(paths: Any) -> None:
    for operation in operations({"openapi": "3.0.0", "paths": paths}, "http://x/y.json"):
        assert operation.url == "http://x/a"
