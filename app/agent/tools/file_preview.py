"""What a call would do to a file, for the person who is asked whether it may: a unified diff against the file as it is.

Nothing here changes a file, and nothing is read that the tool itself could not read."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from app.agent.preview import FileChange, Preview
from app.agent.tools.file_reading import is_binary
from app.agent.tools.sandbox import Content, FileRefused, files_of
from app.agent.tools.text_file import EditFailed, TextFile
from app.agent.toolset import ToolContext
from app.conversation.json_text import whole

MAX_COMPARED: Final = 1_000_000
"""Bytes of a file, or of a new content, that are compared."""
MAX_MATCHED: Final = 1_000
"""Lines between the first that differs and the last: comparing more of them may take seconds. Beyond that all of the
old ones are shown as removed and all of the new ones as added."""
MAX_LINES: Final = 500
MAX_LINE: Final = 1_000  # characters
MAX_BYTES: Final = 48_000
CONTEXT: Final = 3  # lines around a change

Opcode = tuple[str, int, int, int, int]


def preview_write(arguments: Mapping[str, Any], context: ToolContext) -> Preview:
    """Of `write_file`. It has a digest of the file as it is, so that a change meanwhile is seen."""
    path, text = str(arguments["path"]), whole(str(arguments["content"]))
    try:
        content = _read(path, context)
    except FileRefused as refusal:
        return _unseen(path, str(refusal))
    digest = "" if content is None else hashlib.sha256(content.data).hexdigest() + f"-{content.size}"
    return _compared(path, content, lambda file: file.rewritten(text), digest)


def preview_edit(arguments: Mapping[str, Any], context: ToolContext) -> Preview:
    """Of `edit_file`, whose edits must fit the file at the moment when it runs; so there is no digest."""
    path = str(arguments["path"])
    edits = [(whole(edit["oldText"]), whole(edit["newText"])) for edit in arguments["edits"] or ()]

    def edited(file: TextFile) -> TextFile:
        for number, (old, new) in enumerate(edits, 1):
            try:
                file = file.edited(old, new)
            except EditFailed as failure:
                raise FileRefused(f"edit {number} would fail: {failure}") from failure
        return file

    return preview_change(path, edited, context)


def preview_change(path: str, edited: Callable[[TextFile], TextFile], context: ToolContext) -> Preview:
    """Of a file that is there. `edited` raises FileRefused if the call would fail."""
    try:
        content = _read(path, context)
        if content is None:
            return _unseen(path, "there is no such file")
        return _compared(path, content, edited, None)
    except FileRefused as refusal:
        return _unseen(path, str(refusal))


def _read(path: str, context: ToolContext) -> Content | None:
    """As much of the file as is compared; None if there is none. FileRefused."""
    try:
        return files_of(context).read(path, MAX_COMPARED)
    except FileRefused as refusal:
        if refusal.number == errno.ENOENT:
            return None
        raise


def _unseen(path: str, problem: str) -> Preview:
    return Preview(path, "unknown", problem=problem)


def _compared(
    path: str,
    content: Content | None,
    change: Callable[[TextFile], TextFile],
    digest: str | None,
) -> Preview:
    change_kind: FileChange = "create" if content is None else "change"
    problem = ""
    if content is not None and is_binary(content.data):
        problem = f"the file is binary ({content.size:,} bytes), so its content is not shown"
    elif content is not None and content.size > MAX_COMPARED:
        problem = f"the file has {content.size:,} bytes, which are too many to compare"
    if problem:
        return Preview(path, change_kind, problem=problem, digest=digest)
    before = TextFile.of(content.data if content is not None else b"")
    after = change(before)
    if len(after.text) > MAX_COMPARED:
        problem = f"the new content has {len(after.text):,} characters, which are too many to compare"
        return Preview(path, change_kind, problem=problem, digest=digest)
    if content is not None and before.data == after.data:
        return Preview(path, "none", digest=digest)
    diff, left_out = unified(_shown(before), _shown(after))
    problem = "" if diff else "only its encoding changes"
    return Preview(path, change_kind, diff=diff, left_out=left_out, problem=problem, digest=digest)


def _shown(file: TextFile) -> str:
    """Bytes that are no text, and NUL, stay visible as U+FFFD."""
    return file.utf_8.decode("utf-8", "replace").replace("\0", "\ufffd")


def unified(old: str, new: str) -> tuple[str, int]:
    """The hunks of a unified diff, without the names of files, and how many lines of it were left out."""
    before, after = _lines(old), _lines(new)
    kept: list[str] = []
    size = left_out = 0
    for line in _hunks(before, after):
        size += len(line.encode()) + 1
        if len(kept) < MAX_LINES and size <= MAX_BYTES:
            kept.append(line)
        else:
            left_out += 1
    return "\n".join(kept), left_out


def _lines(text: str) -> list[str]:
    """Each with its end, if it has one."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _hunks(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    for group in _groups(before, after):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = group[0], group[-1]
        yield f"@@ -{_range(i1, i2)} +{_range(j1, j2)} @@"
        for kind, a1, a2, b1, b2 in group:
            if kind == "equal":
                yield from _signed(" ", before[a1:a2])
                continue
            yield from _signed("-", before[a1:a2])
            yield from _signed("+", after[b1:b2])


def _groups(before: Sequence[str], after: Sequence[str]) -> Iterator[Sequence[Opcode]]:
    """The changes with the lines around them. Only what lies between the first difference and the last is compared."""
    shorter = min(len(before), len(after))
    head = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    tail = next((at for at in range(shorter - head) if before[-1 - at] != after[-1 - at]), shorter - head)
    start, end = max(head - CONTEXT, 0), max(tail - CONTEXT, 0)
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if max(len(old), len(new)) <= MAX_MATCHED:
        for group in SequenceMatcher(None, old, new).get_grouped_opcodes(CONTEXT):
            yield [(kind, a + start, b + start, c + start, d + start) for kind, a, b, c, d in group]
        return
    stop_old, stop_new = len(before) - tail, len(after) - tail
    yield [
        ("equal", start, head, start, head),
        ("replace", head, stop_old, head, stop_new),
        ("equal", stop_old, len(before) - end, stop_new, len(after) - end),
    ]


def _range(start: int, stop: int) -> str:
    """As `diff -u` writes it: a range of no lines is named by the line before it."""
    length = stop - start
    return f"{start + 1 if length else start},{length}"


def _signed(sign: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        text = line.removesuffix("\n")
        cut = f"{text[:MAX_LINE]}… ({len(text):,} characters)" if len(text) > MAX_LINE else text
        yield f"{sign}{cut}"
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"
