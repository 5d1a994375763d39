"""Puts the OpenAPI document together from the routes that Flask has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import Flask
from pydantic import TypeAdapter
from typing_extensions import is_typeddict
from werkzeug.routing import Map, Rule

from app.web.error_responses import RefusalJson
from app.web.openapi.event_schemas import event_schemas
from app.web.openapi.refusals import SHAPES, refusals
from app.web.posted_messages import MessagesBody
from app.web.query_parameters import PRETTY, Parameter
from app.web.request_models import RequestModel
from app.web.resource import ResponseSpec, Route, route_of

Json = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{model}"
_PART: Final = re.compile(r"<(?:(?P<converter>\w+)(?:\([^)]*\))?:)?(?P<name>\w+)>")
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


def openapi_document(app: Flask, *, version: str, secured: bool) -> Json:
    """Describes the routes of the application's resources. `secured`: the server asks for tokens."""
    routes = app.url_map
    schemas = _Schemas()
    paths: dict[str, Json] = defaultdict(dict)
    for rule in routes.iter_rules():
        if (route := route_of(app.view_functions[rule.endpoint])) is None:
            continue
        described = _operation(routes, rule, route, schemas, secured=secured)
        described["operationId"] = _operation_id(rule, route)
        paths[_PART.sub(r"{\g<name>}", rule.rule)][route.method.lower()] = described
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

    def of_body(self, body: type[RequestModel] | MessagesBody) -> Json:
        if isinstance(body, MessagesBody):
            return self._kept(body.schema(_REFERENCE))
        schema = self._kept(body.model_json_schema(ref_template=_REFERENCE))
        return self._named(body.__name__, schema)

    def _named(self, name: str, schema: Json) -> Json:
        self._add(name, schema)
        return {"$ref": _REFERENCE.format(model=name)}

    def _kept(self, schema: Json) -> Json:
        for name, part in schema.pop("$defs", {}).items():
            self._add(name, part)
        return schema

    def _add(self, name: str, schema: Json) -> None:
        """ValueError if two classes share a name: the document would describe one of them by the other."""
        name = _public(name)
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"two different shapes are called {name}")


def _operation(routes: Map, rule: Rule, route: Route, schemas: _Schemas, *, secured: bool) -> Json:
    in_path = list(_path_parameters(routes, rule))
    described: Json = {
        "summary": route.summary,
        "tags": [rule.endpoint.partition(".")[0]],
        "parameters": [*in_path, *(_parameter(one) for one in route.parameters)],
        "responses": {
            str(status): _with_request_id(response)
            for status, response in {
                **{status: _answer(answer, schemas) for status, answer in route.answers.items()},
                **refusals(route, has_path_values=bool(in_path), secured=secured),
            }.items()
        },
    }
    if secured:
        described["security"] = [] if route.is_open else [{"token": []}]
    if route.body is not None:
        described["requestBody"] = _request_body(route.body, schemas)
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


def _request_body(body: type[RequestModel] | MessagesBody, schemas: _Schemas) -> Json:
    schema = schemas.of_body(body)
    required = isinstance(body, MessagesBody) or not _accepts_nothing(body)
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _accepts_nothing(body: type[RequestModel]) -> bool:
    return not any(field.is_required() for field in body.model_fields.values())


def _answer(answer: ResponseSpec, schemas: _Schemas) -> Json:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in answer.headers}
    if answer.shape is None:
        return {"description": answer.about, "headers": headers}
    content: Json = {"schema": schemas.of(answer.shape)}
    if answer.media == "text/event-stream":
        content["x-event"] = {"$ref": "#/components/schemas/Event"}
    return {
        "description": answer.about,
        "headers": headers,
        "content": {answer.media: content},
    }


def _with_request_id(response: Json) -> Json:
    headers = {**response["headers"], "X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    return {**response, "headers": headers}


def _components(schemas: _Schemas, *, secured: bool) -> Json:
    for shape in (RefusalJson, *SHAPES.values()):
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


def _operation_id(rule: Rule, route: Route) -> str:
    """The second path of one view gets a number."""
    name = rule.endpoint.replace(".", "_")
    place = next(place for place, path in enumerate(route.paths, 1) if rule.rule.endswith(path))
    return name if place == 1 else f"{name}_{place}"
