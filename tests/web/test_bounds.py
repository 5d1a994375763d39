"""Every text, list and object of every request body has a bound of its own."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from app.conversation.session import MAX_PATTERNS
from app.factory import Server
from app.web import batches, request_models
from app.web.request_models import MAX_PATTERN, RequestModel
from tests.fuzz.limits import bounded
from tests.harness.in_process import LocalClient
from tests.test_documents import heirs

BODIES = sorted(
    {kind for kind in heirs(RequestModel) if kind.__module__.startswith("app.")},
    key=lambda kind: kind.__qualname__,
)
BOUNDED_OTHERWISE = {request_models._no_longer_than_paths}


def unbounded(kind: Any, hints: Sequence[Any], where: str) -> Iterator[str]:
    """Where a value of that type may be as large as the client likes."""
    hints = [one for hint in hints for one in (hint.metadata if isinstance(hint, FieldInfo) else [hint])]
    is_bounded = any(
        isinstance(hint, annotated_types.MaxLen)
        or (isinstance(hint, AfterValidator) and hint.func in BOUNDED_OTHERWISE)
        for hint in hints
    )
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *more = get_args(kind)
        yield from unbounded(inner, [*hints, *more], where)
    elif origin in (Union, types.UnionType):
        for choice in get_args(kind):
            yield from unbounded(choice, hints, where)
    elif origin is list:
        if not is_bounded:
            yield f"{where}: a list"
        yield from unbounded(get_args(kind)[0], [], f"{where}[]")
    elif origin is dict:
        if not is_bounded:
            yield f"{where}: an object"
        elif not any(getattr(hint, "func", None) is request_models._of_bounded_size for hint in hints):
            for part in get_args(kind):
                yield from unbounded(part, [], f"{where}{{}}")
    elif kind is str:
        if not is_bounded:
            yield f"{where}: a text"
    elif not (
        origin is Literal
        or kind in (int, float, bool, type(None))
        or (isinstance(kind, type) and issubclass(kind, BaseModel))
    ):
        yield f"{where}: {kind}, which this test does not know"


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__qualname__)
def test_every_field_of_every_body_is_bounded(kind: type[RequestModel]) -> None:
    fields = kind.model_fields.items()
    found = [
        place
        for name, field in fields
        for place in unbounded(field.annotation, field.metadata, f"{kind.__name__}.{name}")
    ]
    assert found == []


def test_the_check_itself_finds_what_has_no_bound() -> None:
    class Loose(BaseModel):
        text: str | None
        texts: list[request_models.Name]
        things: dict[str, Any]
        fine: batches.Ids

    fields = Loose.model_fields.items()
    found = [place for name, field in fields for place in unbounded(field.annotation, field.metadata, name)]
    assert found == ["text: a text", "texts: a list", "things: an object"]


@pytest.fixture
def client(server: Server) -> LocalClient:
    return LocalClient(server)


def test_a_pattern_that_is_too_long_is_refused_before_it_is_parsed(client: LocalClient) -> None:
    with bounded():
        body = {"permissions": {"deny": ["a" * 100_000] * 20}}
        client.call("POST", "/api/sessions", body, expect=422)


@pytest.mark.parametrize("which", ["allow", "ask", "deny"])
@pytest.mark.parametrize(
    "patterns", [["shell"] * (MAX_PATTERNS + 1), ["x" * (MAX_PATTERN + 1)], ["a*" * 501]]
)
def test_a_session_cant_have_more_patterns_than_are_matched_in_a_moment(
    client: LocalClient, which: str, patterns: list[str]
) -> None:
    session = client.new_session()
    body = {"permissions": {which: patterns}}
    client.call("POST", "/api/sessions", body, expect=422)
    client.call("POST", "/api/sessions/import", body, expect=422)
    client.call("PATCH", f"/api/sessions/{session}/permissions", body, expect=422)
    assert client.session(session).get("permissions") is None


def test_an_entry_of_the_audit_trail_is_short(client: LocalClient) -> None:
    session = client.new_session()
    body = {"permissions": {"deny": ["x" * MAX_PATTERN] * MAX_PATTERNS}}
    client.call("PATCH", f"/api/sessions/{session}/permissions", body)
    [entry] = [one for one in client.call("GET", "/api/audit")["entries"] if one["action"] == "permissions"]
    assert len(entry["detail"]) < 3000
    assert entry["detail"].endswith("…")
