"""The plainest client of an agent, for the tests of FakeAgent: it sends what it is told, and hides nothing."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from protectwork.testing import FakeAgent


@dataclass(frozen=True, kw_only=True)
class Got:
    """One whole answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


def put(agent: FakeAgent, *, enabled: bool, minutes: int | None = None, endpoint: str = "good") -> Got:
    fields = {"ProtectionEnabled": enabled} | ({} if minutes is None else {"ExpiresInMinutes": minutes})
    return ask(agent, "PUT", json.dumps(fields), endpoint=endpoint)


def get(agent: FakeAgent, *, endpoint: str = "good") -> Got:
    return ask(agent, "GET", endpoint=endpoint)


def ask(agent: FakeAgent, method: str, body: str | None = None, *, endpoint: str = "good") -> Got:
    connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
    try:
        connection.request(method, f"/api/{endpoint}/task-protection/v1/state", body=body and body.encode())
        response = connection.getresponse()
        return Got(status=response.status, headers=response.headers, body=response.read())
    finally:
        connection.close()
