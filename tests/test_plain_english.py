"""`make lint` fails when too many sentences of docstrings hide their subject."""

from __future__ import annotations

import pytest

from tests.harness.make import commands
from tests.plain_english import ALLOWED, HIDING, Sentence, report, sentences

EVERY_PLACE = '''"""What a module is. It is one."""

LIMIT = 3
"""Of a constant."""

"A string below another string is no docstring. Who reads it?"


class Room:
    """So a class."""

    door: str
    """Those of a field
    go on. What follows"""

    async def enter(self):
        """Whoever enters."""
        "Who cares."
        return "What is returned is no docstring."
'''


def begun(source: str) -> list[tuple[int, str]]:
    return [(one.line, one.text) for one in sentences(source, "a.py") if one.hides_its_subject]


def test_each_kind_of_docstring_counts_and_no_other_string() -> None:
    assert sorted(begun(EVERY_PLACE)) == [
        (1, "What a module is."),
        (4, "Of a constant."),
        (10, "So a class."),
        (13, "Those of a field go on."),
        (14, "What follows"),
        (17, "Whoever enters."),
    ]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("One. two", ["One.", "two"]),
        ("One! Two? `three`.", ["One!", "Two?", "`three`."]),
        ("One: Two: three", ["One:", "Two: three"]),
        ("A title\n\nA text of 3.5 s", ["A title", "A text of 3.5 s"]),
        ("", []),
    ],
)
def test_where_a_sentence_ends(text: str, ends: list[str]) -> None:
    assert [one.text for one in sentences(f'"""{text}"""', "a.py")] == ends


@pytest.mark.parametrize("word", HIDING)
def test_only_a_whole_word_at_the_beginning_counts(word: str) -> None:
    assert begun(f'"""{word} it is."""')
    assert not begun(f'"""{word}x it is. It is {word}."""')


def test_the_report_names_each_place_and_fails_above_the_limit() -> None:
    sound = [Sentence("a.py", 1, "It holds.")] * 97
    hiding = [Sentence("b.py", line, "Who holds?") for line in range(1, 5)]
    text, failed = report([*sound, *hiding[:3]])
    assert text.splitlines()[:3] == [f"b.py:{line}: Who holds?" for line in range(1, 4)]
    assert "3 of 100 sentences" in text
    assert (ALLOWED, failed) == (0.03, False)
    assert report([*sound, *hiding])[1]
    assert not report([])[1]


def test_lint_counts() -> None:
    assert ".venv/bin/python -m tests.plain_english" in commands("lint")
