"""The documents name every setting, error code, event and route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TypeVar, get_args
from xml.etree import ElementTree

import click
import pytest

from app import errors
from app.access_tokens import ROLES
from app.commands import exits
from app.commands.main import COMMANDS
from app.conversation import events
from app.conversation.audit_entry import Action
from app.factory import build
from app.http_worker.early_refusals import REFUSALS
from app.settings import OF_THE_COMMAND, Settings
from app.web.error_responses import status_of_kind
from tests.conftest import make_settings

T = TypeVar("T")

ROOT = Path(__file__).parents[1]

OF_THE_WEB_ITSELF = {"internal", "method_not_allowed", "awaiting_approval", "awaiting_input", "stopping"} | {
    code for _, code, _ in REFUSALS.values()
}
"""Codes that no class of `app.errors` has."""


@cache
def documents() -> str:
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(path.read_text() for path in paths if path.exists())


def is_mentioned(word: str) -> bool:
    """As a word of its own: `error` in `store_error` does not count."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", documents()) is not None


def heirs(kind: type[T]) -> Iterator[type[T]]:
    for heir in kind.__subclasses__():
        yield heir
        yield from heirs(heir)


def codes() -> set[str]:
    return {
        kind.code for kind in heirs(errors.AppError) if kind.__module__ == errors.__name__
    } | OF_THE_WEB_ITSELF


def event_types() -> set[str]:
    return {kind.type for kind in heirs(events.Event) if kind.__module__.startswith("app.")}


