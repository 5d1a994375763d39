"""The official TypeScript SDK at a real server, and its compiler's word on every answer and event.

The SDK and the compiler are installed once, as the lock file says, below a directory that git ignores. Where npm is
missing or can't reach its registry the test is skipped; in CI it fails then.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartBaton
from tests.harness.process import ROOT, free_port
from tests.managed.receiver import SECRET

HERE = Path(__file__).parent
CACHE = ROOT / ".typescript"
TOKEN = "typescript-has-this-token"
IN_CI = "CI" in os.environ
SECONDS = 300  # in which a busy machine installs, or compiles

HEAD = """\
import type * as beta from "@anthropic-ai/sdk/resources/beta/index";
import type * as events from "@anthropic-ai/sdk/resources/beta/sessions/events";
import type * as threads from "@anthropic-ai/sdk/resources/beta/sessions/threads/threads";
import type * as hooks from "@anthropic-ai/sdk/resources/beta/webhooks";
import type { BidirectionalPageCursorResponse, PageCursorResponse } from "@anthropic-ai/sdk/core/pagination";
"""
PLACES = {
    "BetaManagedAgentsSessionEvent": "events",
    "BetaManagedAgentsStreamSessionEvents": "events",
    "BetaManagedAgentsSendSessionEvents": "events",
    "BetaManagedAgentsSessionThread": "threads",
    "BetaWebhookEvent": "hooks",
}
"""The modules of the types that are not in the SDK's index."""

NULL_AT_THE_HOSTED_SERVICE = frozenset({"effort", "inference_geo", "cache_creation"})
"""Fields that the hosted service has as null, although these types know only that they may be missing."""


def run(command: list[str], directory: Path, **environment: str) -> None:
    """AssertionError with what it has said, if it fails."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


@pytest.fixture(scope="module")
def installed() -> Path:
    """The directory with the installed packages; another one for another lock file."""
    version = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:12]
    place = CACHE / version
    if place.exists():
        return place
    try:
        if shutil.which("npm") is None:
            raise AssertionError("npm is not installed")
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            for file in ("package.json", "package-lock.json"):
                shutil.copy(HERE / file, name)
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], Path(name))
            shutil.copytree(name, place, symlinks=True, dirs_exist_ok=True)
    except AssertionError as error:
        if IN_CI:
            raise
        pytest.skip(f"the TypeScript SDK can't be installed here: {error}")
    return place


def typed(samples: list[dict[str, Any]]) -> str:
    """A program that compiles only if each value has its type: nothing is missing, and nothing is too much. The last
    line is spoilt, and has to be found."""
    lines = dict.fromkeys(
        f": {_placed(sample['type'])} = {json.dumps(_without_known_nulls(sample['value']))};"
        for sample in samples
    )
    program = HEAD + "".join(f"export const sample{number}{line}\n" for number, line in enumerate(lines))
    spoilt = {**samples[0]["value"], "more": 1}
    kind = _placed(samples[0]["type"])
    return f"{program}// @ts-expect-error\nexport const spoilt: {kind} = {json.dumps(_without_known_nulls(spoilt))};\n"


def _without_known_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_known_nulls(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_known_nulls(one)
        for key, one in value.items()
        if one is not None or key not in NULL_AT_THE_HOSTED_SERVICE
    }


def _placed(kind: str) -> str:
    page, _, item = kind.rstrip(">").rpartition("<")
    name = f"{PLACES.get(item, 'beta')}.{item}"
    return f"{page}<{name}>" if page else name


def test_the_typescript_sdk_finds_what_it_knows(
    installed: Path, start_baton: StartBaton, tmp_path: Path
) -> None:
    port = free_port()
    baton = start_baton(
        settings={
            "BATON_AUTH_TOKENS": f"tessa/operator:{TOKEN}",
            "BATON_UNASKED_TOOLS": "on",
            "BATON_WEBHOOK_URL": f"http://127.0.0.1:{port}/",
            "BATON_WEBHOOK_SECRET": SECRET,
            "BATON_WEBHOOK_PRIVATE": "on",
        }
    )
    place = tmp_path / "typescript"
    place.mkdir()
    (place / "node_modules").symlink_to(installed / "node_modules")
    for file in ("package.json", "tsconfig.json", "story.mjs"):
        shutil.copy(HERE / file, place)
    run(["node", "story.mjs", baton.url, TOKEN, str(port), "samples.json"], place, WEBHOOK_KEY=SECRET)
    samples = json.loads((place / "samples.json").read_text())
    assert len({sample["type"] for sample in samples}) == 14
    (place / "samples.ts").write_text(typed(samples))
    run(["node", "node_modules/typescript/bin/tsc", "-p", "."], place)
