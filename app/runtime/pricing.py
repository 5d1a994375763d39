"""Models whose price is not known: their cost would not count towards a budget."""

from __future__ import annotations

from app.agent import model_catalogue
from app.errors import UnpricedModel
from app.store.quota_store import QuotaStore


class Pricing:
    """Shared by all threads. Asks the database only about models without a price. With `allowed` all models may be
    asked, and the agent's readers are warned instead."""

    def __init__(self, accounts: QuotaStore, *, allowed: bool = False) -> None:
        self._accounts = accounts
        self.allowed = allowed

    def check(self, session_id: str, model: str) -> None:
        """UnpricedModel if the model's cost would escape the budget of that conversation; SessionNotFound."""
        if not self.allowed and self.escapes(session_id, model):
            raise UnpricedModel(
                f"The price of {model} is not known, so it may not be used where a budget applies. "
                "Choose another model, or have an operator allow it (BATON_UNPRICED_MODELS)."
            )

    def escapes(self, session_id: str, model: str) -> bool:
        name = model.removeprefix("anthropic/")
        return model_catalogue.facts(name).price is None and self._accounts.has_budget(session_id)
