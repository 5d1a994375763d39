"""From the text of an agent file to a team, or to every problem that it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath

from pydantic import ValidationError

from app.errors import InvalidAgentConfig
from app.team.agent import Agent, AgentDefinition
from app.team.config import TeamFile
from app.team.expansion import Expander
from app.team.model_definition import AUTO, ModelSpec
from app.team.problems import FieldFinding, Problem, findings, spell
from app.team.references import check, find_model, members, resolve
from app.team.team import Team
from app.team.upgrade import NEWEST, upgrade
from app.team.yaml_document import DocumentError, SourcePosition, Table, parse, place_of

MAX_SIZE = 1_000_000
HCL = ".hcl"
"""The end of the names of agent files in the other language, which are refused with the reason."""


def load_team(text: str | bytes, *, source: str, environment: Mapping[str, str]) -> Team:
    """Raises InvalidAgentConfig, whose message has one line for each problem; they call the file `source`."""
    file, problems = _read(text, source)
    if file is None:
        raise _invalid(problems)
    file = resolve(file)
    expander = Expander(environment)
    agents = tuple(_agent(file, name, agent, expander) for name, agent in file.agents.items())
    digest = _digest(text, expander.used)
    return Team(key=FilePath(source).stem, source=source, digest=digest, agents=agents, file=file)


def load_team_file(path: FilePath, *, environment: Mapping[str, str]) -> Team:
    """Raises InvalidAgentConfig, also for a file that can't be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _invalid([_unreadable(path, error)]) from error
    return load_team(content, source=str(path), environment=environment)


def check_file(path: FilePath) -> list[Problem]:
    """Everything that is wrong with the file, in the order of its lines; nothing if it loads."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return [_unreadable(path, error)]
    return _read(content, str(path))[1]


def look_at_file(path: FilePath, look: Callable[[TeamFile], Iterable[FieldFinding]]) -> list[Problem]:
    """The findings of `look` in the file, in the order of its lines; nothing if it does not load."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    file, _ = _read(content, str(path))
    return [] if file is None else _located(_upgraded(content), look(file), str(path))


def _upgraded(content: bytes) -> Table:
    """The document as the newest version of the schema has it, with its places."""
    data = parse(_text(content))
    for _ in upgrade(data):
        pass
    return data


def _invalid(problems: Iterable[Problem]) -> InvalidAgentConfig:
    return InvalidAgentConfig("\n".join(str(problem) for problem in problems))


def _unreadable(path: FilePath, error: OSError) -> Problem:
    return Problem(str(path), 1, 1, "", f"can't be read: {error.strerror or error}")


def _read(content: str | bytes, source: str) -> tuple[TeamFile | None, list[Problem]]:
    """The file, or why there is none. Later checks need what earlier ones guarantee, so they come in turn."""
    if FilePath(source).suffix.lower() == HCL:
        return None, [Problem(source, 1, 1, "", "is HCL, which this server does not read; write it as YAML")]
    try:
        data = parse(_text(content))
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


def _text(content: str | bytes) -> str:
    if len(content) > MAX_SIZE:
        raise DocumentError(FieldFinding((), f"is larger than {MAX_SIZE:,} bytes"), SourcePosition())
    try:
        return content if isinstance(content, str) else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(FieldFinding((), "is not UTF-8"), SourcePosition()) from error


def _located(data: Table, found: Iterable[FieldFinding], source: str) -> list[Problem]:
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


def _digest(text: str | bytes, variables: Mapping[str, str]) -> str:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    used = json.dumps(variables, sort_keys=True).encode()
    return hashlib.sha256(b"%d:%b%b" % (len(content), content, used)).hexdigest()
