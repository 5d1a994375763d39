"""The agent files that the server was given: which there are, and the team in each."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import AgentNotFound, InvalidAgentConfig
from app.team.loading import HCL, check_file, load_team
from app.team.problems import Problem
from app.team.team import Team

log = logging.getLogger(__name__)

EXTENSIONS = (".yaml", ".yml")

_Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class AgentSummary:
    name: str
    """The file's key, not an agent's name."""
    description: str
    """The first agent's description, as written."""
    multi: bool
    commands: tuple[str, ...] = ()
    """The names of the first agent's commands, sorted."""


@dataclass(frozen=True, slots=True)
class _Broken:
    """The memory of a file that can't be loaded. One that could not be `read` may be readable the next time, though
    it is the same file: descriptors may have run out."""

    message: str
    read: bool = True


class TeamDirectory:
    """One YAML file, or a directory of them (not below it), read again when a file has changed. While it is not there,
    those of the directory `instead` are.

    Any thread may call it. There is no lock: two threads that find the same change both parse the file and
    one of the equal results stays, so a slow file holds up nobody else.
    """

    def __init__(self, path: Path, environment: Mapping[str, str], *, instead: Path | None = None) -> None:
        self._path = path
        self._instead = instead
        self._environment = environment
        self._cache: dict[Path, tuple[_Signature, Team | _Broken]] = {}

    @property
    def is_default(self) -> bool:
        """Are the agents those that stand in for a directory that is not there?"""
        return self._instead is not None and not self._path.exists()

    def list(self) -> list[AgentSummary]:
        """Sorted by name; files that can't be loaded are left out, and logged once for each change."""
        found: dict[str, AgentSummary] = {}
        for path in self._files():
            team = self._team(path)
            if isinstance(team, Team) and path.stem not in found:
                first = next(iter(team.file.agents.values()))
                found[path.stem] = AgentSummary(
                    path.stem, first.description, len(team.agents) > 1, tuple(sorted(first.commands))
                )
        return [found[name] for name in sorted(found)]

    def get(self, key: str) -> Team:
        """By the file's name with or without its extension; raises AgentNotFound, InvalidAgentConfig."""
        path = self._find(key)
        team = self._team(path) if path is not None else None
        if team is None:
            raise AgentNotFound(f"agent not found: {key}")
        if isinstance(team, _Broken):
            raise InvalidAgentConfig(team.message)
        return team

    def changed_at(self, key: str) -> float:
        """When the file was changed last, in seconds since the epoch. AgentNotFound."""
        path = self._find(key)
        try:
            return path.stat().st_mtime if path is not None else _gone(key)
        except OSError:
            return _gone(key)

    def _find(self, key: str) -> Path | None:
        """Looks among the files that are there, so a key can't lead anywhere else."""
        name, extension = os.path.splitext(key)
        names = (key, name) if extension.lower() in EXTENSIONS else (key,)
        files = list(self._files(names))
        return next((path for wanted in names for path in files if path.stem == wanted), None)

    def _files(self, names: Sequence[str] = ("",)) -> Iterator[Path]:
        if self._path.is_dir():
            yield from agent_files(self._path, names)
        elif self._path.exists():
            yield self._path
        elif self._instead is not None:
            yield from agent_files(self._instead, names)

    def _team(self, path: Path) -> Team | _Broken | None:
        """None if the file has gone. A change between the two looks at the file is seen the next time."""
        try:
            signature = _signature(path.stat())
        except OSError:
            return None
        cached = self._cache.get(path)
        known = cached[1] if cached is not None and cached[0] == signature else None
        if known is not None and not (isinstance(known, _Broken) and not known.read):
            return known
        team = self._load(path)
        if isinstance(team, _Broken) and team != known:
            log.warning("agent file %s can't be loaded:\n%s", path, team.message)
        self._cache[path] = (signature, team)
        return team

    def _load(self, path: Path) -> Team | _Broken:
        try:
            return load_team(path.read_bytes(), source=path.name, environment=self._environment)
        except InvalidAgentConfig as error:
            return _Broken(error.message)
        except OSError as error:
            return _Broken(f"{path.name}: can't be read: {error.strerror}", read=False)


def _gone(key: str) -> float:
    raise AgentNotFound(f"agent not found: {key}")


def agent_files(directory: Path, beginnings: Sequence[str] = ("",)) -> list[Path]:
    """The files of a directory that are agent files by their names, those in HCL last; a pipe or a device, which might
    never end, is none. Only those whose names have one of the `beginnings` are looked at: each look costs, and each
    run finds its agent here."""
    wanted = tuple(beginnings)
    found = (directory / name for name in os.listdir(directory) if name.startswith(wanted))
    named = (path for path in found if path.suffix.lower() in (*EXTENSIONS, HCL))
    whole = (path for path in named if not (path.is_fifo() or path.is_char_device() or path.is_socket()))
    return sorted(whole, key=lambda path: (path.suffix.lower() == HCL, path))


def check_files(place: Path) -> tuple[list[Path], list[Problem]]:
    """The files that a server would read in a directory, or the one file; and everything that is wrong with them."""
    files = agent_files(place) if place.is_dir() else [place]
    return files, [problem for file in files for problem in check_file(file)]


def _signature(status: os.stat_result) -> _Signature:
    return status.st_mtime_ns, status.st_size, status.st_ino
