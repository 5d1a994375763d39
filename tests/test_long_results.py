"""Results of tools that are longer than a model's window, through a server: seen once, named, and never a loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent import model_catalogue
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.test_sequences import at_rest, call_text, of_type

MODEL = "claude-sonnet-5-5"
SMALL = 20_000  # tokens


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LocalClient, OfflineServer]]:
    """A server, and its stand-in, whose model has a window that is soon full."""
    facts = replace(model_catalogue.facts(MODEL), window=SMALL)
    monkeypatch.setattr(model_catalogue, "_MODELS", {**model_catalogue._MODELS, MODEL: facts})
    with OfflineServer(windows={MODEL: SMALL}) as stand_in:
        built = build(make_settings(tmp_path, stand_in.url))
        yield LocalClient(built), stand_in
        built.close()
        assert stand_in.violations == []


def results(stand_in: OfflineServer) -> list[str]:
    """The texts of the tool results that the model was shown last."""
    return [
        str(block["content"])
        for message in stand_in.requests[-1]["messages"]
        for block in message["content"]
        if block["type"] == "tool_result"
    ]


def test_a_file_larger_than_the_window_is_read_in_parts(
    local: LocalClient, model: OfflineServer, tmp_path: Path
) -> None:
    lines = [f"{number:07} {'x' * 92}" for number in range(1, 40_001)]
    (tmp_path / "large.txt").write_text("\n".join(lines))
    session = local.new_session()
    read = call_text("read_file", path="large.txt")
    events = local.say(session, f"{read}[then][say done]", agent="tools")
    assert of_type(events, "session_compaction") == of_type(events, "error") == []
    [shown] = results(model)
    text, _, remark = shown.rpartition("\n\n[")
    assert text.split("\n") == lines[: len(text.split("\n"))]
    assert len(shown) <= 120_000
    following = len(text.split("\n")) + 1
    assert f"Lines 1 to {following - 1} of 40000 are shown. Read on with offset {following}" in remark
    part = call_text("read_file", path="large.txt", offset=following, limit=2)
    local.say(session, f"{part}[then][say done]", agent="tools")
    assert results(model)[-1].startswith("\n".join(lines[following - 1 : following + 1]) + "\n\n[Lines")
    at_rest(local, session)


def test_a_line_larger_than_the_window_is_read_in_parts(
    local: LocalClient, model: OfflineServer, tmp_path: Path
) -> None:
    words = "".join(f"{number:07}é" for number in range(100_000))
    (tmp_path / "line.json").write_text(words)
    session = local.new_session()
    seen, column = "", 1
    while column:
        read = call_text("read_file", path="line.json", offset=1, column=column)
        local.say(session, f"{read}[then][say done]", agent="tools")
        text, _, remark = results(model)[-1].partition("\n\n[")
        seen += text
        column = int(remark.rpartition("column ")[2].rstrip(".]")) if remark else 0
    assert seen == words


def test_several_files_share_the_room(local: LocalClient, model: OfflineServer, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("\n".join([name * 99] * 1000))
    session = local.new_session()
    read = call_text("read_multiple_files", paths=["a", "b", "a"])
    local.say(session, f"{read}[then][say done]", agent="tools")
    [shown] = results(model)
    assert len(shown) <= 120_500
    assert "Read on with offset" in shown
    assert shown.rstrip().endswith(
        "[Not read: the result is full. Read the rest with read_file, which takes offset and limit.]"
    )


def test_the_results_of_one_turn_fit_into_the_window_together(
    small: tuple[LocalClient, OfflineServer], tmp_path: Path
) -> None:
    local, stand_in = small
    session = local.new_session()
    calls = ""
    for number in range(12):
        (tmp_path / f"{number}.txt").write_text(f"{number} " * 5000)
        calls += call_text("read_file", path=f"{number}.txt")
    events = local.say(session, f"{calls}[then][say done]", agent="tools")
    assert of_type(events, "error") == of_type(events, "session_compaction") == []
    assert len(results(stand_in)) == 12
    assert sum(map(len, results(stand_in))) < SMALL * 3 * 0.25 + 12 * 1500


def test_a_result_that_the_model_has_not_seen_is_not_summarized(
    small: tuple[LocalClient, OfflineServer], tmp_path: Path
) -> None:
    local, stand_in = small
    (tmp_path / "part.txt").write_text("the answer is 42\n" * 100)
    session = local.new_session()
    local.say(session, "[words 12500]", agent="tools")
    read = call_text("read_file", path="part.txt")
    events = local.say(session, f"{read}{read.replace('part', './part')}[then][say done]", agent="tools")
    assert len(of_type(events, "session_summary")) == 1
    assert ["the answer is 42" in shown for shown in results(stand_in)] == [True, True]
    at_rest(local, session)


def test_a_call_repeated_for_ever_is_told_and_then_ends_the_run(
    local: LocalClient, model: OfflineServer, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("the same")
    session = local.new_session()
    read = call_text("read_file", path="a.txt")
    events = local.say(session, "[then]".join([read] * 30), agent="tools")
    [error] = of_type(events, "error")
    assert error["code"] == "loop_detected"
    assert "read_file 10 times in a row" in error["error"]
    assert len(model.requests) == 10
    assert ["times in a row" in shown for shown in results(model)] == [False, False, *[True] * 7]
    at_rest(local, session)
    assert of_type(local.say(session, "[say on we go]", agent="tools"), "error") == []


def test_a_window_that_stays_full_ends_the_run_and_is_not_summarized_for_ever(
    small: tuple[LocalClient, OfflineServer], tmp_path: Path
) -> None:
    """The user's own message takes most of the window, and it is never summarized."""
    local, _ = small
    session = local.new_session()
    rounds = ""
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"{number} " * 4000)
        rounds += call_text("read_file", path=f"{number}.txt") + "[then]"
    events = local.say(session, f"{'x' * 50_000}{rounds}[say done]", agent="tools")
    assert len(of_type(events, "session_summary")) < 8, "the model does some of it again after each of them"
    [error] = of_type(events, "error")
    assert error["run_code"] == "context_full"
    assert "prompt is too long" in error["error"]
    at_rest(local, session)
    [run] = local.call("GET", f"/api/runs?session={session}")
    assert (run["status"], run["code"]) == ("failed", "context_full")


def test_json_of_several_files_stays_json(local: LocalClient, model: OfflineServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("\n".join(['"quoted"'] * 30_000))
    session = local.new_session()
    read = call_text("read_multiple_files", paths=["a", "a"], json=True)
    local.say(session, f"{read}[then][say done]", agent="tools")
    [shown] = results(model)
    files: list[dict[str, Any]] = json.loads(shown)
    assert [file["path"] for file in files] == ["a", "a"]


def test_a_result_that_a_run_has_failed_of_does_not_kill_its_session(tmp_path: Path) -> None:
    """The server thinks that the window is larger than it is, so the result is too long for it."""
    (tmp_path / "long.txt").write_text("the answer is 42\n" * 6_000)
    with OfflineServer(windows={MODEL: SMALL}) as stand_in:
        built = build(make_settings(tmp_path, stand_in.url))
        local = LocalClient(built)
        session = local.new_session()
        events = local.say(session, call_text("read_file", path="long.txt"), agent="tools")
        assert [event["run_code"] for event in of_type(events, "error")] == ["context_full"]
        events = local.say(session, "[say hello]", agent="tools")
        assert of_type(events, "error") == []
        assert len(of_type(events, "session_summary")) == 1
        built.close()
