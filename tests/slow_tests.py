"""The tests that `make test` leaves out, so that it takes less than six minutes on two cores: `make test-slow` runs
them, and so does CI. Each checks in another surrounding, at more moments or on a further page of the console what a
quicker test checks as well, or is about packaging and documents, which few changes touch."""

from __future__ import annotations

from typing import Final

_WRITES: Final = "kill_points/test_every_write.py::test_f16_f17_a_server_that_dies_at_a_write"

SLOW: Final = (
    # pages of the console: the quick ones are conversation, approvals, reattach, safety and smaller files
    "console/test_appearance.py",
    "console/test_attachments.py",
    "console/test_commands.py",
    "console/test_copying.py",
    "console/test_cut_events.py",
    "console/test_following.py",
    "console/test_growing_text.py",
    "console/test_inspector.py",
    "console/test_many_messages.py",
    "console/test_markdown.py",
    "console/test_message_actions.py",
    "console/test_one_history.py",
    "console/test_queue_editing.py",
    "console/test_session_list.py",
    "console/test_session_menu.py",
    "console/test_states.py",
    "console/test_stand_in.py",
    "console/test_try_it.py",
    # how it is installed, started and described
    "commands/test_init.py",
    "commands/test_local.py",
    "deployment/test_backup.py",
    "deployment/test_hostile_directory.py",
    "deployment/test_metrics.py",
    "deployment/test_secrets.py",
    "deployment/test_several_upstreams.py",
    "deployment/test_socket_activation.py",
    "deployment/test_streams.py",
    "deployment/test_stopping.py::test_a_server_that_nobody_has_asked_yet_closes_the_run_of_one_that_was_killed",
    "deployment/test_stopping.py::test_hup_replaces_the_worker_while_the_run_in_the_old_one_finishes",
    "deployment/test_stopping.py::test_usr2_starts_a_second_server_beside_the_first_which_finishes_its_run",
    "deployment/test_upgrade.py",
    "deployment/test_wheel.py",
    "laptop/",
    "test_cookbook.py",
    "test_first_agent.py",
    "upgrades/",
    # more moments at which something goes wrong
    "agent/test_thread_starts.py",
    "agent/tools/test_mcp.py::test_a_server_that_dies_in_mid_call_is_started_again_and_the_call_is_not_repeated",
    "agent/tools/test_outcomes.py::test_the_other_side_is_silent",
    "agent/tools/test_process_family.py::test_nothing_outlives_its_command_however_it_leaves_it",
    "chaos/test_chaos.py",
    "deployment/test_clients_that_do_not_read.py",
    "deployment/test_slow_clients.py",
    "failure_modes/test_hangups.py",
    f"{_WRITES}_leaves_a_session_that_works_at_once[sqlite-after]",
    "kill_points/test_every_write.py::test_f16_an_accepted_follow_up_is_never_lost_and_never_said_twice",
    "kill_points/test_questions.py",
    "managed/test_confirmation_kill_points.py",
    "managed/test_custom_kill_points.py",
    "managed/test_environment_worker.py::test_a_worker_is_lost_in_the_middle_of_a_call",
    "managed/test_worker_of_agent_files.py",
    "managed/test_streams.py::test_a_message_that_no_run_has_come_to_is_begun_with_after_a_crash",
    "managed/test_work_kill_points.py",
    "managed/typescript/",
    "openapi/test_schemathesis.py",
    "test_cage.py",
    "test_clocks.py::test_no_stored_time_comes_from_a_host_s_clock",
    "test_fallback.py",
    "test_hostile_files.py::test_a_trap_in_place_of_every_file_lets_nothing_in",
    "test_hostile_files.py::test_a_tool_that_is_given_a_trap_by_its_name_ends",
    "test_run_seconds.py",
    "test_tool_environment.py",
)
"""Each is the beginning of the id of one or more tests, below tests/."""

ON_POSTGRES: Final = (
    "chaos/",
    "deployment/",
    "kill_points/",
    "managed/",
    "runtime/",
    "test_adoption.py",
    "web/",
    "while_it_runs/",
)
"""Tests of these files run on SQLite in `make test`, and on PostgreSQL among the slow ones. The store's own tests run
on both each time."""
