"""Misbehaviour on command: a list of rules, asked once for every request to a provider and for every webhook.

| kind | what the caller meets | options |
| --- | --- | --- |
| `latency` | an answer after `seconds` | seconds |
| `throttle` | 429 with Retry-After | retry_after |
| `error` | `status` (500) | status, accepted: true when the provider took the message all the same |
| `drop` | the connection cut without an answer | accepted (default true) |
| `hang` | no answer for `seconds` (an hour) | seconds, accepted |
| `nonsense` | 200 and a body no API sends | accepted |
| `bad_recipient` | recipients matching `pattern`, or number `index` of a request, refused as invalid | pattern, index |
| `duplicate`, `reorder`, `lose` | webhooks delivered twice, shuffled, or never (channel `webhook`) | |

Each rule is for one `channel` (email, sms, webpush, webhook; `*` for the three providers) and meets a request with
`probability`, or the `next` N requests.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

PROVIDERS = ("email", "sms", "webpush")
REQUEST_KINDS = ("latency", "throttle", "error", "drop", "hang", "nonsense")
WEBHOOK_KINDS = ("duplicate", "reorder", "lose", "latency")
KINDS = (*REQUEST_KINDS, "bad_recipient", "duplicate", "reorder", "lose")


@dataclass
class Fault:
    """One rule. Raises `ValueError` naming the option that is wrong."""

    kind: str
    channel: str = "*"
    probability: float = 1.0
    next: int | None = None
    """For the next N requests it meets; None: until taken back."""
    seconds: float | None = None
    retry_after: int = 1
    status: int = 500
    accepted: bool | None = None
    pattern: str = ""
    index: int | None = None

    def __post_init__(self) -> None:
        known = WEBHOOK_KINDS if self.channel == "webhook" else (*REQUEST_KINDS, "bad_recipient")
        if self.channel not in ("*", "webhook", *PROVIDERS):
            raise ValueError(f"channel is {self.channel!r}; it can be email, sms, webpush, webhook or *")
        if self.kind not in known:
            raise ValueError(f"kind is {self.kind!r}; for channel {self.channel} it can be {', '.join(known)}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it lies between 0 and 1")
        if self.next is not None and self.next < 1:
            raise ValueError(f"next is {self.next}; it counts requests, from 1")
        if self.kind == "latency" and not self.seconds:
            raise ValueError("latency needs seconds")
        if self.kind == "bad_recipient" and not self.pattern and self.index is None:
            raise ValueError("bad_recipient needs a pattern (a regular expression) or an index (from 0)")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from None

    def document(self) -> dict[str, Any]:
        """As JSON, without what does not apply to its kind."""
        foreign = {name for name, kind in (("retry_after", "throttle"), ("status", "error")) if kind != self.kind}
        return {name: value for name, value in asdict(self).items() if name not in foreign}

    @property
    def takes_first(self) -> bool:
        """Whether the message is accepted before the misbehaviour shows."""
        return self.kind == "drop" if self.accepted is None else self.accepted


@dataclass
class Faults:
    """The rules in force, and the dice (seeded, so that an experiment can be repeated)."""

    rules: list[Fault] = field(default_factory=list)
    seed: int = 1

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 - dice of an experiment
        self._lock = threading.Lock()

    def replace(self, rules: Iterable[Mapping[str, Any]], seed: int = 1) -> None:
        """Puts these rules in place of all others. Raises `ValueError` for an unknown option, changing nothing."""
        self.rules = [parse(rule) for rule in rules]
        self.seed = seed
        self._dice = random.Random(seed)  # noqa: S311

    def add(self, rule: Mapping[str, Any]) -> None:
        """Adds one rule. Raises `ValueError` for an unknown option."""
        self.rules.append(parse(rule))

    def met(self, channel: str) -> list[Fault]:
        """The rules that this request (or webhook) meets; `bad_recipient` is asked for apart."""
        with self._lock:
            met = []
            for rule in list(self.rules):
                if (
                    rule.kind != "bad_recipient"
                    and self._concerns(rule, channel)
                    and self._dice.random() < rule.probability
                ):
                    met.append(rule)
                    self._count(rule)
            return met

    def is_bad(self, channel: str, recipient: str, index: int = 0) -> bool:
        """Whether a rule makes this recipient invalid."""
        for rule in list(self.rules):
            if rule.kind == "bad_recipient" and self._concerns(rule, channel):
                hit = index == rule.index if rule.index is not None else re.search(rule.pattern, recipient) is not None
                if hit:
                    self._count(rule)
                    return True
        return False

    def _concerns(self, rule: Fault, channel: str) -> bool:
        return rule.channel == channel or (rule.channel == "*" and channel in PROVIDERS)

    def _count(self, rule: Fault) -> None:
        if rule.next is not None:
            rule.next -= 1
            if rule.next == 0:
                self.rules.remove(rule)

    def listed(self) -> list[dict[str, Any]]:
        """The rules as JSON."""
        return [rule.document() for rule in self.rules]


def parse(rule: Mapping[str, Any]) -> Fault:
    """One rule from JSON. Raises `ValueError` naming what is wrong."""
    known = {one.name for one in fields(Fault)}
    if unknown := set(rule) - known:
        raise ValueError(f"unknown option {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    if "kind" not in rule:
        raise ValueError(f"a fault needs a kind: {', '.join(KINDS)}")
    return Fault(**rule)
