"""Tokens from a file: they change while the server runs, and a broken file locks nobody out and lets nobody in."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from app.access_tokens import parse_token
from app.web.token_book import TokenBook

OLD, NEW, FIXED = "old-token-0123456789", "new-token-0123456789", "fixed-token-0123456789"


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """As a careful person does it: the new file takes the place of the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(mode)
    os.replace(fresh, path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "tokens", f"ann:{OLD}\n")
    return tmp_path / "tokens"


@pytest.fixture
def book(path: Path) -> TokenBook:
    return TokenBook([parse_token(f"ops/operator:{FIXED}")], path)


def names(book: TokenBook, *tokens: str) -> list[str | None]:
    return [found.name if (found := book.find(token)) else None for token in tokens]


def test_tokens_of_the_settings_and_of_the_file_count_together(book: TokenBook) -> None:
    assert not book.is_open
    assert names(book, OLD, FIXED, NEW, "") == ["ann", "ops", None, None]


def test_a_token_is_replaced_without_a_gap_and_without_a_restart(book: TokenBook, path: Path) -> None:
    write(path, f"ann:{OLD}\nann:{NEW}\n")
    assert names(book, OLD, NEW) == ["ann", "ann"]
    write(path, f"ann:{NEW}\n")
    assert names(book, OLD, NEW, FIXED) == [None, "ann", "ops"]


def test_a_line_that_is_taken_out_counts_no_more_even_if_it_was_the_last(book: TokenBook, path: Path) -> None:
    write(path, "# nobody for now\n")
    assert names(book, OLD, FIXED) == [None, "ops"]


def test_a_role_is_changed_by_changing_the_file(book: TokenBook, path: Path) -> None:
    write(path, f"ann/operator:{OLD}\n")
    found = book.find(OLD)
    assert found is not None
    assert found.role == "operator"


@pytest.mark.parametrize("text", ["nonsense\n", f"ann:{NEW}\nbob:{NEW}\n", f"ann:{FIXED}\n"])
def test_a_file_with_a_mistake_changes_nothing_and_is_complained_of_once(
    book: TokenBook, path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, text)
    with caplog.at_level(logging.ERROR, logger="app.web.token_book"):
        assert names(book, OLD, NEW, FIXED) == ["ann", None, "ops"]
        assert names(book, OLD) == ["ann"]
    assert len(caplog.records) == 1
    assert NEW not in caplog.text
    write(path, f"bob:{NEW}\n")
    assert names(book, OLD, NEW) == [None, "bob"]


def test_a_file_that_becomes_readable_for_all_is_not_read(book: TokenBook, path: Path) -> None:
    write(path, f"ann:{NEW}\n", mode=0o644)
    assert names(book, OLD, NEW) == ["ann", None]
    path.chmod(0o600)
    assert names(book, OLD, NEW) == [None, "ann"]


def test_a_file_that_is_gone_for_a_moment_locks_nobody_out(book: TokenBook, path: Path) -> None:
    path.unlink()
    assert names(book, OLD) == ["ann"]
    write(path, f"bob:{NEW}\n")
    assert names(book, OLD, NEW) == [None, "bob"]


def test_an_empty_file_is_not_the_same_as_no_tokens_at_all(path: Path) -> None:
    write(path, "")
    assert not TokenBook((), path).is_open
    assert TokenBook().is_open
