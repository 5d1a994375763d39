"""The tools `glob` and `grep`, in the words of Anthropic's own worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice
from typing import Annotated, Final

from app.agent.tools.agent_words import refusal_words
from app.agent.tools.file_reading import is_binary
from app.agent.tools.file_search import MAX_FILE, FileWalk, excerpt_of, searchable
from app.agent.tools.function_tool import tool
from app.agent.tools.regex_search import BadPattern, RegexSearch, TooSlow
from app.agent.tools.sandbox import Entry, FileRefused, Sandbox, files_of
from app.agent.tools.session_places import found_in
from app.agent.toolset import ToolContext, ToolResult

MOST_PATHS: Final = 200
MOST_LOOKED_AT: Final = 50_000
MOST_BYTES: Final = 100 * 1024

_LONGEST_LINE: Final = 2_000
_UNSEARCHED: Final = (".git", "node_modules")
_MOST_BRACES: Final = 100

Root = Annotated[str, "Where to search, below the working directory, which is the default"]


@tool(title="Glob", read_only=True)
def glob(
    context: ToolContext,
    pattern: Annotated[str, "A glob like **/*.py, relative to where is searched"],
    path: Root = "",
) -> ToolResult:
    """Finds files and directories by their names; those that were changed last come first, at most 200."""
    if pattern.startswith("/"):
        return ToolResult.error(
            "glob: absolute pattern not permitted; pass a relative pattern (and optionally path)"
        )
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    if ".." in names:
        return ToolResult.error("glob: '..' is not permitted in the pattern")
    globs = [tuple(one.split("/")) for one in islice(_without_braces("/".join(names)), _MOST_BRACES)]
    files, place = files_of(context), found_in(context.working_dir, path)
    walk = FileWalk(files, lambda _path, _is_directory: False, (), context.cancellation)
    found: list[tuple[float, str]] = []
    try:
        start = files.entries(place)[0]
        for inner, entry in islice(walk.entries(place, dated=True), MOST_LOOKED_AT):
            below = tuple(inner[len(start) :].lstrip("/").split("/"))
            if any(_fits(below, one) for one in globs) and _leads_inside(files, inner, entry):
                found.append((entry.changed, files.shown(inner)))
    except FileRefused as refusal:
        return ToolResult.error(refusal_words("glob", path, refusal))
    newest = sorted(found, key=lambda one: (-one[0], one[1]))[:MOST_PATHS]
    return ToolResult("\n".join(shown for _, shown in newest) or "no matches")


@tool(title="Grep", read_only=True)
def grep(
    context: ToolContext, pattern: Annotated[str, "The regular expression to look for"], path: Root = ""
) -> ToolResult:
    """Looks for a regular expression in files, line by line. Answers with path, line and text of each line found."""
    files = files_of(context)
    walk = FileWalk(files, lambda inner, _: inner.rpartition("/")[2] in _UNSEARCHED, (), context.cancellation)
    try:
        with RegexSearch(pattern, context.cancellation) as search:
            return ToolResult(
                "\n".join(_bounded(_found(files, walk.files(found_in(context.working_dir, path)), search)))
                or "no matches"
            )
    except BadPattern as problem:
        return ToolResult.error(f"grep: invalid regex: {problem}")
    except TooSlow:
        return ToolResult.error("grep: timed out; make the regular expression simpler")
    except FileRefused as refusal:
        return ToolResult.error(refusal_words("grep", path, refusal))


def _found(files: Sandbox, paths: Iterator[str], search: RegexSearch) -> Iterator[str]:
    for path in islice(paths, MOST_LOOKED_AT):
        try:
            content = files.read(path, MAX_FILE)
        except FileRefused:
            continue  # gone meanwhile, or not ours to read
        if content.size > MAX_FILE or is_binary(content.data):
            continue
        data = searchable(content.data)
        if spans := search.spans(data):
            rows, shown = data.split(b"\n"), files.shown(path)
            for number, start, end in spans:
                yield f"{shown}:{number + 1}:{excerpt_of(rows[number], start, end, whole=_LONGEST_LINE)}"


def _bounded(lines: Iterator[str]) -> Iterator[str]:
    left = MOST_BYTES
    for line in lines:
        left -= len(line.encode("utf-8", "replace")) + 1
        if left < 0:
            yield f"[output truncated at {MOST_BYTES} bytes]"
            return
        yield line


def _leads_inside(files: Sandbox, path: str, entry: Entry) -> bool:
    if not entry.is_link:
        return True
    try:
        return files.exists(path)
    except FileRefused:
        return False


@lru_cache(maxsize=4_096)
def _fits(names: Sequence[str], globs: Sequence[str]) -> bool:
    if not globs:
        return not names
    if globs[0] == "**":
        return _fits(names, globs[1:]) or (bool(names) and _fits(names[1:], globs))
    return bool(names) and fnmatchcase(names[0], globs[0]) and _fits(names[1:], globs[1:])


def _without_braces(pattern: str) -> Iterator[str]:
    """`*.{js,ts}` as `*.js` and `*.ts`."""
    head, brace, rest = pattern.partition("{")
    inside, closed, tail = rest.partition("}")
    if not brace or not closed or "," not in inside:
        yield pattern
        return
    for one in inside.split(","):
        yield from _without_braces(f"{head}{one}{tail}")
