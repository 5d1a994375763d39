"""The caller as the server knows it, so that a page need not offer what would be refused; and what answers."""

from __future__ import annotations

from typing import Literal, NotRequired

from flask import Response
from typing_extensions import TypedDict

from app.access_tokens import Role
from app.store.quota_store import QuotaStore
from app.web.access import own_name, role
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response


class BudgetJson(TypedDict):
    """In dollars, for a day in UTC."""

    limit: float
    spent: float
    left: float


class CallerJson(TypedDict):
    """`name` is empty where no tokens are asked for; everybody is an operator then. `budget`: what the sessions of that
    name may cost today; not there where nothing limits it. `stand_in`: no key is set, so the offline stand-in plays the
    model."""

    name: str
    role: Role
    budget: NotRequired[BudgetJson]
    stand_in: NotRequired[Literal[True]]


class CallerResource(Resource):
    """Tells the caller its name and its role."""

    name = "caller"
    prefix = "/api"

    def __init__(self, quotas: QuotaStore, *, stand_in: bool) -> None:
        self._quotas = quotas
        self._stand_in = stand_in

    @get(
        "/me",
        "Who the server takes the caller to be",
        answers={200: ResponseSpec("Name and role.", CallerJson)},
    )
    def me(self) -> Response:
        body: CallerJson = {"name": own_name(), "role": role()}
        if (budget := self._budget(own_name())) is not None:
            body["budget"] = budget
        if self._stand_in:
            body["stand_in"] = True
        return json_response(body)

    def _budget(self, name: str) -> BudgetJson | None:
        """Asks the database nothing where nobody has one."""
        limit = self._quotas.limits.owner_budget
        if not limit or not name:
            return None
        spent = self._quotas.spent_today(name)
        return {"limit": limit, "spent": spent, "left": max(0.0, limit - spent)}
