"""Sampling parameters (O3): older models take them, and only under the older version of the API."""

from __future__ import annotations

from typing import Final

from anthropic_standin.models import Model
from anthropic_standin.refusal import Json, Refusal

NEWEST_VERSION: Final = "2026-10-21"
SAMPLING: Final = ("temperature", "top_p", "top_k")


def check_sampling(body: Json, model: Model, version: str) -> None:
    """Numbers between 0 and 1, only one of the two, and none while the model thinks."""
    sent = [name for name in SAMPLING if name in body]
    for name in sent:
        if not model.sampling or version >= NEWEST_VERSION:
            raise Refusal(f"`{name}` is deprecated for this model.")
        if isinstance(body[name], bool) or not isinstance(body[name], int | float):
            raise Refusal(f"{name}: Input should be a valid number")
        if name != "top_k" and not 0 <= body[name] <= 1:
            raise Refusal(f"{name}: range: 0..1")
    if "temperature" in sent and "top_p" in sent:
        raise Refusal(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )
    if sent and model.thinks(body.get("thinking")):
        raise Refusal(f"`{sent[0]}` may only be set to its default when thinking is enabled.")
