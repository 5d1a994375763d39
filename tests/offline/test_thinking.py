"""How thinking may be asked for, and what must come back untouched."""

from __future__ import annotations

import base64

import pytest

from anthropic_standin.signature import Prefix
from tests.offline.conversations import (
    BOTH,
    NEWEST,
    OLD,
    OPTIONAL,
    TOOL,
    Json,
    accepted,
    assistant,
    call,
    refused,
    request,
    result,
    user,
)

MANUAL = {"type": "enabled", "budget_tokens": 1024}
BINDING = "thinking-binding-controls-2026-08-01"
DROP = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
MODIFIED = (
    "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. "
    "These blocks must remain as they were in the original response."
)


def thought(before: Json, text: str = "hmm") -> Json:
    """A thinking block signed behind the conversation of that request."""
    return {"type": "thinking", "thinking": text, "signature": prefix_of(before).sign(text)}


def redacted(before: Json) -> Json:
    return {"type": "redacted_thinking", "data": prefix_of(before).sign("")}


def prefix_of(body: Json) -> Prefix:
    prefix = Prefix(body)
    for message in body["messages"]:
        for block in message["content"]:
            prefix.add(message["role"], block)
    return prefix


def continued(body: Json, *messages: Json, **fields: object) -> Json:
    return {**body, "messages": [*body["messages"], *messages], **fields}


def conversation(model: str = NEWEST) -> Json:
    """A question, a signed answer, another question, another signed answer, and a third question."""
    body = request(user("a"), model=model, system="be kind")
    body = continued(body, assistant(thought(body), "b"), user("c"))
    return continued(body, assistant(thought(body, "again"), "d"), user("e"))


@pytest.mark.parametrize(
    ("model", "kind", "expected"),
    [
        (NEWEST, "disabled", '"thinking.type.disabled" is not supported for this model. Thinking defaults'),
        (NEWEST, "enabled", '"thinking.type.enabled" is not supported for this model. Use'),
        (OPTIONAL, "enabled", '"thinking.type.enabled" is not supported for this model. Use'),
        (OPTIONAL, "between_tools", '"thinking.type.between_tools" is not supported for this model.'),
        (OLD, "adaptive", "adaptive thinking is not supported on this model"),
    ],
)
def test_a_model_refuses_the_thinking_it_does_not_have(model: str, kind: str, expected: str) -> None:
    thinking = {**MANUAL, "type": kind} if kind == "enabled" else {"type": kind}
    assert refused(request(user("a"), model=model, max_tokens=2000, thinking=thinking)).startswith(expected)


def test_each_model_takes_the_thinking_it_has() -> None:
    accepted(request(user("a"), model=NEWEST, thinking={"type": "between_tools"}))
    accepted(request(user("a"), model=OPTIONAL, thinking={"type": "disabled"}))
    for kind in ({"type": "adaptive"}, {"type": "disabled"}, MANUAL):
        accepted(request(user("a"), model=BOTH, max_tokens=2000, thinking=kind))


def test_a_thinking_budget_leaves_room_for_the_answer() -> None:
    body = request(user("a"), model=OLD, max_tokens=1024, thinking=MANUAL)
    assert refused(body) == "`max_tokens` must be greater than `thinking.budget_tokens`"
    small = {**MANUAL, "budget_tokens": 1023}
    assert refused({**body, "thinking": small}) == (
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    )


@pytest.mark.parametrize("model", [NEWEST, OPTIONAL, BOTH])
def test_signed_thinking_comes_back_as_it_was(model: str) -> None:
    accepted(conversation(model))


def test_thinking_without_text_needs_its_signature() -> None:
    body = request(user("a"))
    accepted(continued(body, assistant(thought(body, ""), "b"), user("c")))
    unsigned = {"type": "thinking", "thinking": "", "signature": ""}
    assert refused(continued(body, assistant(unsigned, "b"), user("c"))) == (
        "messages.1.content.0: each thinking block must contain thinking"
    )


def test_redacted_thinking_is_judged_like_any_other() -> None:
    body = request(user("a"))
    accepted(continued(body, assistant(redacted(body), "b"), user("c")))
    forged = {"type": "redacted_thinking", "data": "Zm9yZ2Vk"}
    assert refused(continued(body, assistant(forged, "b"), user("c"))) == (
        "messages.1.content.0: Invalid `data` in `redacted_thinking` block"
    )


@pytest.mark.parametrize("signature", ["", "Zm9yZ2Vk", "not base64!", "ü"])
def test_a_forged_signature_is_refused(signature: str) -> None:
    forged = {"type": "thinking", "thinking": "hmm", "signature": signature}
    assert refused(request(user("a"), assistant(forged, "b"), user("c"))) == (
        "messages.1.content.0: Invalid `signature` in `thinking` block"
    )


def test_what_a_signature_says_cannot_be_rewritten() -> None:
    body = request(user("a"))
    signed = thought(body)
    rewritten = base64.b64decode(signed["signature"]).replace(NEWEST.encode(), b"claude-sonnet-9-9")
    signed["signature"] = base64.b64encode(rewritten).decode()
    assert refused(continued(body, assistant(signed, "b"), user("c"))) == (
        "messages.1.content.0: Invalid `signature` in `thinking` block"
    )


