"""Hooks at all points of a run: what each is given, and what comes of its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.team.hook_points import POINTS
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import Event, text_of
from tests.test_sequences import at_rest, call_text, of_type, roles

NOTE = "cat >> noted; echo >> noted"
DONE = "[then][say done]"
THINK = call_text("think", thought="x") + DONE
SHELL = call_text("shell", cmd="echo ran >> ran") + DONE


def command(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "command", "command": text, **more}


def answering(answer: Any) -> dict[str, Any]:
    return command(f"cat <<'END'\n{json.dumps(answer)}\nEND")


def saying(**own: Any) -> dict[str, Any]:
    return answering({"hook_specific_output": own})


def at(**points: Any) -> dict[str, Any]:
    """The hooks, each a definition or a command; those about calls behind a matcher for every tool."""
    hooks: dict[str, Any] = {}
    for point, one in points.items():
        definition = command(one) if isinstance(one, str) else one
        hooks[point] = [{"hooks": [definition]}] if POINTS[point].by_tool else [definition]
    return hooks


class Play:
    """A server whose agent has these hooks, and what the hooks and the model were told."""

    def __init__(self, directory: Path, model: OfflineServer) -> None:
        self.directory = directory
        self.model = model
        self.servers: list[Server] = []

    def begin(self, hooks: dict[str, Any], *, others: Any = None, **more: Any) -> LocalClient:
        root = {
            "model": "anthropic/claude-sonnet-5-5",
            "toolsets": [{"type": kind} for kind in ("shell", "think", "user_prompt")],
            "hooks": hooks,
            **more,
        }
        path = self.directory / "tools.yaml"
        path.write_text(json.dumps({"agents": {"root": root, **(others or {})}}))
        self.servers.append(build(make_settings(self.directory, self.model.url, agents=path)))
        return LocalClient(self.servers[-1])

    def noted(self) -> list[dict[str, Any]]:
        path = self.directory / "noted"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def shown(self, request: int = -1) -> list[str]:
        """The texts of a request's newest message, results included."""
        blocks = self.model.requests[request]["messages"][-1]["content"]
        return [str(block.get("text") or block.get("content")) for block in blocks]


@pytest.fixture
def play(tmp_path: Path, model: OfflineServer) -> Iterator[Play]:
    made = Play(tmp_path, model)
    yield made
    for server in made.servers:
        server.close()


def failure(events: list[Event]) -> tuple[str, str]:
    (error,) = of_type(events, "error")
    return error["code"], error["error"]


def told(events: list[Event], point: str) -> list[str]:
    return [event["type"] for event in events if event.get("hook_event") == point]


# ---- what hooks are given

OF_A_CALL = [
    *("session_start", "user_prompt_submit"),
    *("turn_start", "before_llm_call", "after_llm_call"),
    *("tool_input_transform", "tool_guard", "on_tool_approval_decision", "pre_tool_use"),
    *("tool_response_transform", "post_tool_use", "turn_end"),
    *("turn_start", "before_llm_call", "after_llm_call", "stop", "turn_end"),
    *("session_end", "on_user_input"),
]


