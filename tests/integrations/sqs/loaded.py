"""Imported, both libraries have loaded their model of SQS, and ours what calls ECS: for the forks of `nursery.SQS`."""

from __future__ import annotations

import asyncio

import httpx
from integrations.sqs import program

from protectwork.backends import agent

__all__ = ["agent", "httpx"]


async def _load() -> None:
    async with program.async_client("http://127.0.0.1:1"):
        pass


program.client("http://127.0.0.1:1").close()
asyncio.run(_load())
