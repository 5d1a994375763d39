"""Puts the OpenAPI document together from the routes that Flask has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from typing_extensions import is_typeddict
from werkzeug.routing import Map, Rule

from app.web import request_models, response_models
from app.web.openapi.event_schemas import event_schemas
from app.web.openapi.operation import OperationSpec, ResponseSpec
from app.web.openapi.operations import OPERATIONS
from app.web.openapi.refusals import SHAPES, refusals
from app.web.query_parameters import PRETTY, Parameter

Json = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{model}"
_PART: Final = re.compile(r"<(?:(?P<converter>\w+)(?:\([^)]*\))?:)?(?P<name>\w+)>")
_ADDED_BY_FLASK: Final = frozenset({"HEAD", "OPTIONS"})
_HEADERS: Final[Mapping[str, str]] = {
    "X-Request-ID": "The id of this request, as it stands in the log.",
    "Link": 'Where the next page is (`rel="next"`), if there is one.',
    "X-Run-ID": "The run whose events these are.",
    "Idempotent-Replayed": "`true`: this is the answer to an equal request that came before.",
    "Location": "Where to look on.",
    "Retry-After": "Seconds after which another try makes sense.",
    "WWW-Authenticate": "How to say who asks.",
}
_ABOUT: Final = (
    "Sessions, runs and their events. Every refusal is JSON with `message`, `error` (the same), `code` and "
    "`request_id`; decide by `code`. A path that is not listed answers 404 `not_found`, a method 405 "
    "`method_not_allowed`."
)


def openapi_document(routes: Map, *, version: str, secured: bool) -> Json:
    """`secured`: the server asks for tokens."""
    schemas = _Schemas()
    paths: dict[str, Json] = defaultdict(dict)
    ids: set[str] = set()
    for rule in routes.iter_rules():
        operation = OPERATIONS.get(rule.endpoint)
        for method in sorted((rule.methods or set()) - _ADDED_BY_FLASK) if operation else ():
            assert operation is not None  # noqa: S101 - for the type checker
            described = _operation(routes, rule, operation, schemas, secured=secured)
            described["operationId"] = _unique(rule.endpoint.replace(".", "_"), ids)
            paths[_PART.sub(r"{\g<name>}", rule.rule)][method.lower()] = described
    document: Json = {
        "openapi": "3.1.0",
        "info": {"title": "Baton", "version": version, "description": _ABOUT},
        "paths": dict(sorted(paths.items())),
        "components": _components(schemas, secured=secured),
    }
    return {**_without_titles(document), "info": document["info"]}


class _Schemas:
    """Collects the components that the document refers to."""

    def __init__(self) -> None:
        self.components: dict[str, Json] = {}

    def of(self, kind: Any) -> Json:
        """The schema of an answer of this type; a shape with a name becomes a component."""
        schema = self._kept(TypeAdapter(kind).json_schema(mode="serialization", ref_template=_REFERENCE))
        return self._named(kind.__name__, schema) if is_typeddict(kind) else schema

    def of_body(self, body: type[request_models.RequestModel] | str) -> Json:
        if isinstance(body, str):
            options = request_models.RunOptions if body == "run" else None
            only_one = body == "one message"
            schema = request_models.messages_schema(
                exactly_one=only_one, ref_template=_REFERENCE, options=options
            )
            return self._kept(schema)
        schema = self._kept(body.model_json_schema(ref_template=_REFERENCE))
        return self._named(body.__name__, schema)

    def _named(self, name: str, schema: Json) -> Json:
        self._add(name, schema)
        return {"$ref": _REFERENCE.format(model=_public(name))}

    def _kept(self, schema: Json) -> Json:
        for name, part in schema.pop("$defs", {}).items():
            self._add(name, part)
        return schema

    def _add(self, name: str, schema: Json) -> None:
        """ValueError if two classes share a name: the document would describe one of them by the other."""
        name = _public(name)
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"two different shapes are called {name}")


def _operation(
    routes: Map, rule: Rule, operation: OperationSpec, schemas: _Schemas, *, secured: bool
) -> Json:
    in_path = list(_path_parameters(routes, rule))
    described: Json = {
        "summary": operation.summary,
        "tags": [rule.endpoint.partition(".")[0]],
        "parameters": [*in_path, *(_parameter(one) for one in operation.parameters)],
        "responses": {
            str(status): _with_request_id(response)
            for status, response in {
                **{status: _answer(answer, schemas) for status, answer in operation.answers.items()},
                **refusals(operation, has_path_values=bool(in_path), secured=secured),
            }.items()
        },
    }
    if secured:
        described["security"] = [] if operation.is_open else [{"token": []}]
    if operation.body is not None:
        described["requestBody"] = _request_body(operation.body, schemas)
    return described


def _path_parameters(routes: Map, rule: Rule) -> Iterator[Json]:
    for part in _PART.finditer(rule.rule):
        converter = routes.converters[part["converter"] or "default"]
        schema = {"type": "string", "pattern": f"^{converter.regex}$"}
        yield {"name": part["name"], "in": "path", "required": True, "schema": schema}


def _parameter(parameter: Parameter) -> Json:
    if parameter is PRETTY:
        return {"$ref": "#/components/parameters/pretty"}
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.about,
        "schema": dict(parameter.schema),
    }


def _request_body(body: type[request_models.RequestModel] | str, schemas: _Schemas) -> Json:
    schema = schemas.of_body(body)
    required = isinstance(body, str) or not _accepts_nothing(body)
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _accepts_nothing(body: type[request_models.RequestModel]) -> bool:
    return not any(field.is_required() for field in body.model_fields.values())


def _answer(answer: ResponseSpec, schemas: _Schemas) -> Json:
    content: Json = {"schema": schemas.of(answer.shape)}
    if answer.media == "text/event-stream":
        content["x-event"] = {"$ref": "#/components/schemas/Event"}
    return {
        "description": answer.about,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in answer.headers},
        "content": {answer.media: content},
    }


def _with_request_id(response: Json) -> Json:
    headers = {**response["headers"], "X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    return {**response, "headers": headers}


def _components(schemas: _Schemas, *, secured: bool) -> Json:
    for shape in (response_models.RefusalJson, *SHAPES.values()):
        schemas.of(shape)
    kinds = event_schemas()
    event = {
        "description": "What the `data` of a stream's frame is, by its `type`.",
        "oneOf": [{"$ref": _REFERENCE.format(model=name)} for name in kinds],
    }
    components: Json = {
        "schemas": {**dict(sorted(schemas.components.items())), "Event": event, **kinds},
        "parameters": {
            "pretty": {
                "name": PRETTY.name,
                "in": PRETTY.place,
                "description": PRETTY.about,
                "schema": dict(PRETTY.schema),
            }
        },
        "headers": {
            name: {"description": about, "schema": {"type": "string"}} for name, about in _HEADERS.items()
        },
    }
    if secured:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return components


def _public(name: str) -> str:
    """The name of a shape, or a reference to it, in the document: there, everything is JSON."""
    return name.removesuffix("Json")


def _without_titles(schema: Any) -> Any:
    """Without the titles that only repeat a key, and with references by the shapes' public names."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _public(value) if key == "$ref" else _without_titles(value)
        for key, value in schema.items()
        if key != "title" or not isinstance(value, str)
    }


def _unique(name: str, taken: set[str]) -> str:
    """The second route of one view gets a number."""
    numbered = next(
        candidate for candidate in (name, *(f"{name}_{n}" for n in range(2, 100))) if candidate not in taken
    )
    taken.add(numbered)
    return numbered
