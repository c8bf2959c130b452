"""A way out without a provider: one memory sender a channel, shared by all lanes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from outbox import claims, runs
from outbox.claims import Claim, Group, Rules, Shard
from outbox.dispatch import Dispatched, Dispatcher
from outbox.sql import ledger
from senders.contract import EMAIL, SMS, WEBPUSH, Message, Outcome, OutcomeKind, Sender
from senders.memory.send import MemorySender
from tests.integration.handoff_stub import BUILT_AT, SEND_AT, UNTIL, Shop

Answer = Callable[[Message], Outcome]

ACCEPT = Outcome(OutcomeKind.ACCEPTED, provider_message_id="p1")
REJECT = Outcome(OutcomeKind.REJECTED, error_code="21610", suppress="stopped")
UNKNOWN = Outcome(OutcomeKind.UNKNOWN, error_code="timeout")


class Outbound:
    """What was sent, and the instants a simulated dispatch stepped through."""

    def __init__(self, batch_size: int = 100, **answers: Answer) -> None:
        self.senders = {
            channel: MemorySender(
                channel,
                batch_size=batch_size,
                unreachable_after=2 if channel == WEBPUSH else 1,
                **({"answer": answer} if answer else {}),
            )
            for channel in (EMAIL, SMS, WEBPUSH)
            for answer in [answers.get(channel)]
        }
        self.instants: list[datetime] = []

    def factory(self, channel: str, definition: Mapping[str, Any]) -> Sender:
        """A sender factory, as the dispatcher wants it."""
        return self.senders[channel]

    @property
    def sent(self) -> list[tuple[str, Message]]:
        """Everything that reached somebody, by channel."""
        return [(channel, message) for channel, sender in self.senders.items() for message in sender.inbox]

    def simulate(
        self,
        start: datetime = BUILT_AT,
        until: datetime = UNTIL,
        *,
        tell: Callable[[datetime], None] | None = None,
        **options: Any,
    ) -> Dispatched:
        """A simulated dispatch over a day."""

        def told(instant: datetime) -> None:
            self.instants.append(instant)
            if tell is not None:
                tell(instant)

        return Dispatcher(self.factory, **options).simulated(start, until, tell=told)


def together(*works: Callable[[], object]) -> list[object]:
    """Does them all at the same time, each in a thread; returns their results, or raises what one of them raised."""
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], object]) -> object:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [each.result() for each in [pool.submit(begin, work) for work in works]]


def claim_due(
    clock: datetime = SEND_AT,
    *,
    channel: str = EMAIL,
    mode: str = "simulated",
    size: int = 100,
    shard: Shard | None = None,
) -> Claim:
    """One claim of what is due on a channel, as a lane makes it; empty when nothing is."""
    with ledger() as connection:
        shard = shard or Shard()
        for group in claims.due_groups(connection, clock=clock, mode=mode, shard=shard):
            if group.channel == channel:
                return claim_group(group, clock, mode=mode, size=size, shard=shard)
    return Claim()


def claim_group(group: Group, clock: datetime, *, mode: str = "simulated", size: int = 100, shard: Shard) -> Claim:
    """One claim of a group."""
    with ledger() as connection:
        rules = Rules.of(runs.definition(connection, group.definition_hash))
        return claims.claim(connection, group, rules, clock=clock, mode=mode, shard=shard, worker="test", size=size)


def states(shop: Shop) -> dict[str, int]:
    """Messages by state."""
    return dict(shop.rows("select state, count(*) from outbox.message group by state"))  # type: ignore[arg-type]
