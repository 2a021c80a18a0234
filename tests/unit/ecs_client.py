"""A real client of boto3 in front of FakeEcsApi, which tries once and no more."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any

import boto3
from botocore.config import Config

from protectwork.testing import FakeEcsApi, Placement

_SESSION = boto3.Session()
_ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30, proxies={})


@contextmanager
def client_of(ecs: FakeEcsApi, **config: Any) -> Generator[Any]:
    with closing(_SESSION.client("ecs", config=_ONCE.merge(Config(**config)), **ecs.client_options())) as client:
        yield client


def said(answer: dict[str, Any]) -> dict[str, Any]:
    """What ECS said, without what botocore adds."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def metadata(ecs: FakeEcsApi, placement: Placement | None = None, *, path: str = "/task") -> Any:
    with urllib.request.urlopen(ecs.metadata_uri_of(placement or ecs.placement) + path) as answer:
        return json.load(answer)
