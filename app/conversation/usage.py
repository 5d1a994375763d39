"""What a model call has used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens that one model call used; `input_tokens` is the part that no cache covered."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def with_more(self, other: Usage | None) -> Usage:
        """Of two calls."""
        if other is None:
            return self
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )

    @property
    def context_tokens(self) -> int:
        """How full the window was: everything read plus everything written."""
        return self.prompt_tokens + self.output_tokens

    @property
    def read_and_written(self) -> tuple[int, int]:
        return self.prompt_tokens, self.output_tokens

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
