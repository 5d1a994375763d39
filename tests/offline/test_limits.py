"""How much: cache marks, tokens, images."""

from __future__ import annotations

import base64
import struct

import pytest

from anthropic_standin.judge import Refusal, judge
from tests.agent.tools.pictures import drawn
from tests.offline.conversations import NEWEST, OLD, TOOL, Json, accepted, refused, request, user

MARK = {"type": "ephemeral"}
LONG = {"type": "ephemeral", "ttl": "1h"}
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 9000, 10) + b"rest"


def marked(mark: Json, words: str = "x") -> Json:
    return {"type": "text", "text": words, "cache_control": mark}


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)


def image(data: bytes, media_type: str = "image/png", **fields: object) -> Json:
    encoded = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": media_type, "data": encoded}
    return {"type": "image", "source": source, **fields}


def test_four_cache_marks_are_enough() -> None:
    body = request(user(*[marked(MARK)] * 3), tools=[{**TOOL, "cache_control": MARK}])
    accepted(body)
    expected = "A maximum of 4 blocks with cache_control may be provided. Found 5."
    assert refused({**body, "system": [marked(MARK)]}) == expected
    assert refused({**body, "cache_control": MARK}) == expected


def test_marks_that_live_longer_come_first() -> None:
    accepted(request(user(marked(MARK)), system=[marked(LONG)]))
    body = request(user("a"), system=[marked(LONG)], tools=[{**TOOL, "cache_control": MARK}])
    assert refused(body).startswith(
        "system.0.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m'"
    )


def test_a_prompt_over_the_window_is_too_long_and_nobodys_mistake() -> None:
    with pytest.raises(Refusal, match=r"^prompt is too long: \d+ tokens > 200000 maximum$") as caught:
        judge(request(user("word " * 170_000), model=OLD))
    assert not caught.value.blames_caller
    accepted(request(user("word " * 170_000), model=NEWEST))


def test_older_models_count_the_answer_against_the_window() -> None:
    body = request(user("word " * 120_000), model=OLD, max_tokens=64_000)
    expected = r"input length and `max_tokens` exceed context limit: \d+ \+ 64000 > 200000, decrease"
    with pytest.raises(Refusal, match=expected):
        judge(body)


def test_no_more_tokens_than_the_model_can_say() -> None:
    assert refused(request(user("a"), model=OLD, max_tokens=64_001)) == (
        "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for claude-haiku-4-5"
    )


@pytest.mark.parametrize(
    "conflict",
    [
        {"stream": True},
        {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
        {"tool_choice": {"type": "any"}},
    ],
)
def test_warming_the_cache_goes_with_nothing_that_wants_an_answer(conflict: Json) -> None:
    body = request(user("a"), model=OLD, max_tokens=0)
    accepted(body)
    assert refused({**body, **conflict}).startswith("max_tokens: 0 cannot be combined with")


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (image(png(8001, 10)), "At least one of the image dimensions exceed max allowed size: 8000 pixels"),
        (image(JPEG, "image/jpeg"), "At least one of the image dimensions exceed max allowed size: 8000"),
        (image(b"nothing"), "Could not process image"),
        (image(b"GIF89a\x01\0\x01\0"), "The image was specified using the image/png media type, but"),
        (image(b"x" * 8_000_000), "image exceeds 10 MB maximum: 10666668 bytes > 10485760 bytes"),
    ],
    ids=["png", "jpeg", "garbage", "gif as png", "bytes"],
)
def test_a_bad_image_is_refused(block: Json, expected: str) -> None:
    assert expected in refused(request(user(block)))


def test_good_images_are_accepted() -> None:
    accepted(request(user(image(drawn(8000, 10)), image(drawn(1, 1, "GIF"), "image/gif"))))
    accepted(request(user(image(drawn(9000, 10), transformations={"oversized_image": "downsize"}))))


@pytest.mark.parametrize(
    ("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif")]
)
def test_an_image_whose_data_is_cut_can_not_be_processed(kind: str, media_type: str) -> None:
    whole = drawn(300, 300, kind)
    accepted(request(user(image(whole, media_type))))
    words = refused(request(user(image(whole[: len(whole) // 2], media_type))))
    assert words == "messages.0.content.0.image.source.base64.data: Could not process image"


def test_many_images_have_to_be_smaller() -> None:
    accepted(request(user(*[image(drawn(2001, 10))] * 20)))
    assert refused(request(user(*[image(drawn(2001, 10))] * 21))).endswith(
        "exceed max allowed size for many-image requests: 2000 pixels"
    )


def test_there_are_only_so_many_images_in_a_request() -> None:
    address: Json = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    for model, most in ((OLD, 100), (NEWEST, 600)):
        accepted(request(user(*[address] * most), model=model))
        words = refused(request(user(*[address] * (most + 1)), model=model))
        assert words == f"messages: Too much media: 0 document pages + {most + 1} images > {most}"


def test_an_image_does_not_weigh_what_its_bytes_weigh() -> None:
    heavy = accepted(request(user(image(drawn(10, 10) + b"x" * 400_000))))
    assert heavy.input_tokens < 2000
