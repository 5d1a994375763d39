"""The fields that a request may have, down to the last block; all others are refused (M9, T7-T9)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.rules.sampling import SAMPLING
from anthropic_standin.rules.shape import (
    Check,
    anything,
    below,
    boolean,
    dictionary,
    integer,
    list_of,
    matching,
    maybe,
    one_of,
    record,
    tagged,
    text,
    text_or,
    wrong,
)

MARK = record({"type": one_of("ephemeral")}, {"ttl": one_of("5m", "1h")})
ID = matching("^[a-zA-Z0-9_-]+$")
SERVER_ID = matching("^srvtoolu_[a-zA-Z0-9_]+$")
MEDIA = one_of("image/jpeg", "image/png", "image/gif", "image/webp")
SERVER_TOOLS = (
    *("web_search", "web_fetch", "code_execution", "bash_code_execution", "text_editor_code_execution"),
    *("tool_search_tool_regex", "tool_search_tool_bm25", "advisor"),
)
SERVER_RESULTS = (
    *("web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result"),
    *("bash_code_execution_tool_result", "text_editor_code_execution_tool_result"),
    *("tool_search_tool_result", "advisor_tool_result"),
)
# A field that only exists while one of these betas (a prefix of the header's value) is on.
BETA_FIELDS = {
    "mcp_servers": ("mcp-client-",),
    "context_management": ("context-management-", "compact-"),
    "compaction": ("compact-",),
    "thread": ("message-threads-",),
    "fallbacks": ("fallback",),
    "fallback_credit_token": ("fallback",),
    "billing_policy": ("billing",),
}


def _block(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """A content block that may carry a cache mark."""
    return record({"type": text, **required}, {"cache_control": maybe(MARK), **(optional or {})})


_base64_text = record({"type": text, "media_type": text, "data": text})
_image_source = tagged(
    {
        "base64": record({"type": text, "media_type": MEDIA, "data": text}),
        "url": record({"type": text, "url": text}),
        "file": record({"type": text, "file_id": text}),
    }
)
_document_source = tagged(
    {
        "base64": _base64_text,
        "text": _base64_text,
        "content": record({"type": text, "content": anything}),
        "url": record({"type": text, "url": text}),
        "file": record({"type": text, "file_id": text}),
    }
)
TEXT_BLOCK = _block({"text": text}, {"citations": maybe(list_of(dictionary))})
_citations = {"citations": maybe(record({}, {"enabled": boolean}))}
_plain_blocks = {
    "text": TEXT_BLOCK,
    "image": _block({"source": _image_source}, {"transformations": maybe(dictionary)}),
    "document": _block(
        {"source": _document_source}, {"title": maybe(text), "context": maybe(text), **_citations}
    ),
    "search_result": _block(
        {"source": text, "title": text, "content": list_of(tagged({"text": TEXT_BLOCK}))}, _citations
    ),
}
_result_content = {
    **_plain_blocks,
    "tool_reference": _block({"tool_name": text}),
    "browser_state": dictionary,
}
_caller = {"caller": dictionary}
BLOCKS: dict[str, Check] = {
    **_plain_blocks,
    "thinking": record({"type": text, "thinking": text, "signature": text}),
    "redacted_thinking": record({"type": text, "data": text}),
    "tool_use": _block(
        {"id": ID, "name": matching("^[a-zA-Z0-9_-]{1,200}$"), "input": dictionary},
        {"toolset_name": maybe(text), **_caller},
    ),
    "tool_result": _block(
        {"tool_use_id": ID},
        {
            "content": text_or(list_of(tagged(_result_content))),
            "is_error": boolean,
            "toolset_name": maybe(text),
        },
    ),
    "container_upload": _block({"file_id": text}),
    "server_tool_use": _block({"id": SERVER_ID, "name": one_of(*SERVER_TOOLS), "input": dictionary}, _caller),
    **{name: _block({"tool_use_id": SERVER_ID, "content": anything}, _caller) for name in SERVER_RESULTS},
    **dict.fromkeys(("mcp_tool_use", "mcp_tool_result", "compaction", "fallback"), dictionary),
}
MESSAGE = record({"role": one_of("user", "assistant", "system"), "content": text_or(list_of(tagged(BLOCKS)))})

_display = {"display": maybe(one_of("summarized", "omitted"))}
_binding = {"block_binding": record({"prefix_mismatch_behavior": one_of("error", "drop_block")})}
THINKING = tagged(
    {
        "adaptive": record({"type": text}, {**_display, **_binding}),
        "enabled": record({"type": text, "budget_tokens": integer(1024)}, {**_display, **_binding}),
        "disabled": record({"type": text}),
        "between_tools": record({"type": text}, {**_display, **_binding}),
    }
)
_single = {"disable_parallel_tool_use": boolean}
TOOL_CHOICE = tagged(
    {
        "auto": record({"type": text}, _single),
        "any": record({"type": text}, _single),
        "tool": record({"type": text, "name": text}, _single),
        "none": record({"type": text}),
    }
)
_output = record(
    {},
    {
        "effort": maybe(one_of("low", "medium", "high", "xhigh", "max")),
        "format": maybe(record({"type": one_of("json_schema"), "schema": dictionary})),
        "task_budget": maybe(
            record({"type": one_of("tokens"), "total": integer(1)}, {"remaining": maybe(integer(0))})
        ),
    },
)
_prompt = {
    "system": text_or(list_of(tagged({"text": TEXT_BLOCK}))),
    "tools": list_of(dictionary),  # `anthropic_standin.rules.tool_definitions` looks closer
    "tool_choice": TOOL_CHOICE,
    "thinking": THINKING,
    "output_config": _output,
    "cache_control": maybe(MARK),
    "speed": maybe(one_of("standard", "fast")),
}
_needed = {"model": text, "messages": list_of(MESSAGE, longest=100_000)}
REQUEST = record(
    {**_needed, "max_tokens": integer(0)},
    {
        **_prompt,
        "metadata": record({}, {"user_id": maybe(text)}),
        "stop_sequences": list_of(text),
        "stream": boolean,
        "service_tier": one_of("auto", "standard_only"),
        "inference_geo": maybe(text),
        "container": anything,
        "diagnostics": maybe(record({}, {"previous_message_id": maybe(text)})),
    },
)
COUNT_REQUEST = record(_needed, _prompt)


def check_fields(body: Any, betas: Collection[str], request: Check = REQUEST) -> None:
    """Every field is known, allowed by the betas that are on, and of the right type; fields about sampling apart."""
    if not isinstance(body, dict):
        raise Refusal("Input should be a valid dictionary")
    allowed = {name for name, prefixes in BETA_FIELDS.items() if _is_on(prefixes, betas)} | {*SAMPLING}
    request({name: value for name, value in body.items() if name not in allowed}, "")
    _check_binding(body.get("thinking"), betas)
    _check_task_budget(body.get("output_config"), betas)


def _check_binding(thinking: Json | None, betas: Collection[str]) -> None:
    if thinking and "block_binding" in thinking and not _is_on(("thinking-binding-controls-",), betas):
        path = below(f"thinking.{thinking['type']}", "block_binding")
        raise wrong(path, "Extra inputs are not permitted")


def _check_task_budget(output: Json | None, betas: Collection[str]) -> None:
    if output and "task_budget" in output and not _is_on(("task-budgets-",), betas):
        raise wrong(below("output_config", "task_budget"), "Extra inputs are not permitted")


def _is_on(prefixes: tuple[str, ...], betas: Collection[str]) -> bool:
    return any(value.startswith(prefixes) for value in betas)
