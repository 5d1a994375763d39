"""The cap on the cost of a session of the Managed Agents API, beside what the operator lets any session cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from app.agent import model_catalogue
from app.conversation.run_outcome import RunOutcome
from app.errors import InvalidRequest
from app.managed.bodies import Body

Json = dict[str, Any]

REACHED: Final[Json] = {"type": "budget_reached"}
CENTS: Final = 100


class Money(Body):
    amount: Annotated[str, Field(pattern="^[1-9][0-9]{0,11}$")]
    """Whole cents."""
    currency: Literal["USD"]


class BudgetLimit(Body):
    type: Literal["limit"]
    max_list_cost: Money


def dollars(budget: Json) -> float:
    return float(Decimal(budget["max_list_cost"]["amount"]) / CENTS)


def first_budget(given: BudgetLimit | None, agent: Json) -> Json | None:
    """The budget of a new session. InvalidRequest for an agent whose model has no price."""
    if given is None:
        return None
    model = agent["model"]["id"].removeprefix("anthropic/")
    if model_catalogue.facts(model).price is None:
        raise InvalidRequest(
            f"budget: the price of {model} is not known, so no budget can measure it (model_not_budgetable)"
        )
    return given.model_dump()


def changed_budget(before: Json | None, given: BudgetLimit | None, spent: float) -> Json | None:
    """The budget after an update; `spent` is in dollars. InvalidRequest."""
    if before is None:
        if given is None:
            return None
        raise InvalidRequest(
            "budget: a session without a budget can't get one: it is set when the session is created, and once "
            "removed it is gone (budget_create_only)"
        )
    if given is None:
        return None
    after = given.model_dump()
    if dollars(after) <= spent:
        raise InvalidRequest(
            "budget.max_list_cost must be greater than the session's consumed list cost (budget_not_raised)"
        )
    return after


def cap(budget: Json | None, limit: float) -> float | None:
    """The limit in the session's row, in dollars; `limit` is what the operator lets any session cost, 0 for no
    limit. None: as the operator says."""
    if budget is None:
        return None
    return min(dollars(budget), limit) if limit else dollars(budget)


def is_spent(budget: Json | None, spent: float) -> bool:
    return budget is not None and spent >= dollars(budget)


def has_stopped(budget: Json | None, outcome: RunOutcome) -> bool:
    """Did the run end because of the session's own budget, and not because of the operator's?"""
    if outcome.code != "budget_reached" or outcome.details.get("budget") != "session":
        return False
    return is_spent(budget, outcome.details["spent"])