def test_the_points_of_a_run_with_a_call_in_their_order(play: Play) -> None:
    local = play.begin(at(**dict.fromkeys(POINTS, NOTE)))
    session = local.new_session()
    events = local.say(session, "hello " + THINK, agent="tools")
    notes = play.noted()
    assert [note["hook_event_name"] for note in notes] == OF_A_CALL
    assert all(note["cwd"] == str(play.directory) and note["agent_name"] == "root" for note in notes)
    assert all(note["session_id"] == session for note in notes)
    by_point = {note["hook_event_name"]: note for note in notes}
    assert by_point["user_prompt_submit"]["prompt"].startswith("hello ")
    assert [note["reason"] for note in notes if note["hook_event_name"] == "turn_end"] == [
        "continue",
        "normal",
    ]
    asked = [note for note in notes if note["hook_event_name"] == "before_llm_call"]
    assert [(note["model_id"], note["iteration"]) for note in asked] == [
        ("anthropic/claude-sonnet-5-5", 1),
        ("anthropic/claude-sonnet-5-5", 2),
    ]
    answered = by_point["after_llm_call"]
    assert (answered["stop_response"], answered["model_id"]) == ("done", "anthropic/claude-sonnet-5-5")
    assert answered["last_user_message"].startswith("hello ")
    assert set(answered["usage"]) == {
        *("input_tokens", "output_tokens", "cached_input_tokens", "cached_write_tokens"),
    }
    assert answered["cost"] > 0
    assert by_point["stop"]["stop_response"] == "done"
    call = {
        "tool_name": "think",
        "tool_input": {"thought": "x"},
        "tool_category": "think",
        "tool_read_only": True,
    }
    for point in ("on_tool_approval_decision", "pre_tool_use", "tool_response_transform", "post_tool_use"):
        assert by_point[point].items() >= call.items()
        assert by_point[point]["tool_use_id"]
    decided = by_point["on_tool_approval_decision"]
    assert (decided["approval_decision"], decided["approval_source"]) == ("allow", "readonly_hint")
    assert by_point["tool_response_transform"]["tool_response"] == by_point["post_tool_use"]["tool_response"]
    for point, rules in POINTS.items():
        times = OF_A_CALL.count(point) if rules.told else 0
        assert told(events, point) == ["hook_started", "hook_finished"] * times, point


def test_what_readers_are_told_of_hooks(play: Play) -> None:
    local = play.begin(at(turn_start="true", user_prompt_submit="echo not that >&2; exit 2"))
    events = local.say(local.new_session(), "[say hello]", agent="tools")
    begun, ended = (event for event in events if event.get("hook_event") == "user_prompt_submit")
    assert set(begun) == {"type", "session_id", "hook_event", "agent_name", "timestamp"}
    assert set(ended) == {*begun, "duration_ms", "allowed", "message"}
    assert (ended["allowed"], ended["message"]) == (False, "not that")
    assert ended["duration_ms"] >= 0


def test_hooks_of_a_run_that_fails(play: Play) -> None:
    local = play.begin(at(**dict.fromkeys(("turn_end", "notification", "on_error", "session_end"), NOTE)))
    events = local.say(local.new_session(), "[fail 403]", agent="tools")
    _, words = failure(events)
    ended, *both, last = play.noted()
    assert (ended["hook_event_name"], ended["reason"]) == ("turn_end", "error")
    assert [note["hook_event_name"] for note in both] == ["notification", "on_error"]
    assert {(note["notification_level"], note["notification_message"]) for note in both} == {("error", words)}
    assert last["reason"] == "failed"


def test_hooks_of_a_run_that_has_had_as_many_turns_as_it_may(play: Play) -> None:
    points = ("notification", "on_max_iterations", "on_session_resume")
    local = play.begin(at(**dict.fromkeys(points, NOTE)), max_iterations=1)
    session = local.new_session()
    with local.run(session, THINK, agent="tools") as stream:
        stream.until("max_iterations_reached")
        local.resume(session, "approve")
        assert text_of(stream.rest()) == "done"
    notes = play.noted()
    assert [note["hook_event_name"] for note in notes] == list(points)
    assert notes[0]["notification_level"] == "warning"
    assert (notes[2]["previous_max_iterations"], notes[2]["new_max_iterations"]) == (1, 11)


def test_hooks_of_a_task_for_another_agent(play: Play) -> None:
    hooks = at(**dict.fromkeys(("on_agent_switch", "subagent_stop"), NOTE))
    others = {"other": {"model": "anthropic/claude-sonnet-5-5"}}
    local = play.begin(hooks, sub_agents=["other"], others=others)
    session = local.new_session()
    task = call_text("transfer_task", agent="other", task="[say the answer]", expected_output="")
    local.say(session, task + DONE, agent="tools")
    there, ended, back = play.noted()
    switches = [(note["from_agent"], note["to_agent"], note["agent_switch_kind"]) for note in (there, back)]
    assert switches == [("root", "other", "transfer_task"), ("other", "root", "transfer_task_return")]
    assert there["from_agent_models"] == [{"provider": "anthropic", "model": "claude-sonnet-5-5"}]
    assert (ended["hook_event_name"], ended["agent_name"]) == ("subagent_stop", "other")
    assert (ended["parent_session_id"], ended["stop_response"]) == (session, "the answer")
    assert ended["session_id"] != session


