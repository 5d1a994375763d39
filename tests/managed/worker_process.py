"""The official SDK's own worker, unchanged: `python -m tests.managed.worker_process URL ENVIRONMENT DIRECTORY`."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import anyio
from anthropic import AsyncAnthropic

from tests.harness.process import ROOT


def started(url: str, environment: str, directory: Path) -> subprocess.Popen[bytes]:
    """Its own words go to `worker.log` in the directory."""
    directory.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.managed.worker_process", url, environment, str(directory)]
    with (directory / "worker.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


async def work(url: str, environment: str, directory: str) -> None:
    async with AsyncAnthropic(base_url=url, api_key="anything") as client:
        await client.beta.environments.work.worker(
            environment_id=environment, environment_key="anything", workdir=directory, max_idle=0.01
        ).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    anyio.run(work, sys.argv[1], sys.argv[2], sys.argv[3])
