"""An HTTP server that webhooks are sent to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anthropic import Anthropic
from anthropic.types.beta import BetaWebhookEvent

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cywgbm8gb3RoZXI="


@dataclass(frozen=True, slots=True)
class Received:
    headers: dict[str, str]
    body: str

    def unwrapped(self, key: str = SECRET) -> BetaWebhookEvent:
        """By the SDK, as any client of the hosted service does."""
        with Anthropic(api_key="anything") as client:
            return client.beta.webhooks.unwrap(self.body, headers=self.headers, key=key)


class Receiver:
    """`statuses` are the answers to the next requests; then it answers 200. It answers while its `gate` is open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Received] = []
        self.statuses: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def take(self, headers: dict[str, str], body: str) -> int:
        self.requests.append(Received(headers, body))
        status = self.statuses.pop(0) if self.statuses else 200
        self.gate.wait(30)
        return status

    def told(self) -> list[tuple[str, str]]:
        """The type and the object of each event that was received, in the order of their first arrival."""
        events = [one.unwrapped() for one in self.requests]
        return [*dict.fromkeys((event.data.type, event.data.id) for event in events)]


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            status = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            try:
                self.send_response(status)
                self.send_header("location", f"{receiver.url}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:
                pass  # the sender is gone

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.gate.set()
            server.shutdown()
            thread.join()
