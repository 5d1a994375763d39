"""YAML as agent files use it: YAML 1.2 scalars, one meaning per text, and a place for everything."""

from __future__ import annotations

import pytest

from app.team.written import WrittenInt
from app.team.yaml_document import DocumentError, SourcePosition, parse, place_of


def refused(text: str) -> tuple[str, SourcePosition]:
    with pytest.raises(DocumentError) as caught:
        parse(text)
    return caught.value.finding.text, caught.value.place


def test_only_true_and_false_are_truth_values() -> None:
    data = parse("a: yes\nb: off\nc: true\nd: False\n")
    assert data == {"a": "yes", "b": "off", "c": True, "d": False}


def test_dates_and_clock_times_are_text() -> None:
    assert parse("a: 2024-01-01\nb: 12:30:45\nc: 1_000\n") == {
        "a": "2024-01-01",
        "b": "12:30:45",
        "c": "1_000",
    }


def test_numbers_remember_how_they_were_written() -> None:
    data = parse("a: 010\nb: 1.10\nc: 0x1F\nd: 0o17\ne: -3e2")
    assert data == {"a": 10, "b": 1.1, "c": 31, "d": 15, "e": -300.0}
    assert isinstance(data["a"], WrittenInt)
    assert (data["a"].text, data["b"].text) == ("010", "1.10")


def test_nothing_is_null() -> None:
    assert parse("a:\nb: ~\nc: null\nd: ''\n") == {"a": None, "b": None, "c": None, "d": ""}


def test_every_key_and_item_has_its_place() -> None:
    data = parse("agents:\n  root:\n    tools:\n      - one\n      - name: two\n")
    assert place_of(data, ("agents", "root")) == SourcePosition(2, 3)
    assert place_of(data, ("agents", "root", "tools", 0)) == SourcePosition(4, 9)
    assert place_of(data, ("agents", "root", "tools", 1, "name")) == SourcePosition(5, 9)


def test_the_place_of_something_missing_is_the_last_key_above_it() -> None:
    data = parse("agents:\n  root:\n    model: auto\n")
    assert place_of(data, ("agents", "root", "toolsets", 0)) == SourcePosition(2, 3)
    assert place_of(data, ("nothing",)) == SourcePosition(1, 1)


def test_a_key_inside_a_list_of_mappings_is_found_by_its_name() -> None:
    data = parse("commands:\n  - a: x\n  - b: y\n")
    assert place_of(data, ("commands", "b")) == SourcePosition(3, 5)


def test_a_duplicate_key_is_an_error_at_the_second_one() -> None:
    assert refused("a: 1\nb: 2\na: 3\n") == ("is there twice", SourcePosition(3, 1))


def test_keys_that_look_alike_as_text_are_duplicates() -> None:
    assert refused("1: a\n'1': b\n")[0] == "is there twice"


def test_merge_keys_fill_in_what_is_missing() -> None:
    data = parse("base: &base\n  a: 1\n  b: 2\nmore:\n  <<: *base\n  b: 3\n")
    assert data["more"] == {"a": 1, "b": 3}
    assert place_of(data, ("more", "a")) == SourcePosition(5, 3)


def test_the_first_of_several_merged_mappings_wins() -> None:
    data = parse("x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz:\n  <<: [*x, *y]\n")
    assert data["z"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system [ls]", "has a tag that is not supported"),
        ("a: !secret x", "has a tag that is not supported"),
        ("? [a, b]\n: c", "has a key that is not text"),
        ("~: c", "has a key that is not text"),
        ("a: !!int x", "is not a valid int"),
        ("a: " + "9" * 40, "is not a valid int"),
        ("x:\n  <<: text", "must name a mapping"),
        ("a: &a [*a]", "is too large or nested too deeply"),
        ("- a\n- b", "must be a mapping with `agents`"),
        ("", "must be a mapping with `agents`"),
        ("just text", "must be a mapping with `agents`"),
        ("a: 1\n---\nb: 2", "but found another document"),
        ("a: [1, 2", "expected ',' or ']'"),
        ("a: *nowhere", "found undefined alias"),
        ("a: \x00", "special characters are not allowed"),
        ("a: " + "[" * 1000 + "]" * 1000, "nested"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, message: str) -> None:
    assert message in refused(text)[0]


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert refused("\n".join(lines))[0] == "is too large or nested too deeply"


def test_an_error_of_syntax_has_a_place() -> None:
    assert refused("a: 1\nb: [1, 2\nc: 3\n")[1].line in (2, 3)