def table(document: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    text = (ROOT / "docs" / document).read_text().partition(f"\n## {heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert rows is not None, heading
    return [re.split(r"(?<!\\)\|", row.strip("|")) for row in rows[0].splitlines()[2:]]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_of_settings_has_each_with_its_default() -> None:
    """A secret's and a path's default says in words what it stands for."""
    documented = {words(row[0])[0]: row[1].strip() for row in table("operations.md", "Settings")}
    defaults = {variable: default for variable, default, _ in Settings.variables()}
    assert list(documented) == list(defaults)
    for variable, default in defaults.items():
        if isinstance(default, bool):
            default = "on" if default else "off"
        if default in ("", (), None):
            assert "`" not in documented[variable], variable
        else:
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert documented[variable] == f"`{shown}`", variable


@pytest.mark.parametrize(
    ("document", "heading"), [("api.md", "Errors"), ("operations.md", "What each code asks of you")]
)
def test_the_table_of_codes_has_each_once(document: str, heading: str) -> None:
    assert sorted(code for row in table(document, heading) for code in words(row[0])) == sorted(codes())


def test_the_table_of_codes_has_the_statuses_that_are_sent() -> None:
    kinds = {kind.code: kind for kind in heirs(errors.AppError) if "code" in vars(kind)}
    for row in table("api.md", "Errors"):
        listed = set(re.findall(r"\d+", row[1]))
        for code in words(row[0]):
            if code in kinds and listed:
                assert str(status_of_kind(kinds[code])) in listed, code


def test_the_table_of_events_has_each_once() -> None:
    listed = [kind for row in table("api.md", "Events") for kind in words(row[0])]
    assert sorted(listed) == sorted(event_types())


def test_the_table_of_the_audit_trail_has_each_action_once() -> None:
    listed = [action for row in table("security.md", "The audit trail") for action in words(row[0])]
    assert sorted(listed) == sorted(get_args(Action))


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_documented(role: str) -> None:
    assert f"`{role}`" in documents()


@pytest.mark.parametrize("code", sorted(exits.MEANINGS))
def test_every_exit_code_is_documented_with_its_meaning(code: int) -> None:
    assert f"| {code} | {exits.MEANINGS[code]} |" in (ROOT / "docs" / "commands.md").read_text()


def command_names() -> list[str]:
    names = []
    for name in COMMANDS:
        command = import_module(f"app.commands.{name}").command
        parts = command.commands if isinstance(command, click.Group) else [""]
        names += [f"{name} {part}".strip() for part in parts]
    return names


@pytest.mark.parametrize("name", command_names())
def test_every_command_is_documented(name: str) -> None:
    group, _, part = name.partition(" ")
    rows = re.findall(
        rf"^\| `baton {group}[^|]*\|", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE
    )
    assert any(re.search(rf"[ `]{part or group}[ `]", row) for row in rows)


@pytest.mark.parametrize("variable", OF_THE_COMMAND)
def test_the_commands_own_variables_are_documented_and_no_typos_of_settings(variable: str) -> None:
    assert is_mentioned(variable)
    Settings.from_environment({variable: "anything"})


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[tuple[str, str]]]:
    """Method and path of every route, without what Flask adds by itself."""
    server = build(make_settings(tmp_path_factory.mktemp("routes"), ""))
    yield {
        (method, rule.rule)
        for rule in server.app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    server.close()


def as_pattern(method: str, rule: str) -> str:
    """The method, then the path with any name for its parts: `:id`, `<id>`, `{id}`."""
    path = re.sub(r"<[^>]*>", "\0", rule)
    path = re.escape(path).replace("\0", r"(?::\w+|<[\w:]+>|\{\w+\})")
    return rf"\b{method}\b[^\n]*?{path}(?![\w/:<{{])"


def test_a_route_that_nobody_has_is_not_found_in_the_documents() -> None:
    """Or the next test would find everything."""
    assert not re.search(as_pattern("GET", "/api/sessions/<id>/horoscope"), documents())
    assert not re.search(as_pattern("PUT", "/api/sessions/<id>/title"), documents())


def test_every_route_is_documented(routes: set[tuple[str, str]]) -> None:
    missing = [
        f"{method} {rule}" for method, rule in routes if not re.search(as_pattern(method, rule), documents())
    ]
    assert sorted(missing) == []


@pytest.mark.parametrize("code", sorted(codes() - {"error"}))
def test_a_code_is_a_word_that_a_program_can_rely_on(code: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)


def test_no_two_errors_share_a_code() -> None:
    """The reader of a code must know which error it was."""
    kinds = [kind for kind in heirs(errors.AppError) if kind.__module__ == errors.__name__]
    own = [kind.code for kind in kinds if "code" in vars(kind)]
    assert sorted(own) == sorted(set(own))


def test_every_link_between_documents_leads_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_drawn_picture_is_for_light_and_dark_pages_and_for_those_who_hear_it() -> None:
    drawing = ElementTree.parse(ROOT / "docs" / "images" / "architecture.svg").getroot()
    names = {one.tag.rpartition("}")[2]: "".join(one.itertext()) for one in drawing}
    assert drawing.get("aria-labelledby") == "title about"
    assert names["title"]
    assert names["desc"]
    light, _, dark = names["style"].partition("prefers-color-scheme: dark")
    assert re.findall(r"--[a-z]+(?=:)", light) == re.findall(r"--[a-z]+(?=:)", dark)


def headings(path: Path) -> set[str]:
    """The anchors that a page offers, as the repository's host makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_to_a_heading_finds_it() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target, anchor in re.findall(
            r"\]\((?!https?:|mailto:)([^)#\s]*\.md)?#([^)\s]+)\)", path.read_text()
        ):
            page = (path.parent / target) if target else path
            assert anchor in headings(page), f"{path.name}: {target}#{anchor}"


def test_a_newcomer_finds_the_policy_and_the_guide_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(
        f"]({name}" in readme
        for name in ("CONTRIBUTING.md", "SECURITY.md", "docs/agents.md#your-first-agent-in-five-minutes")
    )


EDGES = ("HTTP and concurrency", "The run", "Tools, configuration, storage")
DECISIONS = ("fixed", "partly", "kept", "not yet", "not here")


def edges() -> list[list[str]]:
    """The rows of the three tables of known rough edges."""
    text = (ROOT / "docs" / "compatibility.md").read_text()
    rows = []
    for heading in EDGES:
        below = text.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
        rows += [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in re.findall(r"^\| E.*", below, re.MULTILINE)
        ]
    return rows


def test_each_rough_edge_is_decided_exactly_once() -> None:
    rows = edges()
    assert [row[0] for row in rows] == [f"E{number}" for number in range(1, 53)]
    for number, before, now, _, _ in rows:
        decision = re.match(r"\*\*([a-z ]+)\*\*", now)
        assert before, number
        assert decision is not None, number
        assert decision[1] in DECISIONS, number


def test_the_tests_that_show_a_rough_edge_mended_are_there() -> None:
    for number, _, now, _, tests in edges():
        named = words(tests)
        assert named or not now.startswith("**fixed**"), number
        for name in named:
            assert (ROOT / name).is_file(), f"{number}: {name}"


PARTIES = {"anonymous", "author", "model", "tool server", "content of a repository", *ROLES}


def trust() -> list[list[str]]:
    return table("security.md", "Threat model")


def test_the_threat_model_has_every_party() -> None:
    first = [row[0].strip().strip("`").lower() for row in trust()]
    assert [party for party in sorted(PARTIES) if not any(cell.startswith(party) for cell in first)] == []
    assert all(cell.strip() for row in trust() for cell in row)


@pytest.mark.parametrize("row", trust(), ids=lambda row: row[0].strip())
def test_the_tests_that_the_threat_model_names_are_there(row: list[str]) -> None:
    named = words(row[3])
    assert named
    for name in named:
        path, _, function = name.partition("::")
        assert f"\ndef {function}(" in (ROOT / "tests" / path).read_text(), name


def test_the_security_policy_points_to_the_threat_model() -> None:
    """Reports are judged by it."""
    text = (ROOT / "SECURITY.md").read_text()
    assert "docs/security.md#threat-model" in text
    assert "Report a vulnerability" in text
