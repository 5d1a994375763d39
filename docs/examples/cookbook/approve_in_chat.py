"""Asks for approvals in a chat: python approve_in_chat.py AGENT TEXT

Posts each question to the webhook CHAT_WEBHOOK, with two links, and waits until somebody follows one of them. The links
lead to this script, at BRIDGE (default http://127.0.0.1:8765).
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import requests

from baton_client import BatonClient, TextEvent, ToolApprovalEvent

BRIDGE = os.environ.get("BRIDGE", "http://127.0.0.1:8765")


class Answer(BaseHTTPRequestHandler):
    """One click: /CALL_ID/yes or /CALL_ID/no."""

    def do_GET(self) -> None:
        self.server.clicked = tuple(self.path.strip("/").split("/"))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Thank you.")

    def log_message(self, *_: object) -> None:
        """The output is the agent's."""


def ask(bridge: HTTPServer, question: ToolApprovalEvent) -> bool:
    links = " ".join(f"{BRIDGE}/{question.call_id}/{word}" for word in ("yes", "no"))
    text = f"May {question.agent} call {question.tool} {question.arguments}? {links}"
    requests.post(os.environ["CHAT_WEBHOOK"], json={"text": text}, timeout=10).raise_for_status()
    bridge.clicked = ()  # type: ignore[attr-defined]
    while (clicked := bridge.clicked) not in ((question.call_id, "yes"), (question.call_id, "no")):  # type: ignore[attr-defined]
        bridge.handle_request()
    return bool(clicked[1] == "yes")


def main(agent: str, text: str) -> None:
    address = urlsplit(BRIDGE)
    baton = BatonClient(os.environ.get("BATON_URL", "http://127.0.0.1:8080"), os.environ.get("BATON_TOKEN"))
    with HTTPServer((address.hostname or "", address.port or 80), Answer) as bridge:
        session = str(baton.create_session()["id"])
        with baton.run(session, text, agent=agent) as run:
            for event in run:
                if isinstance(event, TextEvent):
                    print(event.text, end="", flush=True)
                elif isinstance(event, ToolApprovalEvent):
                    if ask(bridge, event):
                        run.approve(event.call_id)
                    else:
                        run.reject(event.call_id, reason="nobody in the chat wanted it")
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
