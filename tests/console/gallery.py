"""Sessions and runs that are worth looking at: long words, wide tables, long errors, every state."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import text

from app.conversation.transcript import Message
from app.store.engine import Database
from app.store.session_rows import append_messages
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

CODER: Final = """\
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: Writes code, and runs it
    instruction: You work in a directory.
    toolsets: [{type: shell}, {type: filesystem}]
"""

ASSISTANT: Final = """\
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: Answers questions
    instruction: Be brief.
"""

FIX: Final = """\
The client retries at once, which is why the server stays busy. It should wait as the header says:

1. read `Retry-After`, if there is one
2. else double the pause, up to a minute
3. give up after five attempts

```python
def pause(response, attempt):
    # seconds, as the server states them
    header = response.headers.get("Retry-After")
    return float(header) if header else min(60, 2 ** attempt)
```

| Case | Before | After | Count |
| --- | --- | :-: | --: |
| with header | waits as told | waits as told | 120 |
| without header | spins | 1, 2, 4 … 60 s | 7 |

See https://www.rfc-editor.org/rfc/rfc6585 for what the status promises.
"""

WIDE: Final = f"""\
| Country | Responsible department | Internationalization | Count | Explanation of what happened |
| :-- | :-: | --- | --: | --- |
| Luxembourg | `telecommunications_code` | incomprehensibilities | 12,345 | A sentence that goes on, and then some |
| {"Taumatawhakatangihanga" * 4} | `{"x" * 90}` | https://example.org/{"path/" * 20} | 1 | – |

{"unbroken" * 60}

> A quotation with `code`, and [a link](https://example.org).

- [x] done
- [ ] to do
  1. first
     - {"deep" * 40}

```json
{{"key": "{"value " * 40}"}}
```

### Heading with {"aVeryLongName" * 12}

A footnote[^1].

[^1]: It says why.
"""

LONG_NAME: Final = "an-agent-of-a-name-that-nobody-would-want-to-read-aloud-in-front-of-an-audience"
LONG_TOOL: Final = "a_tool_of_a_name_that_is_as_long_as_the_api_lets_a_name_be_at_all"
LONG_ARGUMENT: Final = "an_argument_of_a_name_that_leaves_no_room_for_what_is_given_to_it"

VERBOSE: Final = f"""\
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: {"Describes" * 20}
    instruction: Be verbose.
    toolsets:
      - type: script
        shell:
          {LONG_TOOL[:60]}:
            description: Does it
            cmd: echo done
            args:
              {LONG_ARGUMENT}: {{description: What it is given}}
"""

LONG_ERROR: Final = (
    "The model's API answered 400 invalid_request_error: messages.3.content.0.tool_use.input: "
    + "field_that_is_too_long" * 12
    + " is not of the type that the schema of the tool wants; see the run's log for the whole request. " * 4
)


TOKEN: Final = "annas-token-0123456789"


class Gallery:
    """One server whose sessions show all that the console can show."""

    def __init__(self, baton: BatonProcess, http: Client) -> None:
        self._baton = baton
        self._http = http
        self.talk = self._session("Fix the retry loop in the client")
        self.wide = self._session("Everything that Markdown can do, and " + "then-some" * 20)
        for title in (
            "Translate the onboarding mail",
            "Why is the nightly import slow?",
            "Plan the release notes",
        ):
            self._tell(self._session(title), ("user", "Please."), ("assistant", "Done."))
        self._tell(self.wide, ("user", WIDE), ("assistant", WIDE))
        self._tell(self.talk, ("user", "Why does the client hammer the server?"), ("assistant", FIX))
        self._ask(self.talk, "python -m pytest tests/test_client.py -q --maxfail=1")
        http.post(
            f"/api/sessions/{self.talk}/followup", [{"content": "Then write one line for the changelog."}]
        )
        self._ask(self._session("Clean up old branches"), "git branch --merged")
        self.verbose = self._session("then-some" * 40)
        call = f"[call {LONG_TOOL[:60]} {json.dumps({LONG_ARGUMENT: 'x' * 200})}]"
        self._start(self.verbose, LONG_NAME, f"[say Now:] {call}")
        self._until(self.verbose, "awaiting_approval")
        self.done = self._session("Count the lines")
        self._http.post(f"/api/sessions/{self.done}/tools/toggle")
        self._start(
            self.done, "coder", f"[call shell {json.dumps({'cmd': 'seq 300'})}] [then] [say Three hundred.]"
        )
        self._until(self.done, "finished")
        self._fail(self._session("Compare the two queue designs"))

    @staticmethod
    def agents(directory: Path) -> Path:
        agents = directory / "agents"
        agents.mkdir()
        (agents / "coder.yaml").write_text(CODER)
        (agents / f"{LONG_NAME}.yaml").write_text(VERBOSE)
        (agents / "assistant.yaml").write_text(ASSISTANT)
        return agents

    def _session(self, title: str) -> str:
        return self._http.new_session(title=title)

    def _tell(self, session: str, *said: tuple[Literal["user", "assistant"], str]) -> None:
        now = time.time() - 60 * len(said)
        rows = [
            Message(
                role,
                ({"type": "text", "text": words},),
                agent="" if role == "user" else "root",
                created_at=now,
            )
            for role, words in said
        ]
        database = self._database()
        with database.writing() as connection:
            append_messages(connection, session, rows, None)
        database.close()

    def _ask(self, session: str, command: str) -> None:
        """Leaves a run that waits for approval. The directives are the title of a link, which is not shown."""
        call = f"[say Now the tests:] [call shell {json.dumps({'cmd': command})}]"
        told = f"Good. Run [the tests](https://example.org/tests '{call}'), please."
        self._start(session, "coder", told)
        self._until(session, "awaiting_approval")

    def _fail(self, session: str) -> None:
        self._start(session, "assistant", "[fail 400]")
        self._until(session, "failed")
        database = self._database()
        with database.writing() as connection:
            connection.execute(
                text("UPDATE runs SET error = :error WHERE error <> ''"), {"error": LONG_ERROR}
            )
        database.close()

    def _start(self, session: str, agent: str, words: str) -> None:
        begun = self._http.post(f"/api/sessions/{session}/agent/{agent}?stream=false", [{"content": words}])
        assert begun.ok, begun.text

    def _until(self, session: str, status: str) -> None:
        def reached() -> bool:
            return bool(self._http.get(f"/api/runs?session={session}&status={status}").json())

        eventually(reached, f"the run is {status}")

    def _database(self) -> Database:
        return Database(f"sqlite:///{self._baton.directory / 'baton.db'}")