def test_hooks_of_an_agent_that_hands_over(play: Play) -> None:
    hooks = at(**dict.fromkeys(("on_agent_switch", "turn_end"), NOTE))
    others = {"other": {"model": "anthropic/claude-sonnet-5-5"}}
    local = play.begin(hooks, handoffs=["other"], others=others)
    local.say(local.new_session(), call_text("handoff", agent="other") + DONE, agent="tools")
    ended, switched = play.noted()
    assert (ended["hook_event_name"], ended["reason"]) == ("turn_end", "continue")
    assert (switched["to_agent"], switched["agent_switch_kind"]) == ("other", "handoff")


# ---- hooks that end the run


@pytest.mark.parametrize("point", ["user_prompt_submit", "before_llm_call"])
@pytest.mark.parametrize(
    "says",
    [
        command("echo enough >&2; exit 2"),
        answering({"decision": "block", "reason": "enough"}),
        answering({"continue": False, "stop_reason": "enough"}),
        command("exit 1", on_error="block"),
    ],
    ids=["status", "decision", "continue", "broken"],
)
def test_a_no_before_the_model_is_asked_ends_the_run(play: Play, point: str, says: dict[str, Any]) -> None:
    local = play.begin(at(**{point: says, "on_error": NOTE, "session_end": NOTE}))
    session = local.new_session()
    events = local.say(session, "[say hello]", agent="tools")
    code, words = failure(events)
    assert code == "hook_blocked"
    assert words == ("enough" if "on_error" not in says else f"a {point} hook failed: it ended with status 1")
    assert play.model.requests == []
    assert events[-1]["type"] == "stream_stopped"
    assert roles(at_rest(local, session)) == ["user"]
    assert [note["hook_event_name"] for note in play.noted()] == ["on_error", "session_end"]


def test_a_task_that_a_hook_ends_fails_for_the_one_who_gave_it(play: Play) -> None:
    stopping = at(before_llm_call="echo not today >&2; exit 2")
    others = {"other": {"model": "anthropic/claude-sonnet-5-5", "hooks": stopping}}
    local = play.begin({}, sub_agents=["other"], others=others)
    task = call_text("transfer_task", agent="other", task="[say it]", expected_output="")
    events = local.say(local.new_session(), task + DONE, agent="tools")
    (told_result,) = of_type(events, "tool_call_response")
    assert told_result["response"] == "Error calling tool: not today"
    assert failure(events) == ("hook_blocked", "not today")
    assert text_of(events) == "done"


# ---- what hooks tell the model

CONTEXT = ["session_start", "user_prompt_submit", "turn_start"]


@pytest.mark.parametrize("point", CONTEXT)
@pytest.mark.parametrize(
    "says", [command("cat > /dev/null; echo ' it { rains '"), saying(additional_context="it { rains")]
)
def test_what_a_hook_tells_the_model_stands_before_its_turn(
    play: Play, point: str, says: dict[str, Any]
) -> None:
    local = play.begin(at(**{point: says}))
    session = local.new_session()
    events = local.say(session, "[say hello]", agent="tools")
    assert text_of(events) == "hello"
    assert of_type(events, "warning") == []
    said, context = play.shown()
    assert said == "[say hello]"
    assert context == f'<hook_context event="{point}">\nit {{ rains\n</hook_context>'
    stored = local.session(session)["messages"]
    assert [item.get("implicit", False) for item in stored] == [False, True, False]


def test_what_a_hook_tells_the_model_never_stands_between_a_call_and_its_result(play: Play) -> None:
    says = "if [ -e first ]; then echo '[say done]'; else touch first; echo other; fi"
    local = play.begin(at(turn_start=says))
    session = local.new_session()
    calls = call_text("think", thought="a") + call_text("think", thought="b")
    assert text_of(local.say(session, calls, agent="tools")) == "done"
    kinds = [block["type"] for block in play.model.requests[-1]["messages"][-1]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]
    assert roles(at_rest(local, session)) == [
        "user",
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
        "assistant",
    ]


