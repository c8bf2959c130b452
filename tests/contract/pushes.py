"""Notifications of the tests: to two browsers of one person at two push services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from senders.contract import WEBPUSH, Message, Recipient
from tests.contract.providers import WebPush, message, subscription
from tests.contract.stub import Reply

NEW, OLD = "https://push.example.net/s/1", "https://other.example.org/s/2"


def to(*endpoints: str, **changes: Any) -> Message:
    """Message 1 to these browsers of one person, newest first."""
    recipient = Recipient(subscriptions=[subscription(endpoint) for endpoint in endpoints])
    return replace(message(1, WEBPUSH), recipient=recipient, **changes)


def answering(provider: WebPush, by_path: Mapping[str, Reply]) -> None:
    """What is answered on each path."""
    provider.stub.answer = lambda request: by_path[request.path]


def paths(provider: WebPush) -> list[str]:
    """What was asked, in order."""
    return [request.path for request in provider.stub.requests]
