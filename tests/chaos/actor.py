"""One user of one session, who does whatever comes to mind, through whichever server is at hand."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from typing import Any

import requests
import urllib3

from tests.chaos.cluster import Cluster
from tests.chaos.notes import Notes, SessionNotes
from tests.harness.wire import Client, Event, Stream

# Each passes when the call is tried again, or leaves something that is kept: a message that fails for good would
# be sent again with the next one, as nobody has answered it.
MODEL_FAULTS = (
    *("[fail 529 1]", "[fail 429 1 retry-after 1]", "[fail 500 2]", "[hang-up 1]", "[same-ids]"),
    *(
        "[words 90][drop 60 times 1]",
        "[words 90][error overloaded_error 60 times 1]",
        "[words 20][max_tokens]",
    ),
)
GONE = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError)


class Actor:
    """Owned by one thread. `chance` alone decides what it does; the outcome depends on everybody else."""

    def __init__(self, cluster: Cluster, notes: Notes, chance: random.Random, over: threading.Event) -> None:
        self._cluster = cluster
        self._notes = notes
        self._chance = chance
        self._over = over
        self._clients = [Client(server.url) for server in cluster.servers]
        self.session = SessionNotes("")

    def live(self) -> None:
        """Until it is over. Whatever an actor did not expect is a problem."""
        try:
            self.session = SessionNotes(self._new_session())
            while not self._over.is_set():
                self._act()
        except Exception as error:
            self._notes.problem(f"an actor broke: {error!r}")
            raise
        finally:
            self.close()

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _new_session(self) -> str:
        body = {"tools_approved": self._chance.random() < 0.6}
        while True:
            response = self._try(lambda client: client.post("/api/sessions", body))
            if response is not None and response.status_code == 200:
                return str(response.json()["id"])
            self._over.wait(0.1)

    def _act(self) -> None:
        acts = {
            "run": 60,
            "retry": 10,
            "cancel": 8,
            "follow up": 8,
            "edit": 3,
            "release": 2,
            "answer": 7,
            "look": 7,
        }
        match self._chance.choices(list(acts), list(acts.values()))[0]:
            case "run":
                self._run(self._script())
            case "retry":
                self._run_with_retries(self._script())
            case "edit":
                self._edit_the_queue()
            case "release":
                self._release()
            case "cancel":
                self._cancel()
            case "follow up":
                self._queue("followup")
            case "answer":
                self._answer({"type": "tool_call_confirmation"})
            case _:
                self._try(lambda client: client.get(f"/api/sessions/{self.session.id}"))

    # ---- what it says

    def _script(self) -> str:
        rounds = self._chance.randint(1, 3)
        return "[then]".join(self._round(last=index == rounds - 1) for index in range(rounds))

    def _round(self, *, last: bool) -> str:
        pieces = []
        if self._chance.random() < 0.25:
            pieces.append(self._chance.choice(MODEL_FAULTS))
        elif self._chance.random() < 0.4:
            pieces.append("[think]")
        if self._chance.random() < 0.5:
            pieces.append(f"[words {self._chance.randint(3, 40)}][pace {self._chance.randint(50, 400)}]")
        for _ in range(0 if last else self._chance.randint(1, 3)):
            pieces.append(self._call())
        return "".join(pieces)

    def _call(self) -> str:
        name, arguments = self._chance.choice(
            [
                ("shell", self._marking()),
                ("shell", self._marking()),
                ("think", {"thought": "hm"}),
                ("create_todo", {"description": "later"}),
                ("user_prompt", {"message": "Which?"}),
                ("no_such_tool", {}),
            ]
        )
        return f"[call {name} {json.dumps(arguments)}]"

    def _marking(self) -> dict[str, Any]:
        mark = self._notes.new_word()
        self.session.tools.add(mark)
        nap = self._chance.choice(["", "", "sleep 0.2; "])
        return {"cmd": f"{nap}echo {mark} >> {self._cluster.marks}"}

    # ---- what it does

    def _run(self, script: str) -> None:
        query = self._chance.choices(
            (
                "",
                "?when_busy=wait&wait_timeout=2s",
                "?when_busy=interrupt&wait_timeout=2s",
                "?when_busy=queue",
            ),
            (80, 8, 6, 6),
        )[0]
        headers = {"If-Match": "999999"} if self._chance.random() < 0.02 else {}
        word = self._notes.new_word()
        self.session.said.add(word)
        self._request(self._chance.choice(self._clients), word, script, query, headers)

    def _run_with_retries(self, script: str) -> None:
        """The same request until it is answered and its stream has ended, as a client does that wants it done:
        it is said once all the same."""
        word = self._notes.new_word()
        self.session.said.add(word)
        for _ in range(4):
            client = self._chance.choice(self._clients)
            status = self._request(client, word, script, "", {"Idempotency-Key": word})
            if status == 409 or (status == 200 and self._chance.random() < 0.7):
                return
            self._over.wait(0.1)

    def _request(
        self, client: Client, word: str, script: str, query: str, headers: dict[str, str]
    ) -> int | None:
        try:
            response = client.try_run(
                self.session.id, f"{word} {script}", agent="tools", query=query, headers=headers
            )
        except GONE:
            self._notes.count("run: nobody there")
            return None
        self._notes.count(f"run{query.partition('&')[0]}: {response.status_code}")
        if response.status_code == 200:
            self._read(Stream(response))
        elif response.status_code == 202:
            self.session.acknowledged.add(word)
        elif response.status_code in (409, 412, 429):
            if word not in self.session.acknowledged:
                self.session.refused.add(word)
            if response.status_code == 409:
                self._react(response)
        elif response.status_code != 503:
            self._notes.problem(f"a run was answered {response.status_code}: {response.text[:300]}")
        return response.status_code

    def _react(self, response: requests.Response) -> None:
        """To a refusal: whatever the session waits for, somebody has to get it out of there."""
        try:
            code = response.json()["code"]
        except GONE:
            self._notes.count("refused: the server died before it said why")
            return
        self._notes.count(f"refused: {code}")
        if code in ("awaiting_approval", "awaiting_input"):
            self._answer({"type": "tool_call_confirmation" if code == "awaiting_approval" else ""})
        else:
            self._over.wait(0.1)

    def _read(self, stream: Stream) -> None:
        leaves_after = self._chance.randint(5, 60) if self._chance.random() < 0.15 else None
        try:
            for number, event in enumerate(stream):
                self._note(event, again="Idempotent-Replayed" in stream.response.headers)
                if number == leaves_after or not self._meddle(event):
                    self._notes.count("hung up")
                    break
        except (*GONE, AssertionError) as error:
            if isinstance(error, AssertionError) and "in the middle of a line" not in str(error):
                raise
            self._notes.count("stream: broken")
        finally:
            stream.hang_up()

    def _note(self, event: Event, *, again: bool) -> None:
        self._notes.count("events")
        match event["type"]:
            case "user_message":
                self.session.acknowledged |= {word for word in self.session.said if word in event["message"]}
            case "message_added" if not again:
                self.session.messages_seen += 1
            case "error":
                self._notes.count(f"run ended: {event.get('code')}")
            case "stream_stopped":
                self._notes.count("run ended")

    def _meddle(self, event: Event) -> bool:
        """False if it would be waited for an answer that nobody gives."""
        if event["type"] in ("tool_call_confirmation", "elicitation_request"):
            while self._chance.random() < 0.95 and not self._over.is_set():
                if self._answer(event):
                    return True
                self._over.wait(0.1)
            return False
        match self._chance.choices(("", "second", "cancel", "steer", "followup"), (96, 1, 1, 1, 1))[0]:
            case "second":
                self._second()
            case "cancel":
                self._cancel()
            case "steer" | "followup" as kind:
                self._queue(kind)
        return True

    def _second(self) -> None:
        """Another request while the run is on: it is refused, or the run has just ended."""
        word = self._notes.new_word()
        self.session.said.add(word)
        response = self._try(lambda client: client.try_run(self.session.id, word, agent="plain"))
        if response is not None:
            self._notes.count(f"second run: {response.status_code}")
            if response.status_code == 409:
                self.session.refused.add(word)
            response.close()

    def _answer(self, event: Event) -> bool:
        """Whether there is an answer now, be it somebody else's."""
        route, body = "resume", {"confirmation": self._chance.choice(["approve", "approve", "reject"])}
        if event["type"] != "tool_call_confirmation":
            route, body = "elicitation", {"action": self._chance.choice(["accept", "decline"])}
        response = self._try(lambda client: client.post(f"/api/sessions/{self.session.id}/{route}", body))
        if response is not None:
            self._notes.count(f"{route}: {response.status_code}")
        return response is not None and response.status_code in (200, 409)

    def _edit_the_queue(self) -> None:
        """A withdrawn message must not be said; a changed message is said only as it was changed."""
        path = f"/api/sessions/{self.session.id}/queue"
        response = self._try(lambda client: client.get(path))
        waiting = response.json()["messages"] if response is not None and response.status_code == 200 else []
        if not waiting:
            return
        one = self._chance.choice(waiting)
        old = next((word for word in self.session.said if word in one["content"]), None)
        if old is None:
            return
        new = self._notes.new_word() if self._chance.random() < 0.5 else None
        if new is not None:
            self.session.said.add(new)
            body = {"messages": [{"role": "user", "content": new}]}
            response = self._try(lambda client: client.request("PATCH", f"{path}/{one['id']}", json=body))
        else:
            response = self._try(lambda client: client.request("DELETE", f"{path}/{one['id']}"))
        if response is None or response.status_code == 503:
            self.session.acknowledged.discard(old)  # it may be gone, or not
            return
        self._notes.count(f"{'edit' if new else 'withdraw'}: {response.status_code}")
        if response.status_code == 200:
            self.session.acknowledged.discard(old)
            self.session.refused.add(old)
            if new is not None:
                self.session.acknowledged.add(new)

    def _release(self) -> None:
        response = self._try(lambda client: client.get(f"/api/runs?session={self.session.id}"))
        known = response.json() if response is not None and response.status_code == 200 else []
        if live := [run for run in known if not run.get("ended_at")]:
            path, body = f"/api/runs/{live[0]['id']}/release", {"reason": "chaos"}
            response = self._try(lambda client: client.post(path, body))
            if response is not None:
                self._notes.count(f"release: {response.status_code}")

    def _cancel(self) -> None:
        query = self._chance.choice(["", "", "?wait=2", "?at=safe_point"])
        response = self._try(lambda client: client.post(f"/api/sessions/{self.session.id}/cancel{query}"))
        if response is not None:
            self._notes.count(f"cancel: {response.status_code}")

    def _queue(self, kind: str) -> None:
        word = self._notes.new_word()
        self.session.said.add(word)
        body = {"messages": [{"role": "user", "content": word}]}
        response = self._try(lambda client: client.post(f"/api/sessions/{self.session.id}/{kind}", body))
        if response is not None:
            self._notes.count(f"{kind}: {response.status_code}")
            if response.status_code == 202:
                self.session.acknowledged.add(word)
            elif response.status_code == 409:
                self.session.refused.add(word)

    def _try(self, request: Callable[[Client], requests.Response]) -> requests.Response | None:
        """None if that server is not there. A server's own mistake is a problem."""
        try:
            response = request(self._chance.choice(self._clients))
        except GONE:
            self._notes.count("nobody there")
            return None
        if response.status_code == 500 or response.status_code > 503:
            self._notes.problem(
                f"{response.request.url} answered {response.status_code}: {response.text[:300]}"
            )
        return response
