"""Counts the sentences of docstrings that hide their subject: `python -m tests.plain_english`, which `make lint` calls.

A sentence that begins with one of `HIDING` is read twice before its subject is known: "Who waits" is a request, a
run or a thread. The check prints each of these sentences with file and line. It fails when they are more than
`ALLOWED` of all.

A docstring is the first statement of a module, class or function, or a string below an assignment, which documents a
constant or a field. A sentence ends at a blank line, at a `.`, `!` or `?` before white space, and at a `:` before a
capital."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TREES: Final = ("anthropic_standin", "app", "baton_client", "bench", "tests")
HIDING: Final = ("Who", "What", "Whoever", "Of", "Those", "So")
ALLOWED: Final = 0.03

_END: Final = re.compile(r"(?<=[.!?])\s+|(?<=:)\s+(?=[A-Z])|\n[ \t]*\n")
_HIDING: Final = re.compile(rf"(?:{'|'.join(HIDING)})\b")


@dataclass(frozen=True, slots=True)
class Sentence:
    file: str
    line: int
    text: str

    @property
    def hides_its_subject(self) -> bool:
        return _HIDING.match(self.text) is not None


def sentences(source: str, file: str) -> Iterator[Sentence]:
    """In the order of the docstrings' nodes. The line is the one on which the sentence begins."""
    for docstring in _docstrings(ast.parse(source)):
        text = str(docstring.value)
        start = 0
        for end, after in [*(match.span() for match in _END.finditer(text)), (len(text), len(text))]:
            if words := text[start:end].strip():
                begin = text.index(words, start)
                yield Sentence(file, docstring.lineno + text.count("\n", 0, begin), " ".join(words.split()))
            start = after


def report(found: Sequence[Sentence]) -> tuple[str, bool]:
    """The lines to print, and whether too many sentences hide their subject."""
    hiding = [sentence for sentence in found if sentence.hides_its_subject]
    lines = [f"{sentence.file}:{sentence.line}: {sentence.text}" for sentence in hiding]
    share = len(hiding) / max(1, len(found))
    lines.append(
        f"plain English: {len(hiding)} of {len(found)} sentences of docstrings ({share:.1%}; at most {ALLOWED:.0%}) "
        f"begin with {', '.join(HIDING)}"
    )
    return "\n".join(lines), share > ALLOWED


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for before, statement in zip([None, *node.body], node.body, strict=False):
            match statement:
                case ast.Expr(value=ast.Constant(value=str()) as text) if before is None or isinstance(
                    before, (ast.Assign, ast.AnnAssign)
                ):
                    yield text


def main() -> int:
    found = [
        sentence
        for tree in TREES
        for path in sorted((ROOT / tree).rglob("*.py"))
        for sentence in sentences(path.read_text(), str(path.relative_to(ROOT)))
    ]
    text, failed = report(found)
    sys.stdout.write(f"{text}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
