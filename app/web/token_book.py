"""The tokens that are valid now: the tokens of the settings, and the tokens of a file that may change at any time."""

from __future__ import annotations

import hmac
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from app.access_tokens import AccessToken, digest, read_tokens_file, refuse_repeated

log = logging.getLogger(__name__)

Signature = tuple[int, int, int, int]


class TokenBook:
    """Shared by all request threads. A file that changed counts from the next request on; one that can't be read,
    or has a wrong line, changes nothing, and the log says so."""

    def __init__(self, tokens: Sequence[AccessToken] = (), file: Path | None = None) -> None:
        self._fixed = tuple(tokens)
        self._file = file
        self._known = self._fixed
        self._seen: Signature | None = None
        self._guard = threading.Lock()
        self._refresh()

    @property
    def is_open(self) -> bool:
        """Are no tokens asked for at all?"""
        return not self._fixed and self._file is None

    def find(self, token: str) -> AccessToken | None:
        """All are compared, each in constant time, so that nothing is learned from how long it takes."""
        self._refresh()
        given = digest(token)
        found = [known for known in self._known if hmac.compare_digest(known.digest, given)]
        return found[0] if found else None

    def _refresh(self) -> None:
        if self._file is None:
            return
        signature = _signature(self._file)
        if signature == self._seen:
            return
        with self._guard:
            if signature == self._seen:
                return
            self._seen = signature  # a wrong file is complained of once
            try:
                known = (*self._fixed, *read_tokens_file(self._file))
                refuse_repeated(known)
            except (OSError, ValueError) as error:
                log.error(
                    "the tokens in %s were not read, those from before still count: %s", self._file, error
                )
                return
            self._known = known
            log.info("%d tokens are valid now", len(known))


def _signature(file: Path) -> Signature | None:
    """Changes whenever the file does, its mode included; None if there is none."""
    try:
        about = os.stat(file)
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
