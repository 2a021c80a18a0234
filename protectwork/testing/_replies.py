"""What replies are made of, whoever speaks (PURE)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from protectwork.testing._exchange import Reply, Wire

__all__ = ["dropped", "hung", "in_json", "in_text", "late"]


def in_json(body: Any, *, status: int = 200, content_type: str = "application/json") -> Reply:
    """A JSON body, written as Go writes it."""
    written = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Reply(status=status, content_type=content_type, body=written.encode())


def in_text(body: str, *, status: int) -> Reply:
    """A body of plain text."""
    return Reply(status=status, content_type="text/plain; charset=utf-8", body=body.encode())


def dropped() -> Reply:
    """Nothing; the connection is closed."""
    return Reply(status=None, wire=Wire.DROP)


def hung() -> Reply:
    """Nothing; the connection stays open until somebody closes it."""
    return Reply(status=None, wire=Wire.HANG)


def late(reply: Reply, *, by_s: float) -> Reply:
    """The same reply, so many seconds after the request."""
    return replace(reply, delay_s=by_s)
