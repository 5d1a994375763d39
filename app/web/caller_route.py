"""The caller as the server knows it, so that a page need not offer what would be refused."""

from __future__ import annotations

from flask import Response
from typing_extensions import TypedDict

from app.access_tokens import Role
from app.web.access import own_name, role
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response


class CallerJson(TypedDict):
    """`name` is empty where no tokens are asked for; everybody is an operator then."""

    name: str
    role: Role


class CallerResource(Resource):
    """Tells the caller its name and its role."""

    name = "caller"
    prefix = "/api"

    @get(
        "/me",
        "Who the server takes the caller to be",
        answers={200: ResponseSpec("Name and role.", CallerJson)},
        stores=False,
    )
    def me(self) -> Response:
        body: CallerJson = {"name": own_name(), "role": role()}
        return json_response(body)