def test_changed_thinking_is_refused() -> None:
    latest = conversation()
    latest["messages"][3]["content"][0]["thinking"] += " "
    assert refused(latest) == f"messages.3.content.0: {MODIFIED}"
    earlier = conversation()
    earlier["messages"][1]["content"][0]["thinking"] += " "
    assert refused(earlier) == "messages.1.content.0: Invalid `signature` in `thinking` block"


@pytest.mark.parametrize(
    ("change", "where", "difference"),
    [
        ({"system": "be brief"}, 1, "The `system` prompt differs"),
        ({"tools": [{**TOOL, "description": "Look!"}]}, 1, "The `tools` differ"),
        ({"tools": []}, 1, "The `tools` differ"),
    ],
)
def test_what_stands_before_signed_thinking_does_not_change(
    change: Json, where: int, difference: str
) -> None:
    message = refused({**conversation(), **change})
    assert message.startswith(
        f"messages.{where}.content.0: Invalid `signature` in `thinking` block. The block is bound to a "
        "different conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior`"
    )
    assert difference in message


def test_an_earlier_message_is_not_edited() -> None:
    body = conversation()
    body["messages"][2] = user("C")
    message = refused(body)
    assert message.startswith("messages.3.content.0: ")
    assert message.endswith("The messages before this block differ from those it was created with.")


def test_an_earlier_thinking_block_is_not_removed() -> None:
    body = conversation()
    del body["messages"][1]["content"][0]
    assert refused(body).endswith(
        "The `thinking` block that preceded this one when it was created is missing from this request."
    )


def test_older_models_do_not_look_at_the_prefix() -> None:
    body = conversation(OPTIONAL)
    body["messages"][0] = user("A")
    accepted({**body, "system": "be brief"})


def test_what_is_no_part_of_the_prompt_may_change() -> None:
    body = conversation()
    for message in body["messages"]:
        message["content"][-1]["cache_control"] = {"type": "ephemeral"}
    for message in body["messages"][:2]:
        del message["content"][-1]["cache_control"]
    system = [{"type": "text", "text": "be kind"}]
    accepted({**body, "system": system, "max_tokens": 5, "metadata": {}, "output_config": {"effort": "low"}})


def test_a_string_is_the_same_as_one_text_block() -> None:
    body = conversation()
    body["messages"][0] = {"role": "user", "content": "a"}
    accepted(body)


def test_merging_neighbours_changes_nothing() -> None:
    body = request(user("a"), user("b"))
    answer = assistant(thought(body), "c")
    accepted(request(user("a"), user("b"), answer, user("d")))
    accepted(request(user("a", "b"), answer, user("d")))


def test_a_result_as_text_or_as_a_block_signs_the_same() -> None:
    asked = request(user("a"), assistant(call("toolu_1")), user(result("toolu_1", content="seen")))
    answer = assistant(thought(asked), "b")
    as_block = user(result("toolu_1", content=[{"type": "text", "text": "seen"}]))
    accepted(request(user("a"), assistant(call("toolu_1")), as_block, answer, user("c")))


def test_the_conversation_may_be_cut_at_its_end() -> None:
    body = conversation()
    accepted({**body, "messages": body["messages"][:3]})


def test_blocks_of_another_model_are_dropped_in_silence() -> None:
    verdict = accepted({**conversation("claude-opus-5-5"), "system": "other", "model": NEWEST})
    assert verdict.transformations == ()


def test_drop_block_leaves_out_what_no_longer_fits_and_says_so() -> None:
    body = {**conversation(), "system": "be brief", "thinking": DROP}
    assert refused(body) == "thinking.adaptive.block_binding: Extra inputs are not permitted"
    assert accepted(body, [BINDING]).transformations == tuple(
        {"type": "thinking_dropped", "path": path, "reason": "prefix_binding_mismatch"}
        for path in ("messages.1.content.0", "messages.3.content.0")
    )


def test_a_block_signed_behind_dropped_ones_fits() -> None:
    body = {**conversation(), "system": "be brief", "thinking": DROP}
    prefix = accepted(body, [BINDING]).prefix
    signed = {"type": "thinking", "thinking": "x", "signature": prefix.sign("x")}
    verdict = accepted(continued(body, assistant(signed, "f"), user("g")), [BINDING])
    assert [dropped["path"] for dropped in verdict.transformations] == [
        "messages.1.content.0",
        "messages.3.content.0",
    ]


def test_with_manual_thinking_a_turn_with_tools_begins_with_thinking() -> None:
    body = request(user("a"), model=OLD, max_tokens=2000, thinking=MANUAL)
    round_trip = (call("toolu_1"), user(result("toolu_1")))
    accepted(continued(body, assistant(thought(body), round_trip[0]), round_trip[1]))
    bare = continued(body, assistant(round_trip[0]), round_trip[1])
    assert refused(bare).startswith(
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. "
        "When `thinking` is enabled, a final `assistant` message must start with a thinking block"
    )
    accepted({**bare, "thinking": {"type": "disabled"}})
    accepted(continued(bare, assistant("b"), user("c")))


def test_without_thinking_the_final_message_holds_none() -> None:
    body = request(user("a"), model=OLD)
    assert refused(continued(body, assistant(thought(body), "b"))) == (
        "messages.1.content.0: When thinking is disabled, an `assistant` message in the final position "
        "cannot contain `thinking`. To use thinking blocks, enable `thinking` in your request."
    )
    accepted(continued(body, assistant(thought(body), "b"), max_tokens=2000, thinking=MANUAL))
