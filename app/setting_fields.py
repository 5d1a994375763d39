"""Fields of a dataclass that are read from environment variables."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field, fields
from typing import Any, Final

PREFIX: Final = "BATON_"

LIKE_A_TYPO: Final = 0.8
"""From this likeness on an unknown variable is taken for a misspelt one. Others are left alone: Kubernetes sets
BATON_PORT and BATON_SERVICE_HOST in every container near a service called baton."""


class InvalidSettings(Exception):
    """One line that names the variable and what to do about it."""


def setting(
    variable: str, reader: Callable[[str], Any], default: Any, about: str, *, secret: bool = False
) -> Any:
    """`reader` takes the variable's text. A secret's value appears neither in the representation nor in an error."""
    metadata = {"variable": variable, "reader": reader, "about": about, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


def variables(settings: type[Any]) -> list[tuple[str, Any, str]]:
    """Name, default and meaning of every variable of the dataclass."""
    described = [one for one in fields(settings) if "variable" in one.metadata]
    return [(one.metadata["variable"], one.default, one.metadata["about"]) for one in described]


def values(settings: type[Any], environment: Mapping[str, str], *, others: Collection[str]) -> dict[str, Any]:
    """The values of the variables that are set, by field. `others` are variables that other programs read.

    InvalidSettings for the first variable whose name is misspelt, or whose value makes no sense."""
    _refuse_typos(environment, [variable for variable, _, _ in variables(settings)], others)
    found: dict[str, Any] = {}
    for one in fields(settings):
        text = environment.get(one.metadata.get("variable", ""), "").strip()
        if text:
            found[one.name] = _read(one.metadata, text)
    return found


def _refuse_typos(environment: Mapping[str, str], known: Iterable[str], others: Collection[str]) -> None:
    names = {variable.removeprefix(PREFIX) for variable in known if variable.startswith(PREFIX)}
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if not variable.startswith(PREFIX) or name in names or variable in others:
            continue
        if meant := difflib.get_close_matches(name.upper(), sorted(names), n=1, cutoff=LIKE_A_TYPO):
            raise InvalidSettings(f"{variable} is not a setting: did you mean {PREFIX}{meant[0]}?")


def _read(about: Mapping[str, Any], text: str) -> Any:
    try:
        return about["reader"](text)
    except ValueError as error:
        shown = "its value" if about["secret"] else repr(text[:100])
        raise InvalidSettings(f"{about['variable']}: {shown} makes no sense: {error}") from None
