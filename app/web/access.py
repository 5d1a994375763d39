"""Access to the server: bearer tokens with roles, and the Host and Origin a browser sends."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Final

from flask import Flask, Response, g, request

from app.access_tokens import AccessToken, Role
from app.conversation.audit_entry import Requester
from app.errors import AppError, Forbidden, NotFound, Unauthorized
from app.managed_ids import number_in
from app.runtime.streams.stream_slots import Slots
from app.store.audit_notes import enter_request, leave_request
from app.store.store import Store
from app.web.door import door
from app.web.error_prefix import error_prefix
from app.web.item_tokens import admit_worker, item_token, shown_item
from app.web.rate_limit import RateLimit
from app.web.resource import route_of
from app.web.same_origin import host_name, is_same_origin
from app.web.token_book import TokenBook

log = logging.getLogger(__name__)

_OVERSIGHT: Final = frozenset({"/metrics", "/api/audit"})
"""Routes that tell of everybody: not for tokens that see only what is their own."""

_ONLY_LOOKS: Final = frozenset({"/api/sessions/batch/export"})
"""Routes that take a body, and change nothing."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", ""})
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Access:
    """Shared by all request threads. A book without tokens means that everybody who can connect may do everything.

    `port` is what this process listens on, None for a Unix socket; `audited` says whether there is a trail.
    """

    def __init__(
        self,
        book: TokenBook,
        store: Store,
        *,
        hosts: frozenset[str],
        port: int | None,
        rate: RateLimit,
        requests: Slots,
        audited: bool,
    ) -> None:
        """`requests` are the threads that serve requests; each is held until the response has been sent."""
        self._requests = requests
        self._book = book
        self._store = store
        self._hosts = _LOOPBACK | hosts
        self._port = port
        self._rate = rate
        self._audited = audited

    def register(self, app: Flask) -> None:
        """Its routes may be added later, before the first request."""
        self._app = app
        app.before_request(self.check)
        app.after_request(self.note_refusal)
        app.after_request(_keep_place)
        app.teardown_request(_give_place_back)
        app.teardown_request(_leave_request)

    def check(self) -> None:
        """Raises Forbidden, Unauthorized, ShareTaken, RateLimited; else notes the caller, for this request."""
        g.token = None
        self._check_browser()
        if request.path in self._open or request.path.startswith(self._open_below):
            return
        worker = item_token(self._store.work, door().shown_token())
        if self._book.is_open and worker is None:
            self._enter_request("")
            door().enter()
            return
        g.token = token = worker or self._token_of(door().shown_token())
        self._enter_request(token.role)
        g.place = self._requests.take(token.name)
        self._rate.take(token.name)
        only_looks = request.method in _READS or request.path in _ONLY_LOOKS
        if token.role == "readonly" and not only_looks:
            raise Forbidden("This token may look, but change nothing.")
        if token.role == "user" and request.path in _OVERSIGHT:
            raise Forbidden("This is for operators.")
        if token.role == "worker":
            session = number_in("sesn", str((request.view_args or {}).get("session_id", "")))
            view = self._app.view_functions.get(request.endpoint or "")
            admit_worker(token, view, None if session is None else str(session))
        door().enter()

    @cached_property
    def _open(self) -> frozenset[str]:
        """The paths that need no token, whatever the method; one with a variable stops before it."""
        rules = self._app.url_map.iter_rules()
        routes = {rule.rule: route_of(self._app.view_functions[rule.endpoint]) for rule in rules}
        return frozenset(path.partition("<")[0] for path, route in routes.items() if route and route.is_open)

    @cached_property
    def _open_below(self) -> tuple[str, ...]:
        return tuple(path for path in self._open if path.endswith("/") and path != "/")

    def _enter_request(self, role: str) -> None:
        """The store writes down what this request changes, if there is a trail."""
        if self._audited:
            g.audit_token = enter_request(Requester(requester(), role, g.request_id))

    def note_refusal(self, response: Response) -> Response:
        """Writes down what a caller tried without the right to it: also a session that looked to him as if it were
        not there. It must not make his answer another one."""
        if g.get("token") is None or not self._audited or response.status_code not in (403, 404):
            return response
        try:
            session_id = self._session_asked_for()
            if response.status_code == 403 or self._is_somebody_elses(session_id):
                detail = f"{request.method} {request.path[:500]}: {response.status_code}"
                self._store.audit.note("refused", session_id, detail=detail)
        except AppError:
            log.warning("a refusal could not be written down", exc_info=True)
        return response

    def _session_asked_for(self) -> str:
        ids = request.view_args or {}
        if "session_id" in ids or "run_id" not in ids:
            return str(ids.get("session_id", ""))
        try:
            return self._store.runs.get(ids["run_id"]).session_id
        except NotFound:
            return ""

    def _is_somebody_elses(self, session_id: str) -> bool:
        if not session_id or owner() is None:
            return False
        return not self._store.sessions.missing([session_id]) and not self._sees(session_id)

    def _sees(self, session_id: str) -> bool:
        try:
            self._store.sessions.get(session_id, owner=owner())
        except NotFound:
            return False
        return True

    def _check_browser(self) -> None:
        """A page of some other site must not drive an agent on this machine, not even by renaming itself to this
        machine's address: therefore the name that was asked for counts, and the page's origin."""
        if "*" in self._hosts:
            return
        host = request.headers.get("Host", "")
        if (name := host_name(host)) not in self._hosts:
            raise Forbidden(f"This server does not answer to the host name {name[:100]!r}.")
        origin = request.headers.get("Origin")
        if origin is not None and not is_same_origin(
            origin,
            host=host,
            scheme=request.environ.get("wsgi.url_scheme", ""),
            listens_on=self._port,
            fetch_site=request.headers.get("Sec-Fetch-Site", ""),
        ):
            raise Forbidden("Requests from pages of other origins are not answered.")

    def _token_of(self, shown: str) -> AccessToken:
        token = self._book.find(shown) if shown else None
        if token is None:
            raise Unauthorized()
        return token


