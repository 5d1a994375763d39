"""Compares docker-agent's public examples with the list in `docs/compatibility-examples.md`.

Run it as `python -m tests.team.public_examples DIR`, where DIR holds the `examples` of a checkout. The files are not
ours and not part of this repository; their combinations of fields are tested with files of our own in
`test_public_examples.py`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.team.loading import check_file

LIST = Path(__file__).parents[2] / "docs" / "compatibility-examples.md"
_ROW = re.compile(r"\| `([^`]+\.ya?ml)` \| (loads|refused) \| ([^|]*?) *\|")


@dataclass(frozen=True)
class Expected:
    loads: bool
    problem: str
    """`line:column field reason` of the first problem, without Markdown; empty if the file loads."""


def expected() -> dict[str, Expected]:
    rows = _ROW.findall(LIST.read_text(encoding="utf-8"))
    return {name: Expected(outcome == "loads", problem.replace("`", "")) for name, outcome, problem in rows}


def observed(path: Path) -> Expected:
    problems = check_file(path)
    if not problems:
        return Expected(True, "")
    first = problems[0]
    provider = re.search(r"of provider '([^']+)'", first.text)
    reason = f"provider {provider[1]}" if provider else first.text.partition(":")[0]
    return Expected(False, f"{first.line}:{first.column} {first.field} {reason}")


def differences(directory: Path) -> Iterator[str]:
    there = {path.relative_to(directory).as_posix(): path for path in sorted(directory.rglob("*.y*ml"))}
    listed = expected()
    yield from (f"{name}: not in the list" for name in there.keys() - listed.keys())
    yield from (f"{name}: listed, but not there" for name in listed.keys() - there.keys())
    for name in there.keys() & listed.keys():
        if (found := observed(there[name])) != listed[name]:
            yield f"{name}: listed as {listed[name]}, but is {found}"


def main(directory: Path) -> int:
    if not directory.is_dir():
        sys.stderr.write(f"{directory} is not a directory\n")
        return 2
    found = sorted(differences(directory))
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.stdout.write(f"{len(found)} differences among {len(expected())} examples\n")
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.team.public_examples DIR")
    sys.exit(main(Path(sys.argv[1])))
