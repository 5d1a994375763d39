"""Encrypts the secrets of credentials and repositories, with a key that stands in no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import orjson

from app.errors import InvalidRequest

VARIABLE: Final = "BATON_VAULT_KEY"

Secrets = dict[str, str]


class SecretsUnreadable(Exception):
    """No key of this server opens them; the message says what to do."""


class SecretBox:
    """Any thread may call it. The first key seals, and each of them opens: so a key can be replaced."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet: Any = None
        if keys:
            fernet = import_module("cryptography.fernet")  # it takes a while, and few servers have a key
            self._invalid: type[Exception] = fernet.InvalidToken
            self._fernet = fernet.MultiFernet([fernet.Fernet(key) for key in keys])

    def seal(self, secrets: Mapping[str, str], field: str = "auth") -> str:
        """InvalidRequest, which names the field of the request, if this server has no key."""
        if self._fernet is None:
            raise InvalidRequest(
                f"{field}: this server keeps no secrets, since it has no key to encrypt them with; let the operator "
                f"set {VARIABLE}"
            )
        sealed: bytes = self._fernet.encrypt(orjson.dumps(dict(secrets)))
        return sealed.decode()

    def open(self, object_id: str, sealed: str) -> Secrets:
        """SecretsUnreadable, which names the object that has them."""
        self._require_key(object_id)
        try:
            opened: Secrets = orjson.loads(self._fernet.decrypt(sealed.encode()))
        except self._invalid:
            raise self._lost(object_id) from None
        return opened

    def resealed(self, object_id: str, sealed: str) -> str:
        """The same secrets under the first key. SecretsUnreadable."""
        self._require_key(object_id)
        try:
            rotated: bytes = self._fernet.rotate(sealed.encode())
        except self._invalid:
            raise self._lost(object_id) from None
        return rotated.decode()

    def _require_key(self, object_id: str) -> None:
        if self._fernet is None:
            raise SecretsUnreadable(
                f"the secrets of {object_id} can't be read: this server has no {VARIABLE}"
            )

    def _lost(self, object_id: str) -> SecretsUnreadable:
        return SecretsUnreadable(
            f"the secrets of {object_id} can't be read: no key of {VARIABLE} opens them; set the key that they "
            "were stored with as the second one, or store the secrets anew"
        )
