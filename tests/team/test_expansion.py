"""Variables: which are filled in, which are left alone, and what counts as a reference."""

from __future__ import annotations

import pytest

from app.errors import MissingEnvironment
from app.team.expansion import Expander, expand_variables, is_reference

ENVIRONMENT = {"NAME": "Ada", "EMPTY": "", "OTHER": "${env.NAME}"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("Hello ${env.NAME}!", "Hello Ada!"),
        ("${ env.NAME }", "Ada"),
        ("${env.MISSING}", ""),
        ("${env.MISSING || 'nobody'}", "nobody"),
        ('${env.EMPTY || "nobody"}', "nobody"),
        ("${env.MISSING || env.NAME || 'nobody'}", "Ada"),
        ("${env.MISSING||env.EMPTY}", ""),
        ("${env.OTHER}", "${env.NAME}"),
        ("${headers.Authorization}", "${headers.Authorization}"),
        ("${city} ${NAME} $NAME ${}", "${city} ${NAME} $NAME ${}"),
        ("${env.NAME.length}", "${env.NAME.length}"),
    ],
)
def test_only_expressions_over_the_environment_are_expanded(text: str, expanded: str) -> None:
    assert Expander(ENVIRONMENT).expand(text) == expanded


def test_the_variables_that_decided_are_remembered() -> None:
    expander = Expander(ENVIRONMENT)
    expander.expand("${env.MISSING || env.NAME || env.OTHER}")
    assert expander.used == {"MISSING": "", "NAME": "Ada"}


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("$NAME", "Ada"),
        ("${NAME}", "Ada"),
        ("${env.NAME}", "Ada"),
        ("<$NAME-${EMPTY}>", "<Ada->"),
        ("5 $", "5 $"),
    ],
)
def test_a_toolsets_environment_knows_both_spellings(value: str, expanded: str) -> None:
    assert expand_variables(value, ENVIRONMENT) == expanded


def test_an_unset_variable_of_a_toolset_is_named() -> None:
    with pytest.raises(MissingEnvironment, match='environment variable "TOKEN" not set') as caught:
        expand_variables("Bearer $TOKEN", ENVIRONMENT)
    assert caught.value.details["names"] == ["TOKEN"]


@pytest.mark.parametrize("value", ["$TOKEN", "${TOKEN}", "${env.TOKEN}", "${headers.X-Api-Key}"])
def test_a_lone_reference_gives_nothing_away(value: str) -> None:
    assert is_reference(value)


@pytest.mark.parametrize(
    "value", ["secret", "x$TOKEN", "${env.TOKEN || 'secret'}", "$TOKEN secret", "", "$TOKEN\n"]
)
def test_anything_else_may_hold_a_secret(value: str) -> None:
    assert not is_reference(value)
