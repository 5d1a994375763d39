"""The order in which it is decided whether a call may run."""

from __future__ import annotations

import pytest

from app.agent.approval import Verdict, judge
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
) -> Verdict:
    asked = Session("s", 0.0, tools_approved=approved, permissions=session)
    return judge(READS if reads else ACTS, {"cmd": "ls"}, asked, team)


def test_a_tool_that_only_reads_runs_and_any_other_is_asked_about() -> None:
    assert verdict(reads=True) == Verdict("run")
    assert verdict() == Verdict("ask")


def test_a_session_that_approves_everything_beats_every_pattern() -> None:
    assert verdict({"deny": ["*"]}, Permissions(deny=("*",), ask=("*",)), approved=True) == Verdict("run")


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
    for team in (Permissions(deny=("act",)), Permissions(allow=("act",)), Permissions(ask=("act",))):
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


def test_a_sessions_pattern_that_is_none_matches_nothing() -> None:
    assert verdict({"allow": ["["], "deny": ["act:cmd=["]}) == Verdict("ask")
