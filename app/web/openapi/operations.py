"""Every route by its endpoint. A test compares this table with the routes that Flask has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app import errors
from app.web import (
    audit_trail,
    health,
    imports,
    request_models,
    response_models,
    runs,
    session_views,
    sessions,
)
from app.web.openapi.operation import OperationSpec, ResponseSpec
from app.web.query_parameters import IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID, PRETTY, SINCE

_STREAM: Final = "text/event-stream"
_RUN: Final = ResponseSpec("The run as it is now.", response_models.RunAnswerJson)
_NULL: Final = ResponseSpec("It is done.", type(None))
_DONE: Final = ResponseSpec("It is done.", response_models.MessageJson)
_UPDATED: Final = ResponseSpec("It is changed.", response_models.UpdatedJson)
_QUEUED: Final = ResponseSpec("It waits.", response_models.QueuedJson)
_SESSION: Final = (errors.SessionNotFound,)

AGENTS: Final[Mapping[str, OperationSpec]] = {
    "agents.summaries": OperationSpec(
        summary="Lists the agent files that load",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("Sorted by name.", list[response_models.AgentSummaryJson])},
        stores=False,
    ),
    "agents.definition": OperationSpec(
        summary="Shows one agent file, read and normalised",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("The file.", response_models.AgentFileJson)},
        refusals=(errors.AgentNotFound,),
        stores=False,
    ),
    "agents.count_tools": OperationSpec(
        summary="Counts an agent's tools",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("How many there are.", response_models.ToolCountJson)},
        refusals=(errors.AgentNotFound, errors.InvalidAgentConfig, errors.MissingEnvironment),
    ),
}

SESSIONS: Final[Mapping[str, OperationSpec]] = {
    "sessions.create": OperationSpec(
        summary="Makes a session",
        body=request_models.CreateSession,
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={
            200: ResponseSpec(
                "The session.", response_models.CreatedSessionJson, headers=("Idempotent-Replayed",)
            )
        },
        refusals=(errors.IdempotencyConflict,),
    ),
    "sessions.import_session": OperationSpec(
        summary="Makes a session of an exported one",
        body=imports.ImportSession,
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={
            200: ResponseSpec(
                "The session.", response_models.CreatedSessionJson, headers=("Idempotent-Replayed",)
            )
        },
        refusals=(errors.IdempotencyConflict,),
    ),
    "looking.summaries": OperationSpec(
        summary="Lists sessions, newest first",
        parameters=(PRETTY, session_views.LIMIT, session_views.AFTER),
        answers={
            200: ResponseSpec(
                "Those that the asker may see.", list[response_models.SessionSummaryJson], headers=("Link",)
            )
        },
        refusals=(errors.InvalidRequest,),
    ),
    "looking.detail": OperationSpec(
        summary="Shows one session with its messages and its run",
        parameters=(PRETTY, session_views.LIMIT, session_views.BEFORE),
        answers={200: ResponseSpec("The session.", response_models.SessionDetailJson)},
        refusals=(*_SESSION, errors.InvalidRequest),
    ),
    "looking.snapshot": OperationSpec(
        summary="Shows a session, and where to follow its events from",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("Now.", response_models.SnapshotJson)},
        refusals=_SESSION,
    ),
    "batches.delete": OperationSpec(
        summary="Deletes sessions, and stops their runs",
        body=request_models.Batch,
        parameters=(PRETTY,),
        answers={200: ResponseSpec("How many there were.", response_models.BatchDeletedJson)},
    ),
    "batches.export": OperationSpec(
        summary="Shows sessions with their messages",
        body=request_models.Batch,
        parameters=(PRETTY,),
        answers={200: ResponseSpec("Those that are there.", response_models.BatchExportJson)},
    ),
    "sessions.fork": OperationSpec(
        summary="Copies a session up to one of the user's messages",
        body=request_models.Fork,
        parameters=(PRETTY,),
        answers={200: ResponseSpec("The copy.", response_models.SessionDetailJson)},
        refusals=(errors.SessionNotFound, errors.SessionBusy),
    ),
    "sessions.delete": OperationSpec(
        summary="Stops a session's run and deletes the session",
        unread_body=True,
        parameters=(PRETTY, sessions.DELETE_WAIT, sessions.DELETE_TIMEOUT),
        answers={
            200: ResponseSpec("It is deleted.", response_models.MessageJson),
            202: ResponseSpec(
                "It is deleted; its run has not ended yet, and can't write any more.",
                response_models.MessageJson,
            ),
        },
        refusals=(errors.SessionNotFound, errors.InvalidRequest, errors.SessionBusy),
    ),
    "sessions.set_title": OperationSpec(
        summary="Names a session",
        body=request_models.SetTitle,
        parameters=(PRETTY,),
        answers={200: ResponseSpec("The new title.", response_models.SessionTitleJson)},
        refusals=_SESSION,
    ),
    "looking.status": OperationSpec(
        summary="Shows in short how a session is",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("Now.", response_models.SessionStatusJson)},
        refusals=_SESSION,
    ),
    "sessions.set_starred": OperationSpec(
        summary="Marks a session with a star, or not",
        body=request_models.SetStarred,
        parameters=(PRETTY,),
        answers={200: _UPDATED},
        refusals=_SESSION,
    ),
    "sessions.set_tokens": OperationSpec(
        summary="Replaces a session's token counts",
        body=request_models.SetTokens,
        parameters=(PRETTY,),
        answers={200: _UPDATED},
        refusals=_SESSION,
    ),
    "sessions.set_permissions": OperationSpec(
        summary="Replaces a session's permissions",
        body=request_models.SetPermissions,
        parameters=(PRETTY,),
        answers={200: _DONE},
        refusals=_SESSION,
    ),
    "sessions.set_budget": OperationSpec(
        summary="Says what a session may cost, for operators",
        body=request_models.SetBudget,
        parameters=(PRETTY,),
        answers={
            200: ResponseSpec("What it may cost, and what it has cost.", response_models.SessionBudgetJson)
        },
        refusals=_SESSION,
    ),
    "sessions.toggle_tools": OperationSpec(
        summary="Switches a session's blanket approval of tools",
        unread_body=True,
        parameters=(PRETTY,),
        answers={200: _NULL},
        refusals=_SESSION,
    ),
    "sessions.toggle_thinking": OperationSpec(
        summary="Switches the model's thinking",
        unread_body=True,
        parameters=(PRETTY,),
        answers={200: _NULL},
        refusals=_SESSION,
    ),
}

RUNS: Final[Mapping[str, OperationSpec]] = {
    "runs.run": OperationSpec(
        summary="Runs an agent on a session",
        body="run",
        parameters=(
            *(runs.WHEN_BUSY, runs.WAIT_TIMEOUT, runs.ON_DISCONNECT, runs.STREAM),
            *(PRETTY, IDEMPOTENCY_KEY, IF_MATCH),
        ),
        answers={
            200: ResponseSpec(
                "The run's events, to its end.",
                str,
                media=_STREAM,
                headers=("X-Run-ID", "Idempotent-Replayed"),
            ),
            202: ResponseSpec(
                "The run goes on by itself (`stream=false`), or the messages wait (`when_busy=queue`).",
                response_models.RunAnswerJson | response_models.QueuedJson,
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
    "runs.events": OperationSpec(
        summary="Follows a session's events, from any process",
        parameters=(SINCE, LAST_EVENT_ID),
        answers={200: ResponseSpec("What came since, then what comes.", str, media=_STREAM)},
        refusals=(*_SESSION, errors.InvalidRequest, errors.ServerFull, errors.Draining),
    ),
    "runs.resume": OperationSpec(
        summary="Answers a question about a tool call",
        body=request_models.Resume,
        parameters=(PRETTY,),
        answers={200: _DONE},
        refusals=(
            *(errors.SessionNotFound, errors.NothingToAnswer, errors.AnsweredAlready, errors.SessionBusy),
            *(errors.AgentNotFound, errors.InvalidAgentConfig, errors.MissingEnvironment),
            *(errors.ServerFull, errors.Draining),
        ),
    ),
    "runs.elicitation": OperationSpec(
        summary="Answers a form",
        body=request_models.Elicit,
        parameters=(PRETTY,),
        answers={200: _NULL},
        refusals=(
            *(errors.SessionNotFound, errors.NothingToAnswer, errors.AnsweredAlready, errors.SessionBusy),
            *(errors.AgentNotFound, errors.InvalidAgentConfig, errors.MissingEnvironment),
            *(errors.ServerFull, errors.Draining),
        ),
    ),
    "runs.cancel": OperationSpec(
        summary="Stops a session's run",
        body=request_models.CancelRun,
        parameters=(PRETTY, runs.CANCEL_AT, runs.CANCEL_WAIT),
        answers={
            200: ResponseSpec("It has ended.", response_models.RunAnswerJson),
            202: ResponseSpec("Not yet.", response_models.RunAnswerJson),
        },
        refusals=(errors.SessionNotFound, errors.NotRunning),
    ),
    "runs.runs": OperationSpec(
        summary="Lists runs, newest first, at most 100",
        parameters=(PRETTY, runs.STATUS, runs.SESSION, runs.HOLDER, runs.OLDER_THAN),
        answers={200: ResponseSpec("Those that the asker may see.", list[response_models.RunInViewJson])},
        refusals=(errors.InvalidRequest,),
    ),
    "runs.one": OperationSpec(
        summary="Shows one run",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("The run.", response_models.RunInViewJson)},
        refusals=(errors.RunNotFound,),
    ),
    "runs.release": OperationSpec(
        summary="Takes the session away from a stuck run",
        body=request_models.Release,
        parameters=(PRETTY,),
        answers={200: _RUN},
        refusals=(errors.RunNotFound, errors.NotRunning),
    ),
}

QUEUE: Final[Mapping[str, OperationSpec]] = {
    "queue.steer": OperationSpec(
        summary="Leaves a message for the run at work",
        body="messages",
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={202: _QUEUED},
        refusals=(
            *(errors.SessionNotFound, errors.NotRunning, errors.IdempotencyConflict),
            *(errors.QueueFull, errors.InvalidTranscript),
        ),
    ),
    "queue.follow_up": OperationSpec(
        summary="Leaves a message for afterwards",
        body="messages",
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={202: _QUEUED},
        refusals=(
            *(errors.SessionNotFound, errors.IdempotencyConflict, errors.QueueFull),
            *(errors.InvalidTranscript, errors.ServerFull, errors.Draining),
        ),
    ),
    "queue.look": OperationSpec(
        summary="Shows what waits",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("The messages, in the order of their turns.", response_models.QueueJson)},
        refusals=_SESSION,
    ),
    "queue.edit": OperationSpec(
        summary="Changes a message that waits",
        body="one message",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("The message.", response_models.QueuedMessageJson)},
        refusals=(errors.SessionNotFound, errors.QueuedMessageNotFound, errors.TakenAlready),
    ),
    "queue.withdraw": OperationSpec(
        summary="Withdraws a message that waits",
        unread_body=True,
        parameters=(PRETTY,),
        answers={200: _DONE},
        refusals=(errors.SessionNotFound, errors.QueuedMessageNotFound, errors.TakenAlready),
    ),
}

MESSAGES: Final[Mapping[str, OperationSpec]] = {
    "messages.add": OperationSpec(
        summary="Adds a message without a run",
        body=request_models.PutMessage,
        parameters=(PRETTY,),
        answers={201: ResponseSpec("It is in the conversation.", response_models.AddedJson)},
        refusals=(
            *(errors.SessionNotFound, errors.SessionBusy),
            *(errors.InvalidTranscript, errors.SessionFull),
        ),
    ),
    "messages.summarize": OperationSpec(
        summary="Puts a summary in the place of what was said, for the model",
        body=request_models.PutSummary,
        parameters=(PRETTY,),
        answers={201: ResponseSpec("The model is shown it from now on.", response_models.SummaryAddedJson)},
        refusals=(errors.SessionNotFound, errors.SessionBusy),
    ),
    "messages.update": OperationSpec(
        summary="Changes the words of a message",
        body=request_models.PutMessage,
        parameters=(PRETTY,),
        answers={200: _UPDATED},
        refusals=(
            *(errors.SessionNotFound, errors.MessageNotFound),
            *(errors.SessionBusy, errors.InvalidTranscript, errors.SessionFull),
        ),
    ),
}

SERVER: Final[Mapping[str, OperationSpec]] = {
    "health.ping": OperationSpec(
        summary="Is the process there?",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("Yes.", response_models.StatusJson)},
        is_open=True,
        stores=False,
    ),
    "health.ready": OperationSpec(
        summary="Does the process want work?",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("Yes.", response_models.StatusJson)},
        refusals=(errors.Draining,),
        is_open=True,
    ),
    "health.sessions_ready": OperationSpec(
        summary="Waits until there is a session",
        parameters=(PRETTY, health.READY_TIMEOUT),
        answers={200: ResponseSpec("There is one.", response_models.StatusJson)},
        refusals=(errors.InvalidRequest, errors.NoSessions, errors.Draining, errors.ServerFull),
    ),
    "caller.me": OperationSpec(
        summary="Who the server takes the caller to be",
        parameters=(PRETTY,),
        answers={200: ResponseSpec("Name and role.", response_models.CallerJson)},
        stores=False,
    ),
    "audit.entries": OperationSpec(
        summary="Who did what to which session, newest first",
        parameters=(
            PRETTY,
            audit_trail.SESSION,
            audit_trail.WHO,
            audit_trail.ACTION,
            audit_trail.AFTER,
            audit_trail.BEFORE,
            audit_trail.LIMIT,
        ),
        answers={200: ResponseSpec("Entries.", response_models.AuditTrailJson)},
        refusals=(errors.InvalidRequest,),
    ),
    "metrics.metrics": OperationSpec(
        summary="The numbers for Prometheus",
        answers={200: ResponseSpec("In the text format.", str, media="text/plain")},
        stores=False,
    ),
    "console.page": OperationSpec(
        summary="The console",
        answers={
            200: ResponseSpec("A page.", str, media="text/html"),
            304: ResponseSpec("It has not changed."),
        },
        is_open=True,
        stores=False,
    ),
    "console.file": OperationSpec(
        summary="A file of the console",
        answers={200: ResponseSpec("The file.", str, media="*/*"), 304: ResponseSpec("It has not changed.")},
        refusals=(errors.NotFound,),
        is_open=True,
        stores=False,
    ),
    "reference.document": OperationSpec(
        summary="This document",
        answers={200: ResponseSpec("OpenAPI 3.1.", dict[str, Any])},
        is_open=True,
        stores=False,
    ),
    "reference.agent_schema": OperationSpec(
        summary="The JSON Schema of agent files",
        answers={200: ResponseSpec("For editors, and for programs that write them.", dict[str, Any])},
        is_open=True,
        stores=False,
    ),
    "reference.page": OperationSpec(
        summary="This document, to read",
        answers={200: ResponseSpec("A page.", str, media="text/html")},
        is_open=True,
        stores=False,
    ),
    "reference.script": OperationSpec(
        summary="The script of the page",
        answers={200: ResponseSpec("A module.", str, media="text/javascript")},
        is_open=True,
        stores=False,
    ),
    "reference.style": OperationSpec(
        summary="The style of the page",
        answers={200: ResponseSpec("A style sheet.", str, media="text/css")},
        is_open=True,
        stores=False,
    ),
}

OPERATIONS: Final[Mapping[str, OperationSpec]] = {**SESSIONS, **RUNS, **QUEUE, **MESSAGES, **AGENTS, **SERVER}
