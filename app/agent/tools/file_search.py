"""The tool that searches the content of files."""

from __future__ import annotations

import codecs
import errno
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Final

from app.agent.model_client import Cancellation
from app.agent.tools.file_listing import Hides, below, hiding
from app.agent.tools.file_reading import is_binary
from app.agent.tools.function_tool import tool
from app.agent.tools.regex_search import BadPattern, RegexSearch, Span, TooSlow
from app.agent.tools.sandbox import Entry, FileRefused, Sandbox, files_of
from app.agent.tools.text_file import TextFile
from app.agent.toolset import CANCELLED, ToolCancelled, ToolContext, ToolFailed, ToolResult

MAX_MATCHES: Final = 1_000
MAX_FILE: Final = 10_000_000
_WIDE: Final = (
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
    codecs.BOM_UTF32_BE,
)  # UTF-32 LE begins as UTF-16 LE
_SHORT: Final = 100  # bytes of a line that are shown as they are
_AROUND: Final = 20  # bytes beside the match in a longer one

Find = Callable[[bytes], Sequence[Span]]


@dataclass(frozen=True, slots=True)
class FileSearch:
    """The tool that searches, without what version control ignores if `ignore_vcs` says so."""

    ignore_vcs: bool

    @tool(read_only=True, takes_description=True)
    def search_files_content(
        self,
        context: ToolContext,
        *,
        path: Annotated[str, "The directory, or the file, to search", {"default": "."}] = "",
        query: Annotated[str, "The text or regular expression to look for"],
        is_regex: Annotated[bool, "The query is a regular expression"] = False,
        excludePatterns: Annotated[
            Sequence[str], "Globs of paths to leave out; dir/* leaves out all of dir"
        ] = (),
    ) -> ToolResult:
        """Looks for a text, or a regular expression, in the files below a directory, line by line. Answers with path,
        line and column of the first match in each line, at most 1,000."""
        if not query:
            raise ToolFailed("query must not be empty")
        sandbox = files_of(context)
        walk = FileWalk(sandbox, hiding(context, self.ignore_vcs), excludePatterns, context.cancellation)
        try:
            with ExitStack() as stack:
                find: Find = _literal(query)
                if is_regex:
                    find = stack.enter_context(RegexSearch(query, context.cancellation)).spans
                return _collect(sandbox, walk.files(path), find)
        except BadPattern as problem:
            return ToolResult.error(f"Invalid regex pattern: {problem}")
        except TooSlow:
            raise ToolFailed("the regular expression takes too long; make it simpler") from None
        except FileRefused as refusal:
            return ToolResult.error(f"Error searching file contents: {refusal}")


def _collect(sandbox: Sandbox, files: Iterator[str], find: Find) -> ToolResult:
    lines: list[str] = []
    matched = 0
    for path in files:
        try:
            content = sandbox.read(path, MAX_FILE)
        except FileRefused:
            continue  # gone meanwhile, or not ours to read
        if content.size > MAX_FILE or is_binary(content.data):
            continue
        data = searchable(content.data)
        spans = find(data)
        matched += bool(spans)
        lines += _lines(sandbox.shown(path), data, spans[: MAX_MATCHES - len(lines)])
        if len(lines) >= MAX_MATCHES:
            break
    meta = {"matchCount": len(lines), "fileCount": matched}
    if len(lines) >= MAX_MATCHES:
        lines.append(f"...output truncated after {MAX_MATCHES} matches...")
    return ToolResult("\n".join(lines) or "No results found", meta=meta)


def searchable(data: bytes) -> bytes:
    """Text in UTF-16 or UTF-32 as UTF-8, anything else as it is."""
    return TextFile.of(data).utf_8 if data.startswith(_WIDE) else data


def _lines(path: str, data: bytes, spans: Sequence[Span]) -> Iterator[str]:
    rows = data.split(b"\n") if spans else []
    for number, start, end in spans:
        row = rows[number]
        decoded = row.decode("utf-8", "surrogateescape")
        column = _length(decoded[:start]) + 1
        yield f"{path}:{number + 1}:{column}: {excerpt_of(row, start, end)}"


def excerpt_of(row: bytes, start: int, end: int, *, whole: int = _SHORT) -> str:
    """A line with a match, given in characters: the match with what is around it, if the line has more bytes than
    `whole`."""
    decoded = row.decode("utf-8", "surrogateescape")
    first, last = _length(decoded[:start]), _length(decoded[:end])
    row = row.removesuffix(b"\r")
    if len(row) > whole:
        row = row[max(0, first - _AROUND) : min(last, first + _SHORT) + _AROUND]
    return row.decode("utf-8", "replace")


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _literal(query: str) -> Find:
    wanted = query.encode("utf-8", "replace")
    length = len(wanted.decode())

    def find(data: bytes) -> list[Span]:
        if wanted not in data:
            return []
        found: list[Span] = []
        for number, row in enumerate(data.split(b"\n")):
            at = row.find(wanted)
            if at >= 0:
                start = len(row[:at].decode("utf-8", "surrogateescape"))
                found.append((number, start, start + length))
        return found

    return find


@dataclass(frozen=True, slots=True)
class FileWalk:
    """What lies below a path, in order of the names. Links are not followed."""

    sandbox: Sandbox
    hides: Hides
    excluded: Sequence[str]
    cancellation: Cancellation

    def files(self, path: str) -> Iterator[str]:
        """All regular files; the path itself if it is one."""
        try:
            yield from (inner for inner, entry in self.entries(path) if entry.is_file)
        except FileRefused as refusal:
            if refusal.number != errno.ENOTDIR:
                raise
            yield path

    def entries(self, path: str, *, dated: bool = False) -> Iterator[tuple[str, Entry]]:
        """All there is, each with its path below the root. FileRefused if `path` is no directory that can be read."""
        start, entries = self.sandbox.entries(path, dated=dated)
        waiting = [(start, iter(entries))]
        while waiting:
            folder, rest = waiting[-1]
            entry = next(rest, None)
            if self.cancellation.is_set():
                raise ToolCancelled(CANCELLED)
            if entry is None:
                waiting.pop()
                continue
            inner = below(folder, entry.name)
            if self.hides(inner, entry.is_directory) or self._excludes(inner[len(start) :].lstrip("/")):
                continue
            yield inner, entry
            if entry.is_directory:
                try:
                    waiting.append((inner, iter(self.sandbox.entries(inner, dated=dated)[1])))
                except FileRefused:
                    continue

    def _excludes(self, path: str) -> bool:
        return any(excludes(pattern, path) for pattern in self.excluded)


def excludes(pattern: str, path: str) -> bool:
    """Does the pattern name the path, its last name or one of the directories above it?"""
    if pattern.endswith("/*") and (path + "/").startswith(pattern[:-1]):
        return True
    names = path.split("/")
    prefixes = ("/".join(names[:depth]) for depth in range(1, len(names) + 1))
    return fnmatch.fnmatchcase(names[-1], pattern) or any(_matches(prefix, pattern) for prefix in prefixes)


def _matches(path: str, pattern: str) -> bool:
    """A glob whose `*` stops at a slash, as path globs do."""
    names, globs = path.split("/"), pattern.split("/")
    return len(names) == len(globs) and all(map(fnmatch.fnmatchcase, names, globs))
