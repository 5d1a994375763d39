"""The limits that the model's API has for all pictures of a request together, as rules of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.agent.picture_admission import MAX_SIDE, decode_base64
from app.agent.tools.image_header import recognise
from app.conversation.blocks import Block
from app.conversation.pictures import has_pictures, pictures_of
from app.conversation.transcript import Message

MANY: Final = 20
"""With more pictures than that, none may have a longer side than MAX_SIDE."""
MOST: Final = 600
MOST_OF_SMALL_WINDOW: Final = 100
SMALL_WINDOW: Final = 200_000  # tokens
MOST_CHARACTERS: Final = 24_000_000
"""Characters of base64. A request has at most 32 MB, and text needs room as well."""
KEPT: Final = 20
KEPT_CHARACTERS: Final = 8_000_000
"""The newest pictures that the model has seen; they stay when others have to go, so that this happens seldom."""

_HEAD: Final = 64_000  # characters of base64: where the size of most pictures stands


def excess(rows: Sequence[Message], window: int) -> list[int]:
    """The positions of rows whose pictures have to go, so that the API takes the others; of a conversation within the
    limits, none. Pictures that the model has not seen yet stay as long as they can. `window` is the model's, in
    tokens."""
    most = MOST if window > SMALL_WINDOW else MOST_OF_SMALL_WINDOW
    holding = [
        (index, row, found)
        for index, row in enumerate(rows)
        if has_pictures(row) and (found := list(pictures_of(row)))
    ]
    count = sum(len(found) for _, _, found in holding)
    characters = sum(_characters(found) for _, _, found in holding)
    is_many = count > MANY
    if not is_many and characters <= MOST_CHARACTERS:
        return []
    large = {index for index, _, found in holding if any(map(_is_large, found))}
    if count <= most and characters <= MOST_CHARACTERS and not large:
        return []
    seen = max((index for index, row in enumerate(rows) if row.role == "assistant"), default=-1)
    gone, kept, kept_characters = [], 0, 0
    for index, row, found in reversed(holding):
        most_kept, most_characters = (KEPT, KEPT_CHARACTERS) if index < seen else (most, MOST_CHARACTERS)
        size = _characters(found)
        if index in large or kept + len(found) > most_kept or kept_characters + size > most_characters:
            gone.append(row.position)
        else:
            kept, kept_characters = kept + len(found), kept_characters + size
    return [position for position in gone if position >= 0]


def _characters(pictures: Sequence[Block]) -> int:
    return sum(len(str(picture.get("source", {}).get("data", ""))) for picture in pictures)


def _is_large(picture: Block) -> bool:
    """Is a side of it longer than many pictures may have? False for one that can't be read."""
    data = str(picture.get("source", {}).get("data", ""))
    for part in (data[:_HEAD], data):
        try:
            found = recognise(decode_base64(part))
        except ValueError:
            return False
        if found is None or found.width:
            return found is not None and max(found.width, found.height) > MAX_SIDE
    return False