def test_a_point_that_says_the_same_again_adds_nothing(play: Play) -> None:
    local = play.begin(at(turn_start="cat sky"))
    (play.directory / "sky").write_text("clear")
    session = local.new_session()
    local.say(session, THINK, agent="tools")
    local.say(session, "[say two]", agent="tools")
    assert play.shown() == ["[say two]"]
    (play.directory / "sky").write_text("dark")
    local.say(session, "[say three]", agent="tools")
    assert "dark" in play.shown()[1]
    (play.directory / "sky").write_text("clear")
    local.say(session, "[say four]", agent="tools")
    assert "clear" in play.shown()[1]


def test_a_hook_that_tells_too_much_is_cut(play: Play) -> None:
    local = play.begin(at(turn_start="yes | head -c 100000000"))
    assert text_of(local.say(local.new_session(), "[say hello]", agent="tools")) == "hello"
    assert len(play.shown()[1]) < 31_000


# ---- questions


def test_a_hook_can_answer_for_the_person_who_would_be_asked(play: Play) -> None:
    decides = at(permission_request=saying(permission_decision="allow"), on_tool_approval_decision=NOTE)
    local = play.begin(decides)
    events = local.say(local.new_session(), SHELL, agent="tools")
    assert of_type(events, "tool_call_confirmation") == []
    assert (play.directory / "ran").exists()
    assert play.noted()[0]["approval_source"] == "permission_request_hook_allow"


def test_a_hook_can_reject_for_the_person_who_would_be_asked(play: Play) -> None:
    says = saying(permission_decision="deny", permission_decision_reason="not now")
    local = play.begin(at(permission_request=says, on_tool_approval_decision=NOTE))
    events = local.say(local.new_session(), SHELL, agent="tools")
    assert of_type(events, "tool_call_confirmation") == []
    (result,) = of_type(events, "tool_call_response")
    assert "not now" in result["response"]
    assert not (play.directory / "ran").exists()
    assert [note["approval_decision"] for note in play.noted()] == ["deny"]


