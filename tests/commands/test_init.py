"""The first minutes: `baton init`, and the agent that is there before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from app.commands import exits
from app.commands.init import HANDS
from app.settings import DEFAULT_AGENTS, Settings
from app.team.team_directory import TeamDirectory
from baton_client import BatonClient
from tests.commands.conftest import Call
from tests.conftest import AGENTS
from tests.harness.process import ROOT, BatonProcess

NO_AGENTS = {"BATON_AGENTS": ""}


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, in which nothing is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("tools", list(HANDS))
def test_an_agent_file_is_made_that_has_no_fault(call: Call, empty: Path, tools: str) -> None:
    about = 'Answers: "yes", or #no'
    done = call(
        "init", "helper", "--tools", tools, "--description", about, "--model", "anthropic/claude-haiku-4-5"
    )
    assert (done.code, done.out) == (exits.OK, "agents/helper.yaml\n")
    assert all(word in done.err for word in ("baton check", "baton serve", "baton chat --agent helper"))
    checked = call("check", "--strict")
    assert (checked.code, checked.out, checked.err) == (exits.OK, "", "1 file, 0 problems\n")
    [summary] = TeamDirectory(empty / "agents", {}).list()
    assert (summary.name, summary.description) == ("helper", about)


def test_a_file_that_is_there_stays_as_it_is(call: Call, empty: Path) -> None:
    assert json.loads(call("init", "--json").out) == {"file": "agents/assistant.yaml", "agent": "assistant"}
    before = (empty / "agents" / "assistant.yaml").read_text()
    again = call("init", "--tools", "shell")
    assert (again.code, "left as it is" in again.err) == (exits.FAILED, True)
    assert (empty / "agents" / "assistant.yaml").read_text() == before
    assert call("init", "../elsewhere").code == exits.USAGE


def test_the_file_goes_where_the_settings_say(call: Call, empty: Path) -> None:
    (empty / "mine").mkdir()
    done = call("init", "one", BATON_AGENTS="mine")
    assert (done.out, "BATON_AGENTS=mine baton serve" in done.err) == ("mine/one.yaml\n", True)


def test_a_person_is_asked_on_a_terminal(talk: Call, tmp_path: Path) -> None:
    script = [
        ("Name of the agent [assistant]:", "poet\n"),
        ("for", "Writes poems\n"),
        ("Model", "\n"),
        ("use", "none\n"),
    ]
    done = talk("init", "--directory", str(tmp_path), script=script)
    assert (done.code, "baton chat --agent poet" in done.out) == (exits.OK, True)
    assert "description: Writes poems\n" in (tmp_path / "poet.yaml").read_text()


def test_a_server_without_agent_files_answers_until_there_is_one(
    call: Call, tmp_path: Path, model: OfflineServer
) -> None:
    with (
        BatonProcess(tmp_path, model_url=model.url, agents=AGENTS, settings=NO_AGENTS, cold=True) as process,
        BatonClient(process.url) as baton,
    ):
        assert [agent["name"] for agent in baton.agents()] == ["assistant"]
        assert call("chat", said="[say hello]\n", BATON_URL=process.url).out == "hello\n"
        assert requests.get(f"{process.url}/ready", timeout=10).json()["agents"] == "default"
        assert "Baton's own agent answers" in process.log()
        call("init", "helper", "--directory", str(tmp_path / "agents"))
        assert [agent["name"] for agent in baton.agents()] == ["helper"]
        assert requests.get(f"{process.url}/ready", timeout=10).json()["agents"] == "own"
        assert call("chat", said="[say hi]\n", BATON_URL=process.url).out == "hi\n"


def test_the_doctor_says_that_the_agent_is_batons_own(call: Call, empty: Path) -> None:
    found = json.loads(call("doctor", "--no-there", "--json").out)
    told = {one["subject"]: (one["state"], one["text"]) for one in found}
    assert told["agents"] == ("ok", "Baton's own: assistant")
    assert told["BATON_AGENTS"][0] == "warning"
    (empty / "agents").mkdir()
    assert Settings().stand_in_agents is None


def test_batons_own_agent_is_the_sample() -> None:
    [own] = DEFAULT_AGENTS.iterdir()
    assert own.read_text() == (ROOT / "agents" / own.name).read_text()
