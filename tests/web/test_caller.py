"""What the server tells a caller about himself."""

from __future__ import annotations

from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient


def test_a_name_learns_how_much_of_its_budget_is_left(tmp_path: Path, model: OfflineServer) -> None:
    names = (("ann", "token-of-ann-0123456789"), ("ben", "token-of-ben-0123456789"))
    server = build(make_settings(tmp_path, model.url, auth_tokens=names, token_budget=2.0))
    ann, ben = (LocalClient(server, token=token) for _, token in names)
    assert ann.call("GET", "/api/me")["budget"] == {"limit": 2.0, "spent": 0.0, "left": 2.0}
    ann.say(ann.new_session(), "hello", agent="plain")
    budget = ann.call("GET", "/api/me")["budget"]
    assert budget["spent"] > 0
    assert budget["left"] == pytest.approx(2.0 - budget["spent"])
    assert ben.call("GET", "/api/me")["budget"]["spent"] == 0.0
    server.close()


def test_without_a_budget_there_is_none_to_tell(local: LocalClient) -> None:
    assert local.call("GET", "/api/me") == {"name": "", "role": "operator"}
