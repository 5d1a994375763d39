"""How long a turn takes whose many tool calls only read: each waits for a slow server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import Final

from anthropic_standin.standin_server import OfflineServer
from bench.contestants import OURS
from bench.course import Course
from bench.processes import Server
from bench.table import Row

CALLS: Final = 40
SECONDS: Final = 0.2

_TEAM: Final = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    toolsets:
      - {type: api, api_config: {name: look, instruction: Looks., endpoint: "%s", method: GET}}
"""


class _Slow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(SECONDS)
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"seen")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _slow_site() -> Iterator[str]:
    site = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    site.request_queue_size = CALLS
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{site.server_address[1]}/"
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


def side_by_side(course: Course) -> list[Row]:
    """A call that is alone is the measure of what forty would take one after the other."""
    agents = course.arena.new_directory()
    with OfflineServer(record=False) as model, _slow_site() as url:
        (agents / "caller.yaml").write_text(_TEAM % url)
        with course.arena.server(OURS, ANTHROPIC_BASE_URL=model.url, BATON_AGENTS=str(agents)) as server:
            _turn(server, 1)
            alone = median(_turn(server, 1) for _ in range(3))
            many = median(_turn(server, CALLS) for _ in range(3))
    remarks = [f"one such call: {alone:.2f} s"]
    return [
        Row(f"a turn of {CALLS} calls that only read and take {SECONDS} s each", "s", {OURS: many}, remarks)
    ]


def _turn(server: Server, calls: int) -> float:
    """Seconds from the request to the end of its stream."""
    headers = {"Content-Type": "application/json"}
    with closing(server.connect()) as connection:
        connection.request("POST", "/api/sessions", "{}", headers)
        session = json.loads(connection.getresponse().read())["id"]
        body = json.dumps([{"role": "user", "content": "[call look {}]" * calls + "[then][say done]"}])
        begin = time.monotonic()
        connection.request("POST", f"/api/sessions/{session}/agent/caller", body, headers)
        said = connection.getresponse().read()
        if said.count(b'"tool_call_response"') != calls:
            raise RuntimeError(f"not {calls} calls were answered")
        return time.monotonic() - begin
