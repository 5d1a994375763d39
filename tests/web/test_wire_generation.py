"""The setting and the header that name the generation of clients."""

from __future__ import annotations

import pytest

from app.errors import InvalidRequest
from app.factory import Server
from app.web.wire_generation import Generation, generation, set_generation


@pytest.mark.parametrize(
    ("preset", "header", "meant"),
    [
        ("later", None, "later"),
        ("march-2026", None, "march-2026"),
        ("later", "march-2026", "march-2026"),
        ("march-2026", "later", "later"),
    ],
)
def test_a_request_names_its_generation_or_has_the_servers(
    quiet: Server, preset: str, header: str | None, meant: str
) -> None:
    set_generation(quiet.app, Generation(preset))
    try:
        with quiet.app.test_request_context(headers={"Baton-Wire": header} if header else {}):
            assert generation() is Generation(meant)
    finally:
        set_generation(quiet.app, Generation(quiet.settings.wire))


@pytest.mark.parametrize("other", ["march", "LATER", "", "later,march-2026"])
def test_another_one_is_refused(quiet: Server, other: str) -> None:
    said = "must be one of later, march-2026"
    with (
        quiet.app.test_request_context(headers={"Baton-Wire": other}),
        pytest.raises(InvalidRequest, match=said),
    ):
        generation()
