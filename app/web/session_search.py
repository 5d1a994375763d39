"""The route that finds what was said, in whatever session."""

from __future__ import annotations

from typing import Final, NotRequired

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.conversation.search_words import SearchQuery, excerpt
from app.store.search_store import Hit
from app.store.store import Store
from app.threads import Services
from app.web.access import owner
from app.web.query_parameters import PRETTY, Matching
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import Time, json_response, time_text, without_empty

WORDS: Final = Matching(
    "q",
    'Words and "phrases", which all have to be in a message or a title; the last may be the beginning of a word.',
    r"[^\x00]{0,500}",
    "q, what is looked for, has at most 500 characters",
)
LIMIT: Final = Matching(
    "limit",
    "How many at most; 20 unless it is said, and never more than 100.",
    "[0-9]{0,9}",
    "limit is a number",
)
AFTER: Final = Matching(
    "after",
    "Where the page begins, as the `Link` of the one before says.",
    "-?[0-9]{1,18}",
    "after is what the Link of the page before says",
)
USUAL: Final = 20
MOST: Final = 100
BITES: Final = 10
"""Bites of what was written last that a search may index first, so that it is found at once unless much is written."""


class HitJson(TypedDict):
    """A message or, without a `position`, a session's title. `marks`: where in the `excerpt` the words are, from
    character to character."""

    session_id: str
    title: str
    owner: NotRequired[str]
    position: NotRequired[int]
    role: NotRequired[str]
    agent: NotRequired[str]
    created_at: Time
    excerpt: str
    marks: list[list[int]]


class SessionSearchResource(Resource):
    """Finds messages and titles in the sessions that the caller may see."""

    name = "looking"
    prefix = "/api/sessions"

    def __init__(self, store: Store, services: Services) -> None:
        """`services` follow what is written, once they run."""
        self._store = store
        self._services = services

    @get(
        "/search",
        "Finds messages and titles by their words, the newest first",
        parameters=(PRETTY, WORDS, LIMIT, AFTER),
        answers={200: ResponseSpec("Those that the asker may see.", list[HitJson], headers=("Link",))},
        refusals=(errors.InvalidRequest,),
    )
    def search(self) -> Response:
        """What was deleted, taken back or changed is not found any more; what was written in the last second may not be
        found yet."""
        words, limit, after = WORDS.read() or "", LIMIT.read(), AFTER.read()
        if not self._store.search_index.enabled:
            raise errors.InvalidRequest("search is switched off on this server: BATON_SEARCH", status=422)
        self._services.ensure_running()
        self._catch_up()
        size = min(int(limit or USUAL), MOST) or USUAL
        found = self._store.search.find(
            SearchQuery.parse(words), owner=owner(), limit=size + 1, after=int(after) if after else None
        )
        response = json_response([_shown(hit) for hit in found[:size]])
        if len(found) > size:
            more = f"limit={size}&after={found[size - 1].place}"
            response.headers["Link"] = f'<search?{more}>; rel="next"'
        return response

    def _catch_up(self) -> None:
        for _ in range(BITES):
            if not self._store.search_index.step_new():
                return


def _shown(hit: Hit) -> HitJson:
    found = excerpt(hit.text, hit.spans)
    body: HitJson = {
        "session_id": hit.session_id,
        "title": hit.title,
        "owner": hit.owner,
        "role": hit.role,
        "agent": hit.agent,
        "created_at": time_text(hit.created_at),
        "excerpt": found["excerpt"],
        "marks": found["marks"],
    }
    shown = without_empty(HitJson, body)
    if hit.position is not None:
        shown["position"] = hit.position
    return shown
