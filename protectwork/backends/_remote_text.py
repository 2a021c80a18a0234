"""What the other side sent, read strictly and value by value: pure, and nothing in it is trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

__all__ = ["JsonObject", "arn_of", "escaped", "json_object", "objects_of"]

JsonObject = Mapping[str, object]

_TEXT_CHARS = 200
_ARN_CHARS = 1024


def escaped(text: str) -> str:
    """Make text of the other side fit for a log: at most 200 characters, none of them a control character."""
    shown = repr(text[: _TEXT_CHARS + 1])[1:-1]
    return shown if len(shown) <= _TEXT_CHARS else f"{shown[: _TEXT_CHARS - 1]}…"


def json_object(body: bytes) -> JsonObject:
    """Read a JSON object, empty if it is none or could be read in two ways."""
    try:
        # Decoded here, for json would guess UTF-16 too.
        content = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return {}
    return cast("JsonObject", content) if isinstance(content, dict) else {}


def arn_of(content: JsonObject, key: str) -> str | None:
    """Give the ARN under ``key``, None if there is none that one may show."""
    arn = content.get(key)
    usable = isinstance(arn, str) and arn.isprintable() and 0 < len(arn) <= _ARN_CHARS
    return cast("str", arn) if usable else None


def objects_of(content: JsonObject, key: str) -> list[JsonObject] | None:
    """Give the list of objects under ``key``, None if there is none, or if it holds something else too."""
    values = content.get(key)
    if not isinstance(values, list) or not all(isinstance(value, Mapping) for value in cast("list[object]", values)):
        return None
    return cast("list[JsonObject]", values)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("one key twice: whoever reads it last wins")
    return content


def _no_json(constant: str) -> object:
    raise ValueError(constant)
