"""What one link may cost: whoever holds it may press it in a loop, and whatever comes by it counts as genuine.

The first calls of a message are kept like any others. Beyond them what was stored a moment ago is answered as before
and not stored again. Only a moment, for the same words later may mean more: an address has changed meanwhile, or the
wish was taken back by another way.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from uuid import UUID

from events.limits import LINK_AT_ONCE, LINK_PER_SECOND, REPEATED_WITHIN, Throttle

LINKS = 10_000
"""How many messages are remembered, in this process. Whoever is forgotten begins with a full bucket."""


class Link:
    """What came lately by the links of one message."""

    def __init__(self, message_id: UUID, throttle: Throttle) -> None:
        self._message_id, self._throttle = str(message_id), throttle
        self._stored = dict[str, tuple[str, float]]()
        self.turn = asyncio.Lock()
        """For what has an order: held from the moment that a call gets its time until it is stored."""

    def take(self) -> bool:
        """Whether one more call is kept whatever it says."""
        return self._throttle.take(self._message_id)

    def repeats(self, asked: Mapping[str, str]) -> bool:
        """Whether all of it (subject -> what was said of it) was the last that was stored of its subject, just now."""
        since = time.monotonic() - REPEATED_WITHIN
        found = [(self._stored.get(subject, ("", 0.0)), said) for subject, said in asked.items()]
        return all(last == said and at >= since for (last, at), said in found)

    def forget(self, asked: Mapping[str, str]) -> None:
        """Before it is stored: should that fail half-way, nobody knows what stands there."""
        for subject in asked:
            self._stored.pop(subject, None)

    def remember(self, asked: Mapping[str, str]) -> None:
        """Once it is stored."""
        self._stored.update({subject: (said, time.monotonic()) for subject, said in asked.items()})


class Links:
    """The links that were used lately; the oldest are forgotten. For one event loop."""

    def __init__(self) -> None:
        self._throttle = Throttle(LINK_PER_SECOND, LINKS, at_once=LINK_AT_ONCE)
        self._links: OrderedDict[UUID, Link] = OrderedDict()

    def of(self, message_id: UUID) -> Link:
        """That message's, new or known."""
        link = self._links.setdefault(message_id, Link(message_id, self._throttle))
        self._links.move_to_end(message_id)
        while len(self._links) > LINKS:
            self._links.popitem(last=False)
        return link