def _keep_place(response: Response) -> Response:
    """Until the response is sent, which a stream's is for a long time."""
    if (place := g.get("place")) is not None:
        response.call_on_close(place.give_back)
    return response


def _give_place_back(error: BaseException | None) -> None:
    """Frees the place of a request whose response is not sent."""
    if error is not None and (place := g.get("place")) is not None:
        place.give_back()


def _leave_request(error: BaseException | None) -> None:  # noqa: ARG001 - Flask's signature
    if (token := g.pop("audit_token", None)) is not None:
        leave_request(token)


def owner() -> str | None:
    """Whose sessions this request may see; None for everybody's."""
    token: AccessToken | None = g.token
    owns = token is not None and (token.role == "user" or shown_item() is not None)
    return token.name if token is not None and owns else None


def own_name() -> str:
    """Whose the sessions are that this request makes; empty where no tokens are asked for."""
    token: AccessToken | None = g.token
    return "" if token is None else token.name


def role() -> Role:
    """The role of this request's caller; where no tokens are asked for, an operator."""
    token: AccessToken | None = g.token
    return "operator" if token is None else token.role


def requester() -> str:
    """The name to be written down for what this request does."""
    return own_name() or f"{request.remote_addr or 'local'}"


def require_operator() -> None:
    """Forbidden for all others; where no tokens are asked for, everybody is one."""
    if role() != "operator":
        raise Forbidden("This is for operators.")


def require_visible(store: Store, session_id: str, what: str) -> None:
    """SessionNotFound, in the contract's words, for a session that is not there or that is somebody else's. Views ask
    before the session can be found busy: a stranger is not told with what."""
    with error_prefix(what):
        store.sessions.get(session_id, owner=owner())
