"""The prompt's account of the world around a session: the date, the machine, and the files that it asks for."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.agent.tools.file_reading import decode
from app.agent.tools.sandbox import FileRefused, Sandbox
from app.conversation.frozen_prompt import Surroundings
from app.conversation.session import Session
from app.roots import Ground
from app.team.agent import Agent

log = logging.getLogger(__name__)

MAX_PROMPT_FILE: Final = 262_144  # bytes


def surroundings(ground: Ground, session: Session, agent: Agent) -> Surroundings:
    """Read now. A prompt file that may not be read is left out, and logged."""
    here = Path(session.working_dir)
    return Surroundings(
        date=datetime.now(UTC).astimezone().date().isoformat(),
        working_dir=str(here),
        is_git_repository=any((place / ".git").exists() for place in lineage(here, ground.top(here))),
        platform={"Darwin": "MacOS"}.get(platform.system(), platform.system()),
        architecture={"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        prompt_files=[
            text
            for name in agent.add_prompt_files
            for text in _prompt_file(name, here, ground)
            if text.strip()
        ],
    )


def lineage(here: Path, top: Path) -> Iterator[Path]:
    """The directory and those above it, up to `top`; only itself, if `top` is not above it."""
    resolved = here.resolve()
    places = (resolved, *resolved.parents)
    yield from places[: places.index(top) + 1] if top in places else places[:1]


def _prompt_file(name: str, here: Path, ground: Ground) -> Iterator[str]:
    """The nearest file of that name from the working directory up to its root, and the home directory's own.

    The agent file's author may name one file by its absolute path.
    """
    if Path(name).is_absolute():
        yield from _read(Sandbox(Path(name).parent), Path(name).name)
        return
    top = ground.top(here)
    sandbox = Sandbox.on(ground, top)
    nearest = None
    for place in lineage(here, top):
        path = place.relative_to(top) / name
        if found := _read(sandbox, str(path)):
            nearest = (top / path).resolve()
            yield from found
            break
    if ground.home is not None and (ground.home / name).resolve() != nearest:
        yield from _read(Sandbox(ground.home, ground.own), name)


def _read(sandbox: Sandbox, path: str) -> list[str]:
    """The file's text; nothing if it is not there, is no regular file below the sandbox's root, or is too long."""
    try:
        content = sandbox.read(path, MAX_PROMPT_FILE)
    except FileRefused as refusal:
        if refusal.is_more_than_absent:
            log.warning("a prompt file is left out: %s", refusal)
        return []
    if content.size > MAX_PROMPT_FILE:
        log.warning(
            "a prompt file is left out: %s has more than %d bytes", sandbox.shown(path), MAX_PROMPT_FILE
        )
        return []
    return [decode(content.data)]
