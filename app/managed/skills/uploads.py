"""Reads an uploaded skill from the request: its files, and what its SKILL.md says of it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import IO, Any, Final

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from app.agent.tools.skill_head import MAIN, MAX_FILE, front_matter
from app.errors import InvalidRequest, RequestTooLarge
from app.managed.skills.archives import (
    MAX_BYTES,
    MAX_FILES,
    Files,
    SkillFile,
    below_top,
    is_zip,
    unzipped,
    zipped,
)
from app.store.skill_store import SkillUpload

MAX_NAME: Final = 64
MAX_DESCRIPTION: Final = 1024
MAX_DISPLAY_NAME: Final = 255

_FILES: Final = ("files[]", "files")
_FIELDS: Final = 10  # beside the files
_FIELD_BYTES: Final = 500_000  # of all fields together; the parser needs some of it for itself
_SHEBANG: Final = b"#!"


def _in_memory(
    total_content_length: int | None,  # noqa: ARG001 - werkzeug's signature
    content_type: str | None,  # noqa: ARG001
    filename: str | None,  # noqa: ARG001
    content_length: int | None = None,  # noqa: ARG001
) -> IO[bytes]:
    return io.BytesIO()


class UploadForm:
    """The form that a request carries, with an uploaded skill in it."""

    def __init__(self, *fields: str) -> None:
        """`fields` are those that it may have beside its files. InvalidRequest, RequestTooLarge."""
        most = request.max_content_length
        if most is not None and (request.content_length or 0) > most:
            raise RequestTooLarge(f"The body is larger than {most} bytes.")
        parser = FormDataParser(
            stream_factory=_in_memory,
            max_form_memory_size=_FIELD_BYTES,
            max_content_length=most,
            max_form_parts=MAX_FILES + _FIELDS,
        )
        try:
            _, self._fields, files = parser.parse_from_environ(request.environ)
        except RequestEntityTooLarge:
            raise InvalidRequest(
                f"files: a skill has at most {MAX_FILES} files, and its fields are short"
            ) from None
        for given, known, kind in ((self._fields, fields, "text"), (files, _FILES, "file")):
            for name in given:  # None, if a part has no name
                if name not in known:
                    raise InvalidRequest(f"{str(name)[:100]!a}: unknown field, or not a {kind}")
        self._parts = [part for values in files.listvalues() for part in values]
        if not self._parts:
            raise InvalidRequest(
                "files: field is required; send multipart/form-data with a part files[] for each file"
            )

    def display_name(self, *, default: str) -> str:
        """The label that the request gives the skill; older clients call it a title. InvalidRequest."""
        given = self._fields.get("display_name") or self._fields.get("display_title") or default
        if len(given) > MAX_DISPLAY_NAME or not given.isprintable():
            raise InvalidRequest(f"display_name: must be one line of at most {MAX_DISPLAY_NAME} characters")
        return given

    def skill(self) -> SkillUpload:
        """InvalidRequest, in words that name what is wrong; RequestTooLarge."""
        sent = [(part.filename or "", part.read()) for part in self._parts]
        if sum(len(data) for _, data in sent) > MAX_BYTES:
            raise RequestTooLarge(f"A skill has at most {MAX_BYTES >> 20} MB.")
        if len(sent) == 1 and is_zip(sent[0][1]):
            given = unzipped(sent[0][1])
        else:
            given = [(path, SkillFile(data, data.startswith(_SHEBANG))) for path, data in sent]
        folder, paths = below_top([path for path, _ in given])
        files = {path: file for path, (_, file) in zip(paths, given, strict=True)}
        name, description = _said(files, folder)
        return SkillUpload(name, description, zipped(name, files))


def _said(files: Files, folder: str) -> tuple[str, str]:
    """The name and the description in SKILL.md."""
    if MAIN not in files:
        raise InvalidRequest(f"files: there is no {folder}/{MAIN}: it must lie in the top folder itself")
    data = files[MAIN].data
    if len(data) > MAX_FILE:
        raise InvalidRequest(f"{MAIN}: it is larger than {MAX_FILE} bytes")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{MAIN}: it is not UTF-8") from None
    head = front_matter(text)
    if not head:
        raise InvalidRequest(
            f"{MAIN}: it must begin with YAML between two lines of ---, with name and description"
        )
    name = _field(head, "name", MAX_NAME, default=folder)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise InvalidRequest(
            f"{MAIN}: name: only lower-case letters, digits, and hyphens between them are allowed"
        )
    if name != folder:
        raise InvalidRequest(
            f"files: the folder {folder!a} must have the name of the skill in {MAIN}, {name}"
        )
    return name, _field(head, "description", MAX_DESCRIPTION)


def _field(head: Mapping[str, Any], key: str, most: int, *, default: str | None = None) -> str:
    value = head.get(key, default)
    if value is None:
        raise InvalidRequest(f"{MAIN}: {key}: field is required")
    if not isinstance(value, str) or not value.strip() or len(value.strip()) > most:
        raise InvalidRequest(f"{MAIN}: {key}: must be a text of 1 to {most} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{MAIN}: {key}: it is no valid Unicode") from None
    return value.strip()
