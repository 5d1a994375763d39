"""The offer of an OpenAPI document: its operations, each with one flat schema of arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urljoin

from app.team.foreign_yaml import MAX_DEPTH, ForeignYamlError, foreign_yaml

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
BODY: Final = "body"
MAX_RESOLVED: Final = 1_000_000  # values of all paths, with what their references name
MAX_OF_PATH: Final = 100_000
MAX_ADDRESS: Final = 2_000  # characters of a server's

_MAX_DEPTH: Final = 3  # references within references
_NOT_ASKED: Final = ("responses", "callbacks")
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME: Final = 64

Json = Mapping[str, Any]


class InvalidDocument(Exception):
    """It is no OpenAPI 3 document, in words for the agent's author."""


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """`path` and `query` are arguments by the names that the API knows; `body` maps arguments to the properties
    of the JSON body, and `whole_body` says that one argument is all of it."""

    name: str
    title: str
    description: str
    method: str
    url: str  # with {placeholders}
    path: Sequence[str]
    query: Sequence[str]
    body: Mapping[str, str]
    whole_body: bool
    parameters: dict[str, Any]


def parse(text: str) -> Json:
    """JSON, or YAML. Raises InvalidDocument."""
    try:
        document = foreign_yaml(text)
    except ForeignYamlError as error:
        raise InvalidDocument(f"the document is neither JSON nor YAML: {error}") from error
    if not isinstance(document, Mapping) or not str(document.get("openapi", "")).startswith("3."):
        raise InvalidDocument("the document is not of OpenAPI 3")
    return document


def operations(document: Json, address: str) -> list[ApiOperation]:
    """In the document's order; `address` is where it came from. Several may have one name."""
    found: list[ApiOperation] = []
    resolver = _Resolver(document)
    for path, written in _mapping(document.get("paths")).items():
        item = _mapping(resolver.path_item(_without_answers(written)))
        for method in METHODS:
            if isinstance(item.get(method), Mapping):
                found.append(_operation(document, address, str(path), item, method))
    return found


def _without_answers(item: Any) -> dict[str, Any]:
    """The answers are of no use to a caller, and often most of the document."""
    return {
        key: {name: part for name, part in value.items() if name not in _NOT_ASKED}
        if isinstance(value, Mapping)
        else value
        for key, value in _mapping(item).items()
    }


def _operation(document: Json, address: str, path: str, item: Json, method: str) -> ApiOperation:
    described = _mapping(item[method])
    properties: dict[str, Any] = {}
    required: list[str] = []
    places: dict[str, list[str]] = {"path": [], "query": []}
    for parameter in _parameters(item, described):
        name, place = str(parameter.get("name", "")), str(parameter.get("in"))
        if place not in places or name in properties:
            continue
        places[place].append(name)
        properties[name] = _described(parameter.get("schema"), parameter)
        if place == "path" or parameter.get("required"):
            required.append(name)
    body, whole = _body(described, properties, required)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(dict.fromkeys(required))
    summary, words = str(described.get("summary") or ""), str(described.get("description") or "")
    return ApiOperation(
        name=_name(str(described.get("operationId") or "")) or _name(f"{method}_{path.strip('/')}"),
        title=summary or str(described.get("operationId") or f"{method.upper()} {path}"),
        description="\n\n".join(filter(None, (summary, words))) or f"{method.upper()} {path}",
        method=method.upper(),
        url=f"{_base(document, item, described, address).rstrip('/')}/{path.removeprefix('/')}",
        path=places["path"],
        query=places["query"],
        body=body,
        whole_body=whole,
        parameters=schema,
    )


def _parameters(item: Json, described: Json) -> Iterator[Json]:
    """The operation's own come first: they replace the path's of the same name."""
    for group in (described.get("parameters"), item.get("parameters")):
        for parameter in group if isinstance(group, list) else ():
            yield _mapping(parameter)


def _body(described: Json, properties: dict[str, Any], required: list[str]) -> tuple[dict[str, str], bool]:
    request = _mapping(described.get("requestBody"))
    kinds = _mapping(request.get("content"))
    kind = next((kind for kind in kinds if "json" in str(kind)), None)
    if kind is None:
        return {}, False
    schema = _mapping(_mapping(kinds[kind]).get("schema"))
    inner = schema.get("properties")
    if not isinstance(inner, Mapping):
        properties[BODY] = _described(schema, request)
        if request.get("required"):
            required.append(BODY)
        return {BODY: BODY}, True
    names = {f"{BODY}_{name}": str(name) for name in inner}
    properties.update({argument: _mapping(inner[name]) for argument, name in names.items()})
    wanted = schema.get("required")
    wanted = wanted if isinstance(wanted, list) else []
    required += [f"{BODY}_{name}" for name in wanted if f"{BODY}_{name}" in names]
    return names, False


def _described(schema: Any, source: Json) -> dict[str, Any]:
    words = source.get("description")
    found = dict(_mapping(schema)) or {"type": "string"}
    return found if not words or "description" in found else {**found, "description": str(words)}


def _base(document: Json, item: Json, described: Json, address: str) -> str:
    """InvalidDocument for an address that is none, or that is too long: its variables repeat what they stand for."""
    url = _server(document, item, described)
    try:
        base = urljoin(address, url)
    except ValueError as error:
        raise InvalidDocument(f"a server's address is none: {url[:100]!r}") from error
    if len(base) > MAX_ADDRESS:
        raise InvalidDocument(f"a server's address is longer than {MAX_ADDRESS} characters")
    return base


def _server(document: Json, item: Json, described: Json) -> str:
    for source in (described, item, document):
        servers = source.get("servers")
        if isinstance(servers, list) and servers and isinstance(servers[0], Mapping):
            variables = _mapping(servers[0].get("variables"))
            # One character above the limit is enough to be refused for.
            url = str(servers[0].get("url") or "/")[: MAX_ADDRESS + 1]
            return _VARIABLE.sub(partial(_default, variables), url)
    return "/"


def _default(variables: Json, match: re.Match[str]) -> str:
    """The value for a variable; one that is not described stays as it is."""
    if match[1] not in variables:
        return match[0]
    return str(_mapping(variables[match[1]]).get("default", ""))[: MAX_ADDRESS + 1]


def _name(words: str) -> str:
    return _UNUSUAL.sub("_", words).strip("_")[:_MAX_NAME]


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


class _Resolver:
    """Puts what `$ref` names in its place. A reference that names itself, or lies too deep, becomes a schema for
    anything; one that would make a path, or all of them together, too large, does so too: references multiply as
    aliases do."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._left = MAX_RESOLVED
        self._left_here = MAX_OF_PATH

    def path_item(self, value: Any) -> Any:
        self._left_here = MAX_OF_PATH
        return self.resolved(value)

    def resolved(self, value: Any, seen: tuple[str, ...] = (), depth: int = 0) -> Any:
        self._left -= 1
        self._left_here -= 1
        if len(seen) > _MAX_DEPTH or depth > MAX_DEPTH or min(self._left, self._left_here) < 0:
            return {}
        if isinstance(value, list):
            return [self.resolved(inner, seen, depth + 1) for inner in value]
        if not isinstance(value, Mapping):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str):
            return (
                {} if reference in seen else self.resolved(self._find(reference), (*seen, reference), depth)
            )
        return {str(key): self.resolved(inner, seen, depth + 1) for key, inner in value.items()}

    def _find(self, reference: str) -> Any:
        found: Any = self._document if reference.startswith("#/") else None
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            found = _mapping(found).get(key)
        return found
