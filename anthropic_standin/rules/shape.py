"""Small checks that combine into the shape of a request. A check refuses with the path of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from anthropic_standin.refusal import Refusal

Check = Callable[[Any, str], None]


def wrong(path: str, sentence: str) -> Refusal:
    return Refusal(f"{path}: {sentence}")


def below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def anything(value: Any, path: str) -> None:
    """Carried, not judged."""


def text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise wrong(path, "Input should be a valid string")


def boolean(value: Any, path: str) -> None:
    if not isinstance(value, bool):
        raise wrong(path, "Input should be a valid boolean")


def dictionary(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise wrong(path, "Input should be a valid dictionary")


def integer(minimum: int) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong(path, "Input should be a valid integer")
        if value < minimum:
            raise wrong(path, f"Input should be greater than or equal to {minimum}")

    return check


def matching(pattern: str, *, longest: int | None = None) -> Check:
    compiled = re.compile(pattern)

    def check(value: Any, path: str) -> None:
        text(value, path)
        if longest is not None and len(value) > longest:
            raise wrong(path, f"String should have at most {longest} characters")
        # fullmatch, because `$` would let a line break at the end pass
        if not compiled.fullmatch(value):
            raise wrong(path, f"String should match pattern '{pattern}'")

    return check


def one_of(*values: str) -> Check:
    quoted = [f"'{value}'" for value in values]
    expected = f"{', '.join(quoted[:-1])} or {quoted[-1]}" if len(quoted) > 1 else quoted[0]

    def check(value: Any, path: str) -> None:
        if value not in values:
            raise wrong(path, f"Input should be {expected}")

    return check


def maybe(check: Check) -> Check:
    def checked(value: Any, path: str) -> None:
        if value is not None:
            check(value, path)

    return checked


def list_of(item: Check, *, longest: int | None = None) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise wrong(path, "Input should be a valid list")
        if longest is not None and len(value) > longest:
            raise wrong(path, f"List should have at most {longest} items")
        for index, entry in enumerate(value):
            item(entry, f"{path}.{index}")

    return check


def text_or(check: Check) -> Check:
    def checked(value: Any, path: str) -> None:
        if not isinstance(value, str):
            check(value, path)

    return checked


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with these fields and no others."""
    known = {**required, **(optional or {})}

    def check(value: Any, path: str) -> None:
        dictionary(value, path)
        for name in required:
            if name not in value:
                raise wrong(below(path, name), "Field required")
        for name, part in value.items():
            if name not in known:
                raise wrong(below(path, name), "Extra inputs are not permitted")
            known[name](part, below(path, name))

    return check


def tagged(variants: Mapping[str, Check], *, default: str | None = None) -> Check:
    """An object whose `type` says which check it has to pass; the type becomes a part of the path."""
    expected = ", ".join(f"'{name}'" for name in variants)

    def check(value: Any, path: str) -> None:
        dictionary(value, path)
        tag = value.get("type", default)
        if tag is None:
            raise wrong(f"{path}.type", "Field required")
        if not isinstance(tag, str) or tag not in variants:
            sentence = (
                f"Input tag '{tag}' found using 'type' does not match any of the expected tags: {expected}"
            )
            raise wrong(path, sentence)
        variants[tag](value, f"{path}.{tag}")

    return check
