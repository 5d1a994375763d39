"""The stand-in counts the prompt cache as the API does."""

from __future__ import annotations

from typing import Any, Final

import pytest

from anthropic_standin.prompt_cache import FEWEST_TOKENS, LOOK_BACK, SECONDS, CacheUse, PromptCache

Json = dict[str, Any]

MARK: Final = {"cache_control": {"type": "ephemeral"}}
TOKENS: Final = 10_000


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def request(*blocks: Json, system: Json | None = None, **more: Any) -> Json:
    return {
        "model": "claude-sonnet-5-5",
        "system": [system or text("x" * 5_000, **MARK)],
        "messages": [{"role": "user", "content": [block]} for block in blocks],
        **more,
    }


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def cache() -> PromptCache:
    return PromptCache(Clock())


def test_the_first_request_writes_and_the_second_reads(cache: PromptCache) -> None:
    first = cache.use(request(text("hello", **MARK)), TOKENS)
    assert first == CacheUse(0, TOKENS, 0, 0)
    assert cache.use(request(text("hello", **MARK)), TOKENS) == CacheUse(0, 0, TOKENS, TOKENS)


def test_without_a_mark_nothing_is_kept(cache: PromptCache) -> None:
    plain = request(text("hello"), system=text("x" * 5_000))
    assert cache.use(plain, TOKENS).fresh == TOKENS
    again = cache.use(plain, TOKENS)
    assert (again.read, again.known) == (0, TOKENS)


def test_moving_a_mark_changes_no_prefix(cache: PromptCache) -> None:
    cache.use(request(text("one", **MARK)), TOKENS)
    assert cache.use(request(text("one"), text("two", **MARK)), TOKENS).read > TOKENS / 2


@pytest.mark.parametrize("more", [LOOK_BACK, LOOK_BACK + 1])
def test_a_mark_finds_what_ends_at_most_20_blocks_before_it(cache: PromptCache, more: int) -> None:
    cache.use(request(text("one", **MARK), system=text("x" * 5_000)), TOKENS)
    later = request(
        text("one"),
        *(text("more") for _ in range(more - 1)),
        text("last", **MARK),
        system=text("x" * 5_000),
    )
    assert (cache.use(later, TOKENS).read > 0) is (more == LOOK_BACK)


@pytest.mark.parametrize(
    "change",
    [
        {"tools": [{"name": "look"}]},
        {"model": "claude-opus-5-5"},
        {"system": [text("y" * 5_000, **MARK)]},
    ],
)
def test_tools_model_and_system_come_before_all(cache: PromptCache, change: Json) -> None:
    cache.use(request(text("hello", **MARK)), TOKENS)
    assert cache.use({**request(text("hello", **MARK)), **change}, TOKENS).read == 0


@pytest.mark.parametrize("change", [{"tool_choice": {"type": "none"}}, {"thinking": {"type": "disabled"}}])
def test_settings_of_the_answer_lose_the_messages_only(cache: PromptCache, change: Json) -> None:
    cache.use(request(text("hello" * 500, **MARK)), TOKENS)
    read = cache.use(request(text("hello" * 500, **MARK), **change), TOKENS).read
    assert 0 < read < TOKENS


@pytest.mark.parametrize("change", [{"max_tokens": 5}, {"metadata": {}}, {"stream": True}])
def test_what_is_no_part_of_the_prompt_loses_nothing(cache: PromptCache, change: Json) -> None:
    cache.use(request(text("hello", **MARK)), TOKENS)
    assert cache.use(request(text("hello", **MARK), **change), TOKENS).read == TOKENS


def test_an_entry_lives_five_minutes_from_its_last_use() -> None:
    clock = Clock()
    cache = PromptCache(clock)
    cache.use(request(text("hello", **MARK)), TOKENS)
    clock.seconds = SECONDS - 1
    assert cache.use(request(text("hello", **MARK)), TOKENS).read == TOKENS
    clock.seconds = 2 * SECONDS - 2
    assert cache.use(request(text("hello", **MARK)), TOKENS).read == TOKENS
    clock.seconds = 4 * SECONDS
    assert cache.use(request(text("hello", **MARK)), TOKENS).read == 0


def test_a_short_prompt_is_not_kept(cache: PromptCache) -> None:
    short = request(text("hello", **MARK), system=text("x", **MARK))
    assert cache.use(short, FEWEST_TOKENS - 1) == CacheUse(FEWEST_TOKENS - 1, 0, 0, 0)
    assert cache.use(short, FEWEST_TOKENS - 1).read == 0
