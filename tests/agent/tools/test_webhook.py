"""Messages to a webhook: their forms, when they are tried again, and that the address stays a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.agent.tools.webhook import WebhookToolset
from app.team.webhook_spec import WebhookSpec
from tests.agent.tools.web_site import WebSite, running
from tests.agent.tools.workbench import Workbench


@pytest.fixture
def site() -> Iterator[WebSite]:
    with running() as site:
        yield site


def toolset(url: str, now: list[float] | None = None, **fields: Any) -> WebhookToolset:
    spec = WebhookSpec.model_validate({"url": url, **fields})
    return WebhookToolset(spec, waits=(0.0, 0.0, 0.0), clock=lambda: (now or [0.0])[0])


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, {"text": "Done ü"}),
        ({"provider": "slack"}, {"text": "Done ü"}),
        ({"provider": "discord"}, {"content": "Done ü"}),
        ({"provider": "ifttt"}, {"value1": "Done ü", "value2": "b"}),
        ({"provider": "telegram", "chat_id": "7"}, {"chat_id": "7", "text": "Done ü"}),
    ],
)
def test_a_message_is_sent_in_the_form_of_its_provider(
    bench: Workbench, site: WebSite, fields: dict[str, Any], body: dict[str, str]
) -> None:
    tools = toolset(site.add("/hook"), headers={"X-Token": "t"}, **fields)
    result = bench.call(tools, "send_webhook", message="Done ü", value2="b")
    assert result.output == f"Delivered to the {fields.get('provider', 'generic')} webhook (attempt 1/4)."
    [(method, path, headers, sent)] = site.requests
    assert (method, path, headers["X-Token"]) == ("POST", "/hook", "t")
    assert json.loads(sent) == body


def test_a_message_is_tried_again_where_that_may_help(bench: Workbench, site: WebSite) -> None:
    busy = toolset(site.add("/s3cret", "busy", status=503))
    result = bench.call(busy, "send_webhook", message="x")
    assert result.output == "Delivery to the generic webhook failed after 4 attempt(s): HTTP 503: busy"
    assert len(site.requests) == 4
    gone = bench.call(toolset(site.add("/gone", status=404)), "send_webhook", message="x")
    assert gone.output == "Delivery to the generic webhook failed permanently: HTTP 404: (no body)"
    assert len(site.requests) == 5
    nobody = bench.call(toolset("http://127.0.0.1:9/s3cret"), "send_webhook", message="x")
    assert nobody.is_error
    assert "s3cret" not in nobody.output + result.output


@pytest.mark.parametrize(
    "body", ["Cannot POST /T0/s3cret?key=k3y-of-it", "{0}", "denied: Bearer t0ken", "k3y-of-it"]
)
def test_no_answer_shows_the_address_or_a_header(bench: Workbench, site: WebSite, body: str) -> None:
    url = site.url("/T0/s3cret?key=k3y-of-it")
    site.add("/T0/s3cret?key=k3y-of-it", body.format(url), status=404)
    site.add("/T0/s3cret", body.format(url), status=404)
    result = bench.call(toolset(url, headers={"X-Key": "Bearer t0ken"}), "send_webhook", message="x")
    assert "HTTP 404: " in result.output
    assert not [word for word in ("s3cret", "k3y", "t0ken") if word in result.output]
    nowhere = bench.call(toolset("hooks.test/T0/s3cret"), "send_webhook", message="x")
    assert nowhere.is_error
    assert "s3cret" not in nowhere.output


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_neither_followed_nor_shown_nor_tried_again(
    bench: Workbench, site: WebSite, status: int
) -> None:
    url = site.add("/s3cret", status=status, Location="/s3cret/")
    result = bench.call(toolset(url), "send_webhook", message="x")
    assert result.output == "Delivery to the generic webhook failed permanently: it answers with a redirect"
    assert len(site.requests) == 1


def test_the_same_message_is_not_sent_twice_and_none_too_soon(bench: Workbench, site: WebSite) -> None:
    now = [0.0]
    tools = toolset(site.add("/hook"), now)
    for seconds, message, words in (
        (0.0, "x", "Delivered"),
        (0.5, "y", "Error: rate limited"),
        (1.5, "x", "Suppressed"),
        (1.5, "y", "Delivered"),
        (31.0, "x", "Delivered"),
    ):
        now[0] = seconds
        assert bench.call(tools, "send_webhook", message=message).output.startswith(words)
    assert len(site.requests) == 3
    assert bench.call(tools, "send_webhook", message=" ").is_error


def test_a_long_timeout_is_taken(bench: Workbench, site: WebSite) -> None:
    spec = WebhookSpec.model_validate({"url": site.add("/hook")})
    result = bench.call(WebhookToolset(spec, timeout=10**12), "send_webhook", message="x")
    assert not result.is_error
