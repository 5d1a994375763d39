"""The server's refusals at a shell: one line each, and an exit code."""

from __future__ import annotations

import json

import click

from app.commands import exits
from baton_client import (
    BatonError,
    BudgetReachedError,
    NotAllowedError,
    NotFoundError,
    SessionBusyError,
    TooManyError,
    UnavailableError,
)


def exit_code(error: BatonError) -> int:
    match error:
        case SessionBusyError():
            return exits.BUSY
        case NotFoundError():
            return exits.NOT_FOUND
        case NotAllowedError():
            return exits.NOT_ALLOWED
        case UnavailableError():
            return exits.UNAVAILABLE
        case BudgetReachedError() | TooManyError():
            return exits.LIMITED
    return exits.FAILED


def report(error: BatonError, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"message": str(error), **error.body}, ensure_ascii=False), err=True)
        return
    code = f" ({error.code})" if error.code else ""
    click.echo(f"baton: {error}{code}", err=True)
    if isinstance(error, SessionBusyError) and error.holder:
        holder = error.holder
        click.echo(
            f"baton: run {holder.get('id')} of {holder.get('agent')} has the session; it is "
            f"{holder.get('status')} since {holder.get('started_at')}",
            err=True,
        )
