"""The tools that read files: text as text, pictures as pictures, anything else refused in words."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from json import dumps
from typing import Annotated, Any, Final

from app.agent.picture_admission import Unusable, admit
from app.agent.tools import image_header
from app.agent.tools.excerpt import SPARE, excerpt
from app.agent.tools.function_tool import tool
from app.agent.tools.sandbox import Content, FileRefused, Sandbox, files_of
from app.agent.tools.text_file import LONGEST_MARK, TextFile
from app.agent.toolset import CANCELLED, ToolCancelled, ToolContext, ToolFailed, ToolResult

MAX_TEXT: Final = 10_000_000
MAX_FILES: Final = 100
_SNIFFED: Final = 8_192
_ONE_BY_ONE: Final = "Read the rest with read_file, which takes offset and limit."
_NO_ROOM: Final = f"[Not read: the result is full. {_ONE_BY_ONE}]"


def is_binary(data: bytes) -> bool:
    """The usual guess: text has no NUL byte near its beginning, unless a mark says in which encoding it is."""
    return b"\0" in data[:_SNIFFED] and TextFile.of(data).encoding == "utf-8"


def decode(data: bytes) -> str:
    """As `edit_file` finds it. Bytes that are no text stay visible as U+FFFD; so do NUL bytes, which no database
    takes."""
    return TextFile.of(data).utf_8.decode("utf-8", "replace").replace("\0", "\ufffd")


def rewritten(files: Sandbox, path: str, text: str) -> TextFile:
    """The file with another text. Its encoding is as far as it is known before."""
    try:
        before = TextFile.of(files.read(path, LONGEST_MARK).data)
    except FileRefused:
        before = TextFile("")
    return before.rewritten(text)


@tool(title="Read", read_only=True, read_on="Read the rest with offset and limit.")
def read_file(
    context: ToolContext,
    path: Annotated[str, "The file to read"],
    offset: Annotated[int, "The first line to read (1)"] = 0,
    limit: Annotated[int, "How many lines to read at most (all)"] = 0,
    column: Annotated[int, "The character to begin with in the first line (1), for very long lines"] = 0,
) -> ToolResult:
    """Returns the content of a file: the whole, or as much as there is room for, with a remark on how to read on.
    Pictures (JPEG, PNG, GIF, WebP) can be seen."""
    try:
        content = files_of(context).read(path, MAX_TEXT)
        picture = image_header.recognise(content.data)
        if picture is not None:
            return picture_result(path, content, picture)
        words = excerpt(_text(content, MAX_TEXT), context.room, offset=offset, limit=limit, column=column)
    except FileRefused as refusal:
        error = _reason(refusal)
        return ToolResult.error(error, meta={**_meta("", 0), "error": error})
    return ToolResult(words, meta=_meta("", _lines(words)))


# The readers' `meta` names the files and their length; the contents are in the output only.
@tool(read_only=True, read_on=_ONE_BY_ONE)
def read_multiple_files(
    context: ToolContext,
    paths: Annotated[Sequence[str], "The files to read"],
    json: Annotated[bool, "Answer as a JSON array"] = False,
) -> ToolResult:
    """Returns the content of several text files at once. What can't be read says why."""
    if len(paths) > MAX_FILES:
        raise ToolFailed(f"at most {MAX_FILES} files can be read at once")
    files, metas, left = [], [], MAX_TEXT
    room = context.room // 2 if json else context.room  # JSON has more bytes than the text
    for path in paths:
        if context.cancellation.is_set():
            raise ToolCancelled(CANCELLED)
        try:
            words = _text(files_of(context).read(path, left), left)
            left -= len(words.encode())
            words = excerpt(words, room) if room > SPARE or not words else _NO_ROOM
            room -= len(words.encode()) + len(path.encode()) + len("===  ===\n\n\n")
            metas.append(_meta(path, _lines(words)))
        except FileRefused as refusal:
            words = _reason(refusal)
            metas.append({**_meta(path, 0), "error": words})
        files.append({"path": path, "content": words})
    meta = {"files": metas or None}
    if json:
        return ToolResult(dumps(files or None, ensure_ascii=False, separators=(",", ":")), meta=meta)
    return ToolResult("".join(f"=== {file['path']} ===\n{file['content']}\n\n" for file in files), meta=meta)


def _text(content: Content, limit: int) -> str:
    if content.size > limit:
        raise FileRefused(f"Error: File too large ({content.size} bytes, max {limit} bytes)")
    if is_binary(content.data):
        raise FileRefused(f"Error: Binary file ({content.size} bytes), not shown as text")
    return decode(content.data)


def picture_result(path: str, content: Content, picture: image_header.Picture) -> ToolResult:
    try:
        if problem := image_header.unfit(picture, content.size):
            raise Unusable(problem)
        admitted = admit(content.data)
    except Unusable as unusable:
        problem = str(unusable)
        words = f"Error: Image file {'is ' if problem.startswith('damaged') else ''}{problem}"
        return ToolResult.error(words, meta={**_meta(path, 0), "error": words})
    shown = f"Read image file {path} [{picture.media_type}] ({content.size} bytes)"
    return ToolResult(shown, meta=_meta(path, 0), images=[admitted])


def _reason(refusal: FileRefused) -> str:
    return "not found" if refusal.number == errno.ENOENT else str(refusal)


def _lines(words: str) -> int:
    return words.count("\n") + 1


def _meta(path: str, lines: int) -> dict[str, Any]:
    return {"path": path, "content": "", "lineCount": lines}
