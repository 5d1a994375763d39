"""Reads an uploaded skill from the request: its files, and what its SKILL.md says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from app.agent.tools.skill_files import MAIN, MAX_FILE, front_matter
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
_SHEBANG: Final = b"#!"


def read_upload() -> SkillUpload:
    """InvalidRequest, in words that name what is wrong; RequestTooLarge."""
    sent = _sent_files()
    if len(sent) == 1 and is_zip(sent[0][1].data):
        sent = unzipped(sent[0][1].data)
    folder, paths = below_top([path for path, _ in sent])
    files = {path: file for path, (_, file) in zip(paths, sent, strict=True)}
    name, description = _said(files, folder)
    return SkillUpload(name, description, zipped(name, files))


def read_display_name(*, default: str) -> str:
    """The label that the request gives the skill; older clients call it a title."""
    given = request.form.get("display_name") or request.form.get("display_title") or default
    if len(given) > MAX_DISPLAY_NAME or not given.isprintable():
        raise InvalidRequest(f"display_name: must be one line of at most {MAX_DISPLAY_NAME} characters")
    return given


def refuse_fields(*known: str) -> None:
    """InvalidRequest for a form's field that is none of these."""
    for name in request.form:
        if name in _FILES:
            raise InvalidRequest(f"{name}: send files, each with its path as the filename")
        if name not in known:
            raise InvalidRequest(f"{name[:100]!a}: unknown field")


def _sent_files() -> list[tuple[str, SkillFile]]:
    if (request.content_length or 0) > (request.max_content_length or 0) > 0:
        raise RequestTooLarge(f"The body is larger than {request.max_content_length} bytes.")
    request.max_form_parts = MAX_FILES + _FIELDS
    try:
        parts = [(name, part) for name, values in request.files.lists() for part in values]
    except RequestEntityTooLarge:
        raise InvalidRequest(
            f"files: a skill has at most {MAX_FILES} files, and its fields are short"
        ) from None
    sent, total = [], 0
    for field, part in parts:
        if field not in _FILES:
            raise InvalidRequest(f"{field[:100]!a}: unknown field")
        data = part.read()
        total += len(data)
        if total > MAX_BYTES:
            raise RequestTooLarge(f"A skill has at most {MAX_BYTES >> 20} MB.")
        sent.append((part.filename or "", SkillFile(data, data.startswith(_SHEBANG))))
    if not sent:
        raise InvalidRequest(
            "files: field is required; send multipart/form-data with a files[] part for each file"
        )
    return sent


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
