"""The models the stand-in knows, and what each of them accepts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from anthropic_standin.refusal import Json, Refusal

THINKING_TYPES = ("adaptive", "between_tools", "disabled", "enabled")


@dataclass(frozen=True, slots=True)
class Model:
    """One model. The defaults are those of the newest generation."""

    id: str
    thinking: frozenset[str]  # the values of thinking.type that it takes
    preserves: bool = True  # its signatures also cover what stands before the thinking
    forced_choice: bool = False  # tool_choice `any` and `tool`
    system_messages: bool = True  # role `system` inside `messages`
    thinks_by_default: bool = True  # when the request does not mention thinking
    prefill: bool = False  # the conversation may end with the assistant's words
    window: int = 1_000_000
    max_output: int = 128_000
    sampling: bool = False  # takes `temperature` and `top_p`, under the API's older version
    retired: bool = False

    def thinks(self, thinking: Json | None) -> bool:
        """Whether thinking blocks may come and may come back."""
        return self.thinks_by_default if thinking is None else thinking["type"] != "disabled"

    def manual(self, thinking: Json | None) -> bool:
        return thinking is not None and thinking["type"] == "enabled"


def _table() -> dict[str, Model]:
    newest = Model("claude-opus-5-5", frozenset({"adaptive"}))
    fifth = replace(newest, preserves=False, forced_choice=True)
    optional = replace(fifth, thinking=frozenset({"adaptive", "disabled"}))
    fourth = replace(optional, thinks_by_default=False)
    both = replace(
        fourth,
        thinking=frozenset({"adaptive", "disabled", "enabled"}),
        system_messages=False,
        sampling=True,
    )
    manual = replace(
        both, thinking=frozenset({"disabled", "enabled"}), prefill=True, window=200_000, max_output=64_000
    )
    families = {
        newest: ("opus-5-5", "fable-5-1", "fable-5-2", "mythos-5-1", "mythos-5-2"),
        replace(newest, thinking=frozenset({"adaptive", "between_tools"})): ("sonnet-5-5",),
        replace(optional, preserves=True): ("haiku-5-5",),
        fifth: ("fable-5", "mythos-5"),
        optional: ("opus-5", "sonnet-5"),
        fourth: ("opus-4-8",),
        replace(fourth, system_messages=False): ("opus-4-7",),
        both: ("opus-4-6", "sonnet-4-6"),
        manual: (
            *("opus-4-5", "opus-4-5-20251101", "sonnet-4-5", "sonnet-4-5-20250929"),
            *("haiku-4-5", "haiku-4-5-20251001"),
        ),
        replace(manual, retired=True): ("opus-4-1", "opus-4-0", "sonnet-4-0", "sonnet-4-20250514"),
    }
    names = ((family, f"claude-{name}") for family, members in families.items() for name in members)
    return {name: replace(family, id=name) for family, name in names}


MODELS = _table()


def find_model(name: str) -> Model:
    """Refuses a name that is unknown and a model that is retired in the same words, as the API does."""
    model = MODELS.get(name)
    if model is None or model.retired:
        raise Refusal(f"model: {name}", status=404)
    return model


def describe(model: Model) -> Json:
    """The answer of `GET /v1/models/{id}`."""
    yes, no = {"supported": True}, {"supported": False}
    types = {kind: yes if kind in model.thinking else no for kind in THINKING_TYPES}
    efforts = dict.fromkeys(("low", "medium", "high", "xhigh", "max"), yes)
    plain = ("batch", "citations", "code_execution", "image_input", "pdf_input", "structured_outputs")
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id.removeprefix("claude-").replace("-", " ").title(),
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": model.id.split("-")[1],
        "max_input_tokens": model.window,
        "max_tokens": model.max_output,
        "capabilities": {
            **dict.fromkeys(plain, yes),
            "context_management": yes,
            "effort": {"supported": True, **efforts},
            "server_tools": {"supported": True, "code_execution": yes, "web_search": yes},
            "thinking": {"supported": True, "types": types},
        },
    }
