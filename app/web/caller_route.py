"""The caller as the server knows it, so that a page need not offer what would be refused."""

from __future__ import annotations

from flask import Blueprint, Response

from app.web import response_models
from app.web.access import own_name, role
from app.web.response_json import json_response


def blueprint() -> Blueprint:
    routes = Blueprint("caller", __name__, url_prefix="/api")

    @routes.get("/me")
    def me() -> Response:
        body: response_models.CallerJson = {"name": own_name(), "role": role()}
        return json_response(body)

    return routes
