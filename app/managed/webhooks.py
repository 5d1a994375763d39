"""Tells a webhook of the Managed Agents API of an event: in JSON, signed as Standard Webhooks has it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Final

import orjson
import requests
from urllib3.exceptions import HTTPError

from app.agent.model_client import Cancellation
from app.agent.tools.public_http import AddressRefused, innermost_reason, open_session
from app.managed.times import moment
from app.store.delivery_store import Delivery

ORGANIZATION: Final = "org_baton"
WORKSPACE: Final = "wrkspc_default"
"""This server has one of each, and no names for them."""

SECONDS: Final = 20.0
"""The longest attempt, from the search for the address to the head of the answer."""


class Endpoint:
    """An address that is told of events. Any thread may call it."""

    def __init__(self, url: str, secret: str, *, allow_private: bool) -> None:
        """`secret` as in the settings; `allow_private`: the address need not be on the public internet."""
        self._url = url
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._allow_private = allow_private

    def send(self, delivery: Delivery, cancellation: Cancellation) -> int:
        """The status of the answer, whose body is not read; no redirect is followed. OSError if there is none."""
        body, sent_at = body_of(delivery), int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "Baton",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": self._signature(delivery.id, sent_at, body),
        }
        with open_session(
            SECONDS, cancellation=cancellation, allow_private=self._allow_private, headers=headers
        ) as (session, line):
            try:
                response = session.post(
                    self._url, data=body, stream=True, allow_redirects=False, timeout=line.seconds_left
                )
            except AddressRefused as refused:
                raise OSError(str(refused)) from refused
            except (requests.RequestException, HTTPError, ValueError) as error:
                raise OSError(innermost_reason(error)) from error
            with response:
                return response.status_code

    def _signature(self, delivery_id: str, sent_at: int, body: bytes) -> str:
        signed = b"%b.%d.%b" % (delivery_id.encode(), sent_at, body)
        return "v1," + base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()


def body_of(delivery: Delivery) -> bytes:
    """The same at each attempt."""
    data = {
        "type": delivery.type,
        **delivery.subject,
        "organization_id": ORGANIZATION,
        "workspace_id": WORKSPACE,
    }
    created = moment(delivery.created_at)
    return orjson.dumps({"type": "event", "id": delivery.id, "created_at": created, "data": data})