@pytest.mark.parametrize(
    "says",
    [command("true"), saying(permission_decision="ask"), command("exit 1"), command("sleep 600", timeout=1)],
)
def test_a_person_is_asked_where_no_hook_decides(play: Play, says: dict[str, Any]) -> None:
    local = play.begin(at(permission_request=says, on_tool_approval_decision=NOTE))
    session = local.new_session()
    with local.run(session, SHELL, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        assert not (play.directory / "ran").exists()
        local.resume(session, "approve")
        assert text_of(stream.rest()) == "done"
    assert [note["approval_source"] for note in play.noted()] == ["user_approved"]


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("approve-tool", "user_approved_tool"),
        ("approve-session", "user_approved_autonomous"),
        ("approve-autonomous", "user_approved_autonomous"),
        ("approve-balanced", "user_approved_balanced"),
        ("reject", "user_rejected"),
    ],
)
def test_hooks_are_told_what_a_person_has_answered(play: Play, answer: str, source: str) -> None:
    local = play.begin(at(on_tool_approval_decision=NOTE))
    session = local.new_session()
    with local.run(session, SHELL, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        local.resume(session, answer)
        stream.rest()
    assert [note["approval_source"] for note in play.noted()] == [source]


def test_hooks_can_say_something_to_the_person_who_is_asked(play: Play) -> None:
    hooks = at(tool_guard=saying(metadata={"risk": "high", "by": "guard"}))
    hooks["permission_request"] = [{"hooks": [saying(metadata={"by": "hook"})]}]
    local = play.begin(hooks)
    session = local.new_session()
    with local.run(session, SHELL, agent="tools") as stream:
        assert stream.until("tool_call_confirmation")["metadata"] == {"risk": "high", "by": "hook"}
        local.resume(session, "reject")
        stream.rest()


def test_no_hook_is_asked_where_a_pattern_forbids(play: Play) -> None:
    local = play.begin(
        at(permission_request=saying(permission_decision="allow"), on_tool_approval_decision=NOTE)
    )
    session = local.new_session(permissions={"deny": ["shell"]})
    local.say(session, SHELL, agent="tools")
    assert not (play.directory / "ran").exists()
    assert [note["approval_source"] for note in play.noted()] == ["session_permissions_deny"]


def test_a_guard_forbids_a_call_that_was_approved_in_advance(play: Play) -> None:
    local = play.begin(at(tool_guard="echo never >&2; exit 2", on_tool_approval_decision=NOTE))
    events = local.say(local.new_session(tools_approved=True), SHELL, agent="tools")
    assert of_type(events, "tool_call_response")[0]["response"] == "Tool call blocked by hook: never"
    assert of_type(events, "hook_blocked")[0]["message"] == "never"
    assert not (play.directory / "ran").exists()
    assert [note["approval_source"] for note in play.noted()] == ["tool_guard_deny"]


@pytest.mark.parametrize("tool", ["shell", "think"])
def test_a_guard_can_have_a_person_asked_whatever_was_approved(play: Play, tool: str) -> None:
    allows = saying(permission_decision="allow")
    local = play.begin(at(tool_guard=saying(permission_decision="ask"), permission_request=allows))
    session = local.new_session(tools_approved=True)
    with local.run(session, SHELL if tool == "shell" else THINK, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        assert not (play.directory / "ran").exists()
        local.resume(session, "approve")
        assert text_of(stream.rest()) == "done"


def test_a_guard_that_breaks_forbids(play: Play) -> None:
    local = play.begin(at(tool_guard="exit 1"))
    events = local.say(local.new_session(tools_approved=True), SHELL, agent="tools")
    assert "could not decide" in of_type(events, "hook_blocked")[0]["message"]
    assert not (play.directory / "ran").exists()


def test_hooks_change_a_call_before_anybody_decides_about_it(play: Play) -> None:
    first = saying(updated_input={"cmd": "echo mild > mild"})
    hooks = at(tool_guard=NOTE)
    hooks["tool_input_transform"] = [
        {"matcher": "shell", "hooks": [first, command("grep -q mild || exit 1")]}
    ]
    local = play.begin(hooks)
    session = local.new_session()
    with local.run(session, SHELL, agent="tools") as stream:
        asked = stream.until("tool_call_confirmation")
        assert json.loads(asked["tool_call"]["function"]["arguments"]) == {"cmd": "echo mild > mild"}
        local.resume(session, "approve")
        events = stream.rest()
    assert of_type(events, "warning") == []
    assert (play.directory / "mild").exists()
    assert not (play.directory / "ran").exists()
    assert play.noted()[0]["tool_input"] == {"cmd": "echo mild > mild"}


def test_a_hook_can_forbid_a_call_before_anybody_decides_about_it(play: Play) -> None:
    local = play.begin(at(tool_input_transform="echo no >&2; exit 2"))
    events = local.say(local.new_session(), SHELL, agent="tools")
    assert of_type(events, "tool_call_confirmation") == []
    assert of_type(events, "tool_call_response")[0]["response"] == "Tool call blocked by hook: no"


# ---- messages that come in


@pytest.mark.parametrize(
    ("kind", "point"), [("steer", "user_steering_messages_submit"), ("followup", "user_followup_submit")]
)
def test_hooks_hear_of_messages_that_come_into_a_run(play: Play, kind: str, point: str) -> None:
    says = command("cat > heard; echo heed it")
    local = play.begin(at(**{point: says}))
    session = local.new_session()
    with local.run(session, SHELL, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        local.call(
            "POST",
            f"/api/sessions/{session}/{kind}",
            {"messages": [{"role": "user", "content": "[say more]"}]},
            expect=202,
        )
        local.resume(session, "approve")
        events = stream.rest()
    assert text_of(events).endswith("more")
    assert told(events, point) == ["hook_started", "hook_finished"]
    heard = json.loads((play.directory / "heard").read_text())
    assert (heard.get("steering_messages"), heard.get("prompt")) == (
        (["[say more]"], None) if kind == "steer" else (None, "[say more]")
    )
    assert "heed it" in play.shown()[-1]


def test_a_hook_can_end_a_run_for_a_message_that_came_into_it(play: Play) -> None:
    local = play.begin(at(user_followup_submit="echo no more >&2; exit 2"))
    session = local.new_session()
    with local.run(session, SHELL, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        local.call(
            "POST",
            f"/api/sessions/{session}/followup",
            {"messages": [{"role": "user", "content": "[say more]"}]},
            expect=202,
        )
        local.resume(session, "approve")
        assert failure(stream.rest()) == ("hook_blocked", "no more")


# ---- results


def test_a_hook_can_replace_a_result_before_anybody_sees_it(play: Play) -> None:
    hooks = at(post_tool_use=NOTE)
    first = saying(updated_tool_response="hidden")
    second = command(
        'grep -q hidden && echo \'{"hook_specific_output": {"updated_tool_response": "hidden twice"}}\''
    )
    hooks["tool_response_transform"] = [{"matcher": "shell", "hooks": [first, second]}]
    local = play.begin(hooks)
    session = local.new_session(tools_approved=True)
    events = local.say(session, call_text("shell", cmd="echo secret") + DONE, agent="tools")
    (result,) = of_type(events, "tool_call_response")
    assert (result["response"], result["result"]["output"]) == ("hidden twice", "hidden twice")
    assert at_rest(local, session)[2]["content"] == "hidden twice"
    assert play.shown() == ["hidden twice"]
    assert play.noted()[0]["tool_response"] == "hidden twice"
    assert "secret" not in json.dumps(result["result"])
    assert of_type(events, "tool_call_output") == [], (
        "no hook can rewrite output that is shown while it is written"
    )


def test_a_transform_that_breaks_leaves_the_result(play: Play) -> None:
    local = play.begin(at(tool_response_transform="exit 3"))
    session = local.new_session(tools_approved=True)
    events = local.say(session, call_text("shell", cmd="echo plain") + DONE, agent="tools")
    assert of_type(events, "tool_call_response")[0]["response"] == "plain"
    assert (
        of_type(events, "warning")[0]["message"]
        == "A tool_response_transform hook failed: it ended with status 3."
    )


# ---- hooks that break, hang, or want what they can't have


OBSERVERS = ["turn_start", "turn_end", "after_llm_call", "stop", "session_start", "session_end"]


@pytest.mark.parametrize("point", OBSERVERS)
def test_a_hook_that_can_forbid_nothing_is_told_so(play: Play, point: str) -> None:
    local = play.begin(at(**{point: "exit 2"}))
    events = local.say(local.new_session(), "[say hello]", agent="tools")
    assert text_of(events) == "hello"
    assert [event["message"] for event in of_type(events, "warning")] == [
        f"A {point} hook can't forbid anything."
    ]


@pytest.mark.parametrize(
    ("on_error", "warnings"),
    [("", ["A stop hook (mine) failed: it ended with status 5."]), ("ignore", [])],
)
def test_whether_readers_hear_of_a_hook_that_breaks(play: Play, on_error: str, warnings: list[str]) -> None:
    local = play.begin(at(stop=command("exit 5", name="mine", on_error=on_error)))
    events = local.say(local.new_session(), "[say hello]", agent="tools")
    assert [event["message"] for event in of_type(events, "warning")] == warnings


@pytest.mark.parametrize(
    "point", ["session_start", "turn_start", "before_llm_call", "stop", "turn_end", "session_end"]
)
def test_a_stop_ends_a_hook_at_work_wherever_it_is(play: Play, point: str) -> None:
    local = play.begin(at(**{point: "touch begun; sleep 600"}))
    session = local.new_session()
    with local.run(session, "[say hello]", agent="tools") as stream:
        stream.until("stream_started")
        eventually((play.directory / "begun").exists, "the hook has begun")
        local.stop(session)
        assert stream.rest()[-1]["type"] == "stream_stopped"
    at_rest(local, session)


def test_a_hook_has_its_own_variables_and_directory(play: Play) -> None:
    (play.directory / "below").mkdir()
    mine = {"MINE": "${env.PATH}+$PATH+${PATH}+${env.NONE || 'none'}"}
    says = command('pwd > where; echo "$MINE" >> where', env=mine, working_dir="below")
    local = play.begin(at(stop=says))
    local.say(local.new_session(), "[say hello]", agent="tools")
    where = (play.directory / "below" / "where").read_text().split()
    assert where == [str(play.directory / "below"), "/usr/bin:/bin+$PATH+${PATH}+none"]


def test_a_single_hook_need_not_be_a_list(play: Play) -> None:
    behind = {"matcher": "think", "hooks": command("echo called >> ran")}
    local = play.begin({"stop": command("echo stopped >> ran"), "pre_tool_use": behind})
    local.say(local.new_session(tools_approved=True), THINK, agent="tools")
    assert (play.directory / "ran").read_text().split() == ["called", "stopped"]
