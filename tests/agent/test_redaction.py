"""What counts as a secret, and that a conversation without one is not touched."""

from __future__ import annotations

import pytest

from app.agent.redaction import MASK, Redaction, redacted, redacted_row, redacted_value
from app.conversation.blocks import text_block
from app.conversation.transcript import Message

LETTERS = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"
SECRETS = [  # put together here, so that no scanner takes this file for a leak
    "gh" + "p_" + LETTERS[:36],
    "github" + "_pat_" + LETTERS,
    "gl" + "pat-" + LETTERS[:20],
    "AK" + "IA" + "Q3EGRLV7WXUPQ3EG",
    "xox" + "b-123456789012-" + LETTERS[:24],
    "sk" + "_live_" + LETTERS[:24],
    "sk-" + "ant-api03-" + LETTERS,
    "sk-" + "proj-" + LETTERS,
    "AI" + "za" + LETTERS[:35],
    "npm" + "_" + LETTERS[:36],
    "dckr" + "_pat_" + LETTERS[:27],
    "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + "zdWIiOiIxMjM0In0." + LETTERS,
    "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow" + LETTERS + "\n-----END RSA " + "PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "around",
    [
        *("{}", "token={}", '{{"key": "{}"}}', "see {}, then go", "{}\n"),
        *(
            r'{{"out": "a\n{}\n"}}',
            r"\t{}",
            r"\u003d{}",
            "?key%3D{}%26x",
            "\x1b[01;31m\x1b[K{}\x1b[m",
            "\x1b[1m{}",
        ),
    ],
)
def test_a_secret_is_masked_and_what_stands_around_it_stays(secret: str, around: str) -> None:
    assert redacted(around.format(secret)) == around.format(MASK)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://me:hunter22@db:5432/x", "postgres://me:[REDACTED]@db:5432/x"),
        ("Authorization: Bearer abcdefgh12", "Authorization: Bearer [REDACTED]"),
        (f"aws_secret_access_key = {LETTERS[:40]}", "aws_secret_access_key = [REDACTED]"),
        (f"{SECRETS[0]} {SECRETS[3]}", f"{MASK} {MASK}"),
    ],
)
def test_of_a_longer_text_only_the_secret_is_masked(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the words secret, token and password are none",
        "https://example.com/a:b@c?x=1",
        "git@github.com:docker/compose.git",
        "sk-learn and sk-short",
        "0f343b0931126a20f133d67c2b018a3b1a2b3c4d",
        "postgres://me:$PASSWORD@db",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    ],
)
def test_a_text_without_a_secret_is_the_very_same(text: str) -> None:
    assert redacted(text) is text


def test_values_are_masked_at_any_depth_and_copied_only_if_they_change() -> None:
    plain = {"a": [1, {"b": "c"}], "d": None}
    assert redacted_value(plain) is plain
    assert redacted_value({"a": [{"b": SECRETS[0]}], "c": 1}) == {"a": [{"b": MASK}], "c": 1}


def test_a_row_keeps_its_identity_from_one_request_to_the_next() -> None:
    clean, secret = Message("user", (text_block("hi"),)), Message("user", (text_block(SECRETS[0]),))
    redaction = Redaction()
    first = redaction.rows([clean, secret])
    assert first[0] is clean
    assert first[1].content == (text_block(MASK),)
    again = redaction.rows([clean, secret, clean])
    assert again[1] is first[1]


def test_thinking_and_pictures_are_left_alone() -> None:
    thinking = {"type": "thinking", "thinking": SECRETS[0], "signature": "s"}
    picture = {"type": "image", "source": {"type": "base64", "data": SECRETS[0]}}
    row = Message("assistant", (thinking, picture))
    assert redacted_row(row) is row


def test_a_long_text_takes_no_time_to_speak_of() -> None:
    for piece in ("a" * 200_000, "eyJ" * 60_000, "://x:" * 40_000, "sk- " * 50_000, "\\n%41\x1b[m" * 20_000):
        assert redacted(piece) is piece
