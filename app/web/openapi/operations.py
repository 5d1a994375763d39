"""Every route by its endpoint. A test compares this table with the routes that Flask has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app import errors
from app.web import audit, bodies, health, imports, looking, runs, sessions, shapes
from app.web.openapi.operation import Answer, Operation
from app.web.parameters import IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID, PRETTY, SINCE

_STREAM: Final = "text/event-stream"
_RUN: Final = Answer("The run as it is now.", shapes.RunAnswer)
_NULL: Final = Answer("It is done.", type(None))
_DONE: Final = Answer("It is done.", shapes.Message)
_UPDATED: Final = Answer("It is changed.", shapes.Updated)
_QUEUED: Final = Answer("It waits.", shapes.Queued)
_SESSION: Final = (errors.SessionNotFound,)

AGENTS: Final[Mapping[str, Operation]] = {
    "agents.summaries": Operation(
        summary="Lists the agent files that load",
        parameters=(PRETTY,),
        answers={200: Answer("Sorted by name.", list[shapes.AgentSummary])},
        stores=False,
    ),
    "agents.definition": Operation(
        summary="Shows one agent file, read and normalised",
        parameters=(PRETTY,),
        answers={200: Answer("The file.", shapes.AgentFile)},
        refusals=(errors.AgentNotFound,),
        stores=False,
    ),
    "agents.count_tools": Operation(
        summary="Counts an agent's tools",
        parameters=(PRETTY,),
        answers={200: Answer("How many there are.", shapes.ToolCount)},
        refusals=(errors.AgentNotFound, errors.InvalidAgentConfig, errors.MissingEnvironment),
    ),
}

SESSIONS: Final[Mapping[str, Operation]] = {
    "sessions.create": Operation(
        summary="Makes a session",
        body=bodies.CreateSession,
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={200: Answer("The session.", shapes.CreatedSession, headers=("Idempotent-Replayed",))},
        refusals=(errors.IdempotencyConflict,),
    ),
    "sessions.import_session": Operation(
        summary="Makes a session of an exported one",
        body=imports.ImportSession,
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={200: Answer("The session.", shapes.CreatedSession, headers=("Idempotent-Replayed",))},
        refusals=(errors.IdempotencyConflict,),
    ),
    "looking.summaries": Operation(
        summary="Lists sessions, newest first",
        parameters=(PRETTY, looking.LIMIT, looking.AFTER),
        answers={
            200: Answer("Those that the asker may see.", list[shapes.SessionSummary], headers=("Link",))
        },
        refusals=(errors.InvalidRequest,),
    ),
    "looking.detail": Operation(
        summary="Shows one session with its messages and its run",
        parameters=(PRETTY, looking.LIMIT, looking.BEFORE),
        answers={200: Answer("The session.", shapes.SessionDetail)},
        refusals=(*_SESSION, errors.InvalidRequest),
    ),
    "looking.snapshot": Operation(
        summary="Shows a session, and where to follow its events from",
        parameters=(PRETTY,),
        answers={200: Answer("Now.", shapes.Snapshot)},
        refusals=_SESSION,
    ),
    "batches.delete": Operation(
        summary="Deletes sessions, and stops their runs",
        body=bodies.Batch,
        parameters=(PRETTY,),
        answers={200: Answer("How many there were.", shapes.BatchDeleted)},
    ),
    "batches.export": Operation(
        summary="Shows sessions with their messages",
        body=bodies.Batch,
        parameters=(PRETTY,),
        answers={200: Answer("Those that are there.", shapes.BatchExport)},
    ),
    "sessions.fork": Operation(
        summary="Copies a session up to one of the user's messages",
        body=bodies.Fork,
        parameters=(PRETTY,),
        answers={200: Answer("The copy.", shapes.SessionDetail)},
        refusals=(errors.SessionNotFound, errors.SessionBusy),
    ),
    "sessions.delete": Operation(
        summary="Stops a session's run and deletes the session",
        unread_body=True,
        parameters=(PRETTY, sessions.DELETE_WAIT, sessions.DELETE_TIMEOUT),
        answers={
            200: Answer("It is deleted.", shapes.Message),
            202: Answer(
                "It is deleted; its run has not ended yet, and can't write any more.", shapes.Message
            ),
        },
        refusals=(errors.SessionNotFound, errors.InvalidRequest, errors.SessionBusy),
    ),
    "sessions.set_title": Operation(
        summary="Names a session",
        body=bodies.SetTitle,
        parameters=(PRETTY,),
        answers={200: Answer("The new title.", shapes.SessionTitle)},
        refusals=_SESSION,
    ),
    "looking.status": Operation(
        summary="Shows in short how a session is",
        parameters=(PRETTY,),
        answers={200: Answer("Now.", shapes.SessionStatus)},
        refusals=_SESSION,
    ),
    "sessions.set_starred": Operation(
        summary="Marks a session with a star, or not",
        body=bodies.SetStarred,
        parameters=(PRETTY,),
        answers={200: _UPDATED},
        refusals=_SESSION,
    ),
    "sessions.set_tokens": Operation(
        summary="Replaces a session's token counts",
        body=bodies.SetTokens,
        parameters=(PRETTY,),
        answers={200: _UPDATED},
        refusals=_SESSION,
    ),
    "sessions.set_permissions": Operation(
        summary="Replaces a session's permissions",
        body=bodies.SetPermissions,
        parameters=(PRETTY,),
        answers={200: _DONE},
        refusals=_SESSION,
    ),
    "sessions.set_budget": Operation(
        summary="Says what a session may cost, for operators",
        body=bodies.SetBudget,
        parameters=(PRETTY,),
        answers={200: Answer("What it may cost, and what it has cost.", shapes.SessionBudget)},
        refusals=_SESSION,
    ),
    "sessions.toggle_tools": Operation(
        summary="Switches a session's blanket approval of tools",
        unread_body=True,
        parameters=(PRETTY,),
        answers={200: _NULL},
        refusals=_SESSION,
    ),
    "sessions.toggle_thinking": Operation(
        summary="Switches the model's thinking",
        unread_body=True,
        parameters=(PRETTY,),
        answers={200: _NULL},
        refusals=_SESSION,
    ),
}

RUNS: Final[Mapping[str, Operation]] = {
    "runs.run": Operation(
        summary="Runs an agent on a session",
        body="run",
        parameters=(
            *(runs.WHEN_BUSY, runs.WAIT_TIMEOUT, runs.ON_DISCONNECT, runs.STREAM),
            *(PRETTY, IDEMPOTENCY_KEY, IF_MATCH),
        ),
        answers={
            200: Answer(
                "The run's events, to its end.",
                str,
                media=_STREAM,
                headers=("X-Run-ID", "Idempotent-Replayed"),
            ),
            202: Answer(
                "The run goes on by itself (`stream=false`), or the messages wait (`when_busy=queue`).",
                shapes.RunAnswer | shapes.Queued,
                headers=("Location", "Idempotent-Replayed"),
            ),
        },
        refusals=(
            *(errors.SessionNotFound, errors.AgentNotFound, errors.InvalidAgentConfig),
            *(errors.SessionBusy, errors.IdempotencyConflict, errors.StalePrecondition, errors.QueueFull),
            *(errors.InvalidTranscript, errors.MissingEnvironment, errors.ServerFull, errors.Draining),
            *(errors.TooManyRuns, errors.BudgetReached, errors.UnpricedModel, errors.SessionFull),
        ),
    ),
    "runs.events": Operation(
        summary="Follows a session's events, from any process",
        parameters=(SINCE, LAST_EVENT_ID),
        answers={200: Answer("What came since, then what comes.", str, media=_STREAM)},
        refusals=(*_SESSION, errors.InvalidRequest, errors.ServerFull, errors.Draining),
    ),
    "runs.resume": Operation(
        summary="Answers a question about a tool call",
        body=bodies.Resume,
        parameters=(PRETTY,),
        answers={200: _DONE},
        refusals=(
            *(errors.SessionNotFound, errors.NothingToAnswer, errors.AnsweredAlready, errors.SessionBusy),
            *(errors.AgentNotFound, errors.InvalidAgentConfig, errors.MissingEnvironment),
            *(errors.ServerFull, errors.Draining),
        ),
    ),
    "runs.elicitation": Operation(
        summary="Answers a form",
        body=bodies.Elicit,
        parameters=(PRETTY,),
        answers={200: _NULL},
        refusals=(
            *(errors.SessionNotFound, errors.NothingToAnswer, errors.AnsweredAlready, errors.SessionBusy),
            *(errors.AgentNotFound, errors.InvalidAgentConfig, errors.MissingEnvironment),
            *(errors.ServerFull, errors.Draining),
        ),
    ),
    "runs.cancel": Operation(
        summary="Stops a session's run",
        body=bodies.CancelRun,
        parameters=(PRETTY, runs.CANCEL_AT, runs.CANCEL_WAIT),
        answers={200: Answer("It has ended.", shapes.RunAnswer), 202: Answer("Not yet.", shapes.RunAnswer)},
        refusals=(errors.SessionNotFound, errors.NotRunning),
    ),
    "runs.runs": Operation(
        summary="Lists runs, newest first, at most 100",
        parameters=(PRETTY, runs.STATUS, runs.SESSION, runs.HOLDER, runs.OLDER_THAN),
        answers={200: Answer("Those that the asker may see.", list[shapes.RunInView])},
        refusals=(errors.InvalidRequest,),
    ),
    "runs.one": Operation(
        summary="Shows one run",
        parameters=(PRETTY,),
        answers={200: Answer("The run.", shapes.RunInView)},
        refusals=(errors.RunNotFound,),
    ),
    "runs.release": Operation(
        summary="Takes the session away from a stuck run",
        body=bodies.Release,
        parameters=(PRETTY,),
        answers={200: _RUN},
        refusals=(errors.RunNotFound, errors.NotRunning),
    ),
}

QUEUE: Final[Mapping[str, Operation]] = {
    "queue.steer": Operation(
        summary="Leaves a message for the run at work",
        body="messages",
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={202: _QUEUED},
        refusals=(
            *(errors.SessionNotFound, errors.NotRunning, errors.IdempotencyConflict),
            *(errors.QueueFull, errors.InvalidTranscript),
        ),
    ),
    "queue.follow_up": Operation(
        summary="Leaves a message for afterwards",
        body="messages",
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={202: _QUEUED},
        refusals=(
            *(errors.SessionNotFound, errors.IdempotencyConflict, errors.QueueFull),
            *(errors.InvalidTranscript, errors.ServerFull, errors.Draining),
        ),
    ),
    "queue.look": Operation(
        summary="Shows what waits",
        parameters=(PRETTY,),
        answers={200: Answer("The messages, in the order of their turns.", shapes.Queue)},
        refusals=_SESSION,
    ),
    "queue.edit": Operation(
        summary="Changes a message that waits",
        body="one message",
        parameters=(PRETTY,),
        answers={200: Answer("The message.", shapes.QueuedMessage)},
        refusals=(errors.SessionNotFound, errors.QueuedMessageNotFound, errors.TakenAlready),
    ),
    "queue.withdraw": Operation(
        summary="Withdraws a message that waits",
        unread_body=True,
        parameters=(PRETTY,),
        answers={200: _DONE},
        refusals=(errors.SessionNotFound, errors.QueuedMessageNotFound, errors.TakenAlready),
    ),
}

MESSAGES: Final[Mapping[str, Operation]] = {
    "messages.add": Operation(
        summary="Adds a message without a run",
        body=bodies.PutMessage,
        parameters=(PRETTY,),
        answers={201: Answer("It is in the conversation.", shapes.Added)},
        refusals=(
            *(errors.SessionNotFound, errors.SessionBusy),
            *(errors.InvalidTranscript, errors.SessionFull),
        ),
    ),
    "messages.summarize": Operation(
        summary="Puts a summary in the place of what was said, for the model",
        body=bodies.PutSummary,
        parameters=(PRETTY,),
        answers={201: Answer("The model is shown it from now on.", shapes.SummaryAdded)},
        refusals=(errors.SessionNotFound, errors.SessionBusy),
    ),
    "messages.update": Operation(
        summary="Changes the words of a message",
        body=bodies.PutMessage,
        parameters=(PRETTY,),
        answers={200: _UPDATED},
        refusals=(
            *(errors.SessionNotFound, errors.MessageNotFound),
            *(errors.SessionBusy, errors.InvalidTranscript, errors.SessionFull),
        ),
    ),
}

SERVER: Final[Mapping[str, Operation]] = {
    "health.ping": Operation(
        summary="Is the process there?",
        parameters=(PRETTY,),
        answers={200: Answer("Yes.", shapes.Status)},
        is_open=True,
        stores=False,
    ),
    "health.ready": Operation(
        summary="Does the process want work?",
        parameters=(PRETTY,),
        answers={200: Answer("Yes.", shapes.Status)},
        refusals=(errors.Draining,),
        is_open=True,
    ),
    "health.sessions_ready": Operation(
        summary="Waits until there is a session",
        parameters=(PRETTY, health.READY_TIMEOUT),
        answers={200: Answer("There is one.", shapes.Status)},
        refusals=(errors.InvalidRequest, errors.NoSessions, errors.Draining, errors.ServerFull),
    ),
    "caller.me": Operation(
        summary="Who the server takes the caller to be",
        parameters=(PRETTY,),
        answers={200: Answer("Name and role.", shapes.Caller)},
        stores=False,
    ),
    "audit.entries": Operation(
        summary="Who did what to which session, newest first",
        parameters=(PRETTY, audit.SESSION, audit.WHO, audit.ACTION, audit.AFTER, audit.BEFORE, audit.LIMIT),
        answers={200: Answer("Entries.", shapes.AuditTrail)},
        refusals=(errors.InvalidRequest,),
    ),
    "metrics.metrics": Operation(
        summary="The numbers for Prometheus",
        answers={200: Answer("In the text format.", str, media="text/plain")},
        stores=False,
    ),
    "console.page": Operation(
        summary="The console",
        answers={200: Answer("A page.", str, media="text/html"), 304: Answer("It has not changed.")},
        is_open=True,
        stores=False,
    ),
    "console.file": Operation(
        summary="A file of the console",
        answers={200: Answer("The file.", str, media="*/*"), 304: Answer("It has not changed.")},
        refusals=(errors.NotFound,),
        is_open=True,
        stores=False,
    ),
    "reference.document": Operation(
        summary="This document",
        answers={200: Answer("OpenAPI 3.1.", dict[str, Any])},
        is_open=True,
        stores=False,
    ),
    "reference.agent_schema": Operation(
        summary="The JSON Schema of agent files",
        answers={200: Answer("For editors, and for programs that write them.", dict[str, Any])},
        is_open=True,
        stores=False,
    ),
    "reference.page": Operation(
        summary="This document, to read",
        answers={200: Answer("A page.", str, media="text/html")},
        is_open=True,
        stores=False,
    ),
    "reference.script": Operation(
        summary="The script of the page",
        answers={200: Answer("A module.", str, media="text/javascript")},
        is_open=True,
        stores=False,
    ),
    "reference.style": Operation(
        summary="The style of the page",
        answers={200: Answer("A style sheet.", str, media="text/css")},
        is_open=True,
        stores=False,
    ),
}

OPERATIONS: Final[Mapping[str, Operation]] = {**SESSIONS, **RUNS, **QUEUE, **MESSAGES, **AGENTS, **SERVER}
