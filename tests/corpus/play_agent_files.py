"""Odd agent files: listed or left out, run or refused, and in no case in the way of the others."""

from __future__ import annotations

import json
from typing import Final

from tests.corpus.case import Case, Kind
from tests.corpus.judging import Seen
from tests.corpus.recipes import made
from tests.corpus.stage import Stage

KIND: Final = Kind(
    doors=("list", "run"),
    takes=frozenset({"file"}),
    tells=frozenset(
        {"listed", "status", "refusal", "said", "warns", "system", "good", "finishes", "offered"}
    ),
    usual={"good": "well"},
)


def play(case: Case, stage: Stage) -> dict[str, Seen]:
    name, good = stage.team(made(case.given["file"])), stage.agent()
    listed = stage.client.call("GET", "/api/agents")
    run = stage.say(stage.session(), "[say hello]", name)
    fine = stage.say(stage.session(), "[say well]", good)
    (stage.directory / "agents" / f"{name}.yaml").unlink()
    first = run.requests[0] if run.requests else {}
    common = {"good": fine.said}
    return {
        "list": {**common, "listed": name in json.dumps(listed)},
        "run": {
            **common,
            "status": run.status,
            "refusal": run.errors,
            "said": run.said,
            "warns": run.texts("warning"),
            "system": json.dumps(first.get("system"), ensure_ascii=False),
            "offered": sorted(run.tools),
            "finishes": run.finishes,
        },
    }
