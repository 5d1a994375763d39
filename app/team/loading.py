"""From the text of an agent file to a team, or to every problem that it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath

from pydantic import ValidationError

from app.errors import InvalidAgentConfig
from app.team.agent import Agent, AgentDefinition
from app.team.config import TeamFile
from app.team.document import DocumentError, Table, parse, place_of
from app.team.expansion import Expander
from app.team.model import AUTO, ModelSpec
from app.team.problems import Finding, Problem, findings, spell
from app.team.references import check, find_model, members, resolve
from app.team.team import Team
from app.team.upgrade import NEWEST, upgrade

MAX_BYTES = 1_000_000


def load_team(text: str, *, source: str, environment: Mapping[str, str]) -> Team:
    """Raises InvalidAgentConfig, whose message has one line for each problem."""
    file, problems = _read(text, source)
    if file is None:
        raise InvalidAgentConfig("\n".join(map(str, problems)), problems=problems)
    file = resolve(file)
    expander = Expander(environment)
    agents = tuple(_agent(file, name, agent, expander) for name, agent in file.agents.items())
    digest = _digest(text, expander.used)
    return Team(key=FilePath(source).stem, source=source, digest=digest, agents=agents, file=file)


def load_team_file(path: FilePath, *, environment: Mapping[str, str]) -> Team:
    """Raises InvalidAgentConfig, also for a file that can't be read."""
    try:
        return load_team(decode(path.read_bytes(), str(path)), source=str(path), environment=environment)
    except OSError as error:
        raise InvalidAgentConfig(str(_unreadable(path, error))) from error


def check_file(path: FilePath) -> list[Problem]:
    """Everything that is wrong with the file, in the order of its lines; nothing if it loads."""
    try:
        text = decode(path.read_bytes(), str(path))
    except OSError as error:
        return [_unreadable(path, error)]
    except InvalidAgentConfig as error:
        return list(error.details["problems"])
    return _read(text, str(path))[1]


def decode(content: bytes, source: str) -> str:
    """The text of a file; raises InvalidAgentConfig if there is too much of it or it is not UTF-8."""
    text = "is not UTF-8"
    try:
        if len(content) <= MAX_BYTES:
            return content.decode("utf-8-sig")
        text = f"is larger than {MAX_BYTES} bytes"
    except UnicodeDecodeError:
        pass
    problem = Problem(source, 1, 1, "", text)
    raise InvalidAgentConfig(str(problem), problems=[problem])


def _unreadable(path: FilePath, error: OSError) -> Problem:
    return Problem(str(path), 1, 1, "", f"can't be read: {error.strerror or error}")


def _read(text: str, source: str) -> tuple[TeamFile | None, list[Problem]]:
    """The file, or why there is none. Later checks need what earlier ones guarantee, so they come in turn."""
    try:
        data = parse(text)
    except DocumentError as error:
        line, column = error.place.line, error.place.column
        return None, [Problem(source, line, column, spell(error.finding.path), error.finding.text)]
    if found := list(upgrade(data)):
        return None, _located(data, found, source)
    try:
        file = TeamFile.model_validate(data)
    except ValidationError as error:
        return None, _located(data, findings(error), source)
    if found := list(check(file)):
        return None, _located(data, found, source)
    return file.with_(version=file.version or NEWEST), []


def _located(data: Table, found: Iterable[Finding], source: str) -> list[Problem]:
    places = ((finding, place_of(data, finding.path)) for finding in dict.fromkeys(found))
    return sorted(Problem(source, at.line, at.column, spell(one.path), one.text) for one, at in places)


def _agent(file: TeamFile, name: str, definition: AgentDefinition, expander: Expander) -> Agent:
    fallback = definition.fallback.models if definition.fallback else ()
    return Agent(
        **dict(definition.expanded(expander)),
        name=name,
        models=_specs(file, definition.model or AUTO),
        fallback_models=tuple(spec for reference in fallback for spec in _specs(file, reference)),
    )


def _specs(file: TeamFile, reference: str) -> tuple[ModelSpec, ...]:
    found = (find_model(file, name) for name in members(file, reference))
    return tuple(spec for spec in found if spec is not None)


def _digest(text: str, variables: Mapping[str, str]) -> str:
    used = json.dumps(variables, sort_keys=True)
    return hashlib.sha256(f"{text}\0{used}".encode("utf-8", "surrogatepass")).hexdigest()
