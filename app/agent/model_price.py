"""What a model's calls cost: at the price that the agent file says, else at the one that the server knows."""

from __future__ import annotations

from app.agent import model_catalogue
from app.conversation.usage import Usage
from app.team.model_definition import ModelSpec


def cost_of(spec: ModelSpec, usage: Usage | None) -> float:
    """USD of one call; 0 if the price is not known."""
    if usage is None:
        return 0.0
    if spec.cost is None:
        return model_catalogue.cost(spec.model, usage)
    own = spec.cost
    price = model_catalogue.Price(own.input, own.output, own.cache_read, own.cache_write)
    return price.of(usage)


def has_price(spec: ModelSpec) -> bool:
    return spec.cost is not None or model_catalogue.facts(spec.model).price is not None
