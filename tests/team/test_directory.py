"""The directory of agents: what is listed, what is found, and when a file is read again."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from app.errors import AgentNotFound, InvalidAgentConfig
from app.team.team_directory import AgentSummary, TeamDirectory, check_files

GOOD = "agents: {a: {description: '${env.X}'}, b: {description: second}}"
BROKEN = "agents: {a: {modle: x}}"


def write(path: Path, text: str) -> None:
    """Replaces the file as editors do, so that it is another one even within one tick of the clock."""
    path.with_suffix(".new").write_text(text, encoding="utf-8")
    os.replace(path.with_suffix(".new"), path)


def names(teams: TeamDirectory) -> list[str]:
    return [summary.name for summary in teams.list()]


def test_files_are_listed_by_name_with_the_description_of_their_first_agent(tmp_path: Path) -> None:
    write(tmp_path / "b.yaml", GOOD)
    write(tmp_path / "a.YML", "agents: {only: {}}")
    write(tmp_path / "notes.txt", GOOD)
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "c.yaml", GOOD)
    assert TeamDirectory(tmp_path, {"X": "not expanded here"}).list() == [
        AgentSummary(name="a", description="", multi=False),
        AgentSummary(name="b", description="${env.X}", multi=True),
    ]


def test_broken_files_and_files_without_agents_are_left_out_e26(tmp_path: Path) -> None:
    write(tmp_path / "broken.yaml", BROKEN)
    write(tmp_path / "empty.yaml", "agents: {}")
    write(tmp_path / "nothing.yaml", "")
    write(tmp_path / "good.yaml", GOOD)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "gone")
    assert names(TeamDirectory(tmp_path, {})) == ["good"]


def test_a_directory_that_is_empty_or_not_there_lists_nothing(tmp_path: Path) -> None:
    assert TeamDirectory(tmp_path, {}).list() == []
    assert TeamDirectory(tmp_path / "none", {}).list() == []


def test_one_file_can_be_served_by_itself(tmp_path: Path) -> None:
    write(tmp_path / "one.yaml", GOOD)
    write(tmp_path / "two.yaml", GOOD)
    teams = TeamDirectory(tmp_path / "one.yaml", {})
    assert names(teams) == ["one"]
    with pytest.raises(AgentNotFound):
        teams.get("two")


@pytest.mark.parametrize("key", ["one", "one.yaml", "one.yml"])
def test_a_team_is_found_with_and_without_its_extension(tmp_path: Path, key: str) -> None:
    write(tmp_path / "one.yaml", GOOD)
    assert TeamDirectory(tmp_path, {}).get(key).key == "one"


@pytest.mark.parametrize(
    "key", ["", "two", "One", "../one", "./one", "one.txt", "one.yaml.yaml", "/etc/passwd", "\0"]
)
def test_a_key_leads_nowhere_but_to_the_files_that_are_there(tmp_path: Path, key: str) -> None:
    write(tmp_path / "one.yaml", GOOD)
    (tmp_path / "below").mkdir()
    with pytest.raises(AgentNotFound) as caught:
        TeamDirectory(tmp_path / "below" if ".." in key else tmp_path, {}).get(key)
    assert caught.value.message == f"agent not found: {key}"


def test_a_broken_file_says_what_is_wrong_without_saying_where_the_server_keeps_it(tmp_path: Path) -> None:
    write(tmp_path / "broken.yaml", BROKEN)
    teams = TeamDirectory(tmp_path, {})
    for _ in range(2):
        with pytest.raises(InvalidAgentConfig) as caught:
            teams.get("broken")
        assert caught.value.message.startswith("broken.yaml:1:14: agents.a.modle: unknown field")


def test_an_unchanged_file_is_not_parsed_again_and_a_changed_one_is(tmp_path: Path) -> None:
    write(tmp_path / "one.yaml", GOOD)
    write(tmp_path / "two.yaml", GOOD)
    teams = TeamDirectory(tmp_path, {})
    one, two = teams.get("one"), teams.get("two")
    assert names(teams) == ["one", "two"]
    assert teams.get("one") is one

    write(tmp_path / "one.yaml", "agents: {new: {}}")
    assert [agent.name for agent in teams.get("one").agents] == ["new"]
    assert teams.get("one").digest != one.digest
    assert teams.get("two") is two


def test_files_may_come_go_and_be_mended_while_the_server_runs(tmp_path: Path) -> None:
    teams = TeamDirectory(tmp_path, {})
    write(tmp_path / "one.yaml", BROKEN)
    assert names(teams) == []
    write(tmp_path / "one.yaml", GOOD)
    assert names(teams) == ["one"]
    (tmp_path / "one.yaml").unlink()
    assert names(teams) == []
    with pytest.raises(AgentNotFound):
        teams.get("one")


def test_a_broken_file_is_logged_once_for_each_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="app.team.team_directory")
    write(tmp_path / "broken.yaml", BROKEN)
    (tmp_path / "folder.yaml").mkdir()
    teams = TeamDirectory(tmp_path, {})
    for _ in range(3):
        teams.list()
    assert len(caplog.records) == 2
    assert "folder.yaml: can't be read: Is a directory" in caplog.text
    assert "broken.yaml:1:14: agents.a.modle: unknown field" in caplog.text
    write(tmp_path / "broken.yaml", "agents: {}")
    teams.list()
    assert len(caplog.records) == 3


def test_a_file_that_could_not_be_read_once_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "good.yaml", GOOD)
    teams = TeamDirectory(tmp_path, {"X": "x"})
    with monkeypatch.context() as short, caplog.at_level(logging.WARNING):
        short.setattr(Path, "read_bytes", _without_descriptors)
        for _ in range(2):
            with pytest.raises(InvalidAgentConfig, match="Too many open files"):
                teams.get("good")
    assert len(caplog.records) == 1, "logged once for each change"
    assert teams.get("good").agents[0].description == "x"


def _without_descriptors(_path: Path) -> bytes:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_pipe_among_agent_files_blocks_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", GOOD)
    os.mkfifo(tmp_path / "b.yaml")
    teams = TeamDirectory(tmp_path, {"X": ""})
    assert names(teams) == ["a"]
    with pytest.raises(AgentNotFound):
        teams.get("b")


def test_a_file_in_hcl_is_refused_with_the_reason_and_never_in_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "a.hcl").write_text('agent "root" {}')
    (tmp_path / "b.hcl").write_text('agent "root" {}')
    (tmp_path / "b.yaml").write_text("agents: {root: {}}")
    directory = TeamDirectory(tmp_path, {})
    assert [summary.name for summary in directory.list()] == ["b"]
    with pytest.raises(InvalidAgentConfig, match=r"a\.hcl:1:1: is HCL, which this server does not read"):
        directory.get("a")
    assert [str(problem) for problem in check_files(tmp_path)[1]] == [
        f"{tmp_path}/{name}.hcl:1:1: is HCL, which this server does not read; write it as YAML"
        for name in "ab"
    ]


def test_a_run_finds_its_agent_without_a_look_at_the_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.yaml", "a-longer-name.yaml", "b.yaml", "c.yml"):
        write(tmp_path / name, GOOD)
    teams = TeamDirectory(tmp_path, {})
    looked_at = set()
    is_fifo = Path.is_fifo

    def noted(path: Path) -> bool:
        looked_at.add(path.name)
        return is_fifo(path)

    monkeypatch.setattr(Path, "is_fifo", noted)

    assert teams.get("b").agents
    assert teams.get("c.yml").agents
    assert looked_at == {"b.yaml", "c.yml"}
