"""The tools `read`, `write` and `edit`, in the words of Anthropic's own worker."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from app.agent.preview import Preview
from app.agent.tools import image_header
from app.agent.tools.agent_words import refusal_words
from app.agent.tools.file_preview import preview_change, preview_write
from app.agent.tools.file_reading import MAX_TEXT, decode, is_binary, picture_result, rewritten
from app.agent.tools.function_tool import tool
from app.agent.tools.sandbox import Content, FileRefused, files_of
from app.agent.tools.session_places import found_in
from app.agent.tools.text_file import EditFailed, TextFile
from app.agent.toolset import ToolContext, ToolResult
from app.conversation.json_text import whole

MOST_BYTES: Final = 256 * 1024
"""Of text that is read at once, and of a file that is edited."""

MOST_BYTES_OF_DOCUMENT: Final = 16 << 20
"""As base64 it has room in a request, which has at most 32 MB."""

_PDF: Final = b"%PDF-"
_END: Final = b"%%EOF"
_ENCRYPTED: Final = b"/Encrypt"
_NO_TEXT: Final = "not valid UTF-8 text"

FilePath = Annotated[str, "The file, below the working directory"]


@tool(title="Read", read_only=True, read_on="Read the rest with view_range.")
def read(
    context: ToolContext,
    file_path: FilePath,
    view_range: Annotated[
        Sequence[int], "First and last line, counted from 1; a last line of 0 is the end"
    ] = (),
) -> ToolResult:
    """Reads a file: text, a picture (PNG, JPEG, GIF, WebP), a PDF or a notebook."""
    if view_range and len(view_range) != 2:
        return ToolResult.error("read: view_range must be [start_line, end_line]")
    try:
        content = files_of(context).read(found_in(context.working_dir, file_path), MOST_BYTES_OF_DOCUMENT)
    except FileRefused as refusal:
        return _refused("read", file_path, refusal)
    picture = image_header.recognise(content.data)
    if picture is not None or content.data.startswith(_PDF):
        if view_range:
            return ToolResult.error("read: view_range is not supported for image/PDF files")
        return picture_result(file_path, content, picture) if picture else _document(file_path, content)
    most = MAX_TEXT if view_range else MOST_BYTES
    if content.size > most:
        return ToolResult.error(
            f"read: {file_path} is {content.size} bytes, exceeds {most}-byte limit. Use the view_range "
            "parameter to read specific line ranges, e.g. view_range: [1, 500]."
        )
    if is_binary(content.data):
        return ToolResult.error(
            f"read: {file_path}: {_NO_TEXT} (binary files are only supported for image/PDF extensions)"
        )
    text = decode(content.data)
    return _lines(file_path, text, *view_range) if view_range else ToolResult(text)


def _preview_write(arguments: Mapping[str, Any], context: ToolContext) -> Preview:
    path = found_in(context.working_dir, str(arguments["file_path"]))
    return preview_write({**arguments, "path": path}, context)


def _preview_edit(arguments: Mapping[str, Any], context: ToolContext) -> Preview:
    def edited(file: TextFile) -> TextFile:
        try:
            old, new = whole(str(arguments["old_string"])), whole(str(arguments["new_string"]))
            return _edited(file, old, new, everywhere=bool(arguments.get("replace_all")))
        except EditFailed as failure:
            raise FileRefused(f"it would fail: {failure}") from failure

    return preview_change(found_in(context.working_dir, str(arguments["file_path"])), edited, context)


@tool(title="Write", preview=_preview_write)
def write(
    context: ToolContext, file_path: FilePath, content: Annotated[str, "All that the file shall hold"]
) -> ToolResult:
    """Writes a file, with the directories that lead to it. What it held before is lost."""
    files, path = files_of(context), found_in(context.working_dir, file_path)
    try:
        files.make_directories(os.path.dirname(path))
        data = rewritten(files, path, whole(content)).data
        files.write(path, data)
    except FileRefused as refusal:
        return _refused("write", file_path, refusal)
    return ToolResult(f"wrote {len(data)} bytes to {file_path}")


@tool(title="Edit", preview=_preview_edit)
def edit(
    context: ToolContext,
    file_path: FilePath,
    old_string: Annotated[str, "The exact text to replace, which must stand in the file once"],
    new_string: Annotated[str, "The text to put in its place"],
    replace_all: Annotated[bool, "Replace it wherever it stands"] = False,
) -> ToolResult:
    """Replaces a text in a file. The file keeps its encoding and its line ends."""
    files, path = files_of(context), found_in(context.working_dir, file_path)
    try:
        content = files.read(path, MOST_BYTES)
    except FileRefused as refusal:
        return _refused("edit", file_path, refusal)
    if content.size > MOST_BYTES:
        return ToolResult.error(
            f"edit: {file_path} is {content.size} bytes, exceeds {MOST_BYTES}-byte limit. The edit tool "
            "loads the whole file and cannot modify a file this large."
        )
    if is_binary(content.data):
        return ToolResult.error(f"edit: {file_path}: {_NO_TEXT} (cannot edit binary files)")
    before, old = TextFile.of(content.data), whole(old_string)
    count = before.text.count(old) if old else 0
    if count > 1 and not replace_all:
        return ToolResult.error(f"edit: old_string appears {count} times in {file_path} (must be unique)")
    try:
        after = _edited(before, old, whole(new_string), everywhere=replace_all)
        files.write(path, after.data)
    except EditFailed as failure:
        if count == 0 and old and "not found" in str(failure):
            return ToolResult.error(f"edit: old_string not found in {file_path}")
        return ToolResult.error(f"edit: {file_path}: {failure}")
    except FileRefused as refusal:
        return _refused("edit", file_path, refusal)
    return ToolResult(f"edited {file_path} ({max(count, 1)} replacement(s))")


def _edited(file: TextFile, old: str, new: str, *, everywhere: bool) -> TextFile:
    """EditFailed."""
    if everywhere and old and old in file.text:
        return file.edited_everywhere(old, new)
    return file.edited(old, new)


def _document(path: str, content: Content) -> ToolResult:
    if content.size > MOST_BYTES_OF_DOCUMENT:
        return ToolResult.error(
            f"read: {path} is {content.size} bytes, exceeds {MOST_BYTES_OF_DOCUMENT}-byte limit for image/PDF files."
        )
    if _END not in content.data or _ENCRYPTED in content.data:
        return ToolResult.error(f"read: {path}: not a whole PDF without a password")
    words = f"Read PDF file {path} ({content.size} bytes)"
    return ToolResult(words, documents=[("application/pdf", base64.b64encode(content.data).decode())])


def _refused(name: str, path: str, refusal: FileRefused) -> ToolResult:
    return ToolResult.error(refusal_words(name, path, refusal))


def _lines(path: str, text: str, first: int, last: int) -> ToolResult:
    lines = text.split("\n")
    shown = "\n".join(lines[max(0, first - 1) : last if last > 0 else len(lines)])
    if len(shown.encode("utf-8", "replace")) > MOST_BYTES:
        return ToolResult.error(
            f"read: view_range [{first}, {last}] of {path} exceeds {MOST_BYTES}-byte limit. "
            "Narrow the view_range to read a smaller portion."
        )
    return ToolResult(shown)
