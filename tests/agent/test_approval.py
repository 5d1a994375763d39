"""The order in which it is decided whether a call may run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.agent.approval import Verdict, judge
from app.conversation.safety import SafetyPolicy
from app.conversation.session import Session
from app.team.permissions import Permissions
from tests.agent.stage import tool

READS, ACTS = tool("act"), tool("act", read_only=False)
NOTHING = Permissions()


def verdict(
    session: dict[str, list[str]] | None = None,
    team: Permissions = NOTHING,
    *,
    approved: bool = False,
    reads: bool = False,
    above: Sequence[Session] = (),
    deny_wins: bool = True,
) -> Verdict:
    asked = Session("s", 0.0, tools_approved=approved, permissions=session)
    return judge(READS if reads else ACTS, {"cmd": "ls"}, [asked, *above], team, deny_wins=deny_wins)


def test_a_tool_that_only_reads_runs_and_any_other_is_asked_about() -> None:
    assert verdict(reads=True) == Verdict("run")
    assert verdict() == Verdict("ask")


APPROVALS: list[tuple[dict[str, list[str]], bool]] = [
    ({}, True),
    ({"allow": ["act"]}, False),
    ({"allow": ["*"]}, True),
]


@pytest.mark.parametrize(("allowed", "approved"), APPROVALS)
def test_a_denial_beats_every_approval(allowed: dict[str, list[str]], approved: bool) -> None:
    for team in (Permissions(deny=("act",)), Permissions(deny=("act",), allow=("act",))):
        assert verdict(allowed, team, approved=approved).outcome == "deny"
    assert (
        verdict({**allowed, "deny": ["act"]}, Permissions(allow=("*",)), approved=approved).outcome == "deny"
    )


def test_a_session_that_approves_everything_beats_every_wish_to_ask() -> None:
    assert verdict({"ask": ["*"]}, Permissions(ask=("*",)), approved=True) == Verdict("run")


@pytest.mark.parametrize(("allowed", "approved"), APPROVALS)
def test_the_contracts_order_can_be_had(allowed: dict[str, list[str]], approved: bool) -> None:
    assert verdict(allowed, Permissions(deny=("act",)), approved=approved, deny_wins=False) == Verdict("run")
    assert verdict({"deny": ["*"]}, approved=True, deny_wins=False) == Verdict("run")
    assert verdict(team=Permissions(deny=("act",)), deny_wins=False).outcome == "deny"


def test_a_denial_of_the_conversation_holds_in_its_tasks() -> None:
    conversation = Session("c", tools_approved=True, permissions={"deny": ["act"]})
    assert verdict(approved=True, above=[conversation]).outcome == "deny"
    assert (
        verdict(approved=True, above=[Session("task", tools_approved=True), conversation]).outcome == "deny"
    )


def test_a_task_asks_again_as_soon_as_its_conversation_does() -> None:
    assert verdict(approved=True, above=[Session("c", tools_approved=True)]) == Verdict("run")
    assert verdict(approved=True, above=[Session("c", tools_approved=False)]) == Verdict("ask")


def test_a_denial_says_whose_it_is() -> None:
    assert verdict({"deny": ["act"]}).words == "Tool 'act' is denied by session permissions."
    assert (
        verdict(team=Permissions(deny=("act",))).words == "Tool 'act' is denied by permissions configuration."
    )


@pytest.mark.parametrize(
    ("session", "outcome"),
    [({"allow": ["act"]}, "run"), ({"ask": ["act"]}, "ask"), ({"deny": ["act"]}, "deny")],
)
def test_the_session_beats_the_team(session: dict[str, list[str]], outcome: str) -> None:
    for team in (Permissions(allow=("act",)), Permissions(ask=("act",))):
        assert verdict(session, team).outcome == outcome


def test_where_the_session_says_nothing_the_team_counts() -> None:
    assert verdict({"deny": ["other"]}, Permissions(allow=("act",))) == Verdict("run")
    assert verdict({}, Permissions(ask=("act",)), reads=True) == Verdict("ask")


def test_inside_one_set_deny_beats_allow_and_allow_beats_ask() -> None:
    assert verdict({"deny": ["act"], "allow": ["act"], "ask": ["act"]}).outcome == "deny"
    assert verdict({"allow": ["act"], "ask": ["act"]}).outcome == "run"


def test_a_pattern_may_look_at_arguments() -> None:
    assert verdict({"allow": ["act:cmd=ls*"]}) == Verdict("run")
    assert verdict({"allow": ["act:cmd=rm*"]}) == Verdict("ask")


@pytest.mark.parametrize("pattern", ["[", "act:cmd=["])
def test_a_sessions_pattern_that_cant_be_parsed_allows_nothing_and_denies_what_it_might(pattern: str) -> None:
    assert verdict({"allow": [pattern]}) == Verdict("ask")
    assert verdict({"deny": [pattern]}, reads=True).outcome == "deny"
    assert verdict({"ask": [pattern]}, reads=True).outcome == "ask"


SAFE, MARKED, UNKNOWN = tool("act"), tool("act", destructive=True), tool("act", read_only=False)

BY_POLICY: list[tuple[SafetyPolicy, str, str, str]] = [  # safe, destructive, unknown
    ("", "run", "run", "ask"),  # as ever: a tool that says it only reads is believed
    ("strict", "ask", "ask", "ask"),
    ("balanced", "run", "ask", "ask"),
    ("restricted", "run", "deny", "deny"),
]


@pytest.mark.parametrize(("policy", "safe", "destructive", "unknown"), BY_POLICY)
def test_where_no_pattern_says_it_the_sessions_policy_does(
    policy: SafetyPolicy, safe: str, destructive: str, unknown: str
) -> None:
    session = Session("s", chosen_policy=policy)
    found = [judge(one, {}, [session], NOTHING).outcome for one in (SAFE, MARKED, UNKNOWN)]
    assert found == [safe, destructive, unknown]


@pytest.mark.parametrize("policy", ["", "strict", "balanced", "restricted"])
def test_the_approval_of_every_tool_is_the_widest_policy(policy: SafetyPolicy) -> None:
    session = Session("s", tools_approved=True, chosen_policy=policy)
    assert session.safety_policy == "autonomous"
    assert judge(UNKNOWN, {}, [session], NOTHING) == Verdict("run")
    assert judge(UNKNOWN, {}, [session], Permissions(deny=("act",))).outcome == "deny"


@pytest.mark.parametrize("policy", ["", "strict", "balanced", "restricted"])
def test_patterns_come_before_the_policy(policy: SafetyPolicy) -> None:
    allows = Session("s", chosen_policy=policy, permissions={"allow": ["act"]})
    assert judge(UNKNOWN, {}, [allows], NOTHING) == Verdict("run")
    asks = Session("s", chosen_policy=policy, permissions={"ask": ["act"]})
    assert judge(SAFE, {}, [asks], NOTHING) == Verdict("ask")
    denies = Session("s", chosen_policy=policy, permissions={"deny": ["act"]})
    assert judge(SAFE, {}, [denies], NOTHING).outcome == "deny"


@pytest.mark.parametrize(
    ("policy", "outcome"), [("strict", "ask"), ("balanced", "run"), ("restricted", "run")]
)
def test_a_policy_that_decides_by_itself_beats_the_files_wish_to_be_asked(
    policy: SafetyPolicy, outcome: str
) -> None:
    session = Session("s", chosen_policy=policy)
    assert judge(SAFE, {}, [session], Permissions(ask=("*",))).outcome == outcome


def test_a_tasks_calls_are_judged_by_the_policy_of_its_conversation() -> None:
    task, conversation = Session("task"), Session("c", chosen_policy="restricted")
    assert judge(UNKNOWN, {}, [task, conversation], NOTHING).outcome == "deny"
