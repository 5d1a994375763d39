"""The colours of code can be read: 4.5 to 1 against what is behind them, as WCAG's level AA wants it."""

from __future__ import annotations

import re
from itertools import chain
from typing import Final

from app.web.console import FILES

ENOUGH: Final = 4.5
PAIR: Final = re.compile(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)")
COLOURS: Final = {
    name: (light, dark)
    for name, light, dark in chain(
        *(PAIR.findall((FILES / file).read_text()) for file in ("base.css", "markdown.css"))
    )
}


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_code_can_be_read_in_both_themes() -> None:
    kinds = [name for name in COLOURS if name.startswith("code-")]
    assert len(kinds) == 6
    weak = {
        (name, theme): round(contrast(COLOURS[name][theme], COLOURS["sunk"][theme]), 2)
        for name in (*kinds, "text", "soft")
        for theme in (0, 1)
    }
    assert {key: value for key, value in weak.items() if value < ENOUGH} == {}


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48


def test_each_class_that_has_a_colour_has_one_of_these() -> None:
    css = (FILES / "markdown.css").read_text()
    used = set(re.findall(r"\.hljs-.*color: var\(--(code-\w+)\)", css))
    assert used == {name for name in COLOURS if name.startswith("code-")}
