"""The routes of the servers in this process. werkzeug writes and compiles two functions for each route, which is most
of what building a server costs, and the same for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


def compile_routes_once() -> None:
    """Lets the routes of all servers to come share these functions, which are methods: they know nothing of the route
    that they were compiled for but what makes up `key`."""
    compile_builder = Rule._compile_builder
    known: dict[Any, Builder] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Builder:
        key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in known:
            known[key] = compile_builder(rule, append_unknown)
        return known[key]

    Rule._compile_builder = compile_once  # type: ignore[method-assign, assignment]
