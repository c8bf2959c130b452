"""What the parts of the sandbox share: store, keys, clock, habits, faults, and the one way a message is accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from local.sandbox.fates import Habits
from local.sandbox.faults import Fault, Faults
from local.sandbox.keys import Keys
from local.sandbox.store import Accepted, Store

HANG_SECONDS = 3600.0
Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Core:
    """One sandbox."""

    store: Store
    keys: Keys
    url: str
    events_url: str | None = None
    """The base URL of the webhook service; None: what comes back is only shown."""
    push_keys: Path | None = None
    """The JSON file with the subscriptions' private keys, by endpoint."""
    habits: Habits = field(default_factory=Habits)
    faults: Faults = field(default_factory=Faults)
    clock: float | None = None
    """Epoch seconds of the simulated clock; None: real time."""
    keep_content: bool = True
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something new may be due."""

    def now(self) -> float:
        """Epoch seconds on the sandbox's clock."""
        return time.time() if self.clock is None else self.clock

    def moment(self) -> datetime:
        """The sandbox's clock, aware."""
        return datetime.fromtimestamp(self.now(), UTC)

    def set_clock(self, instant: datetime | None) -> None:
        """Moves the clock; None: real time again. What is due by then goes out."""
        self.clock = None if instant is None else instant.timestamp()
        self.store.set_meta("clock", self.clock)
        self.changed.set()

    def accept(self, messages: Sequence[Accepted]) -> None:
        """Keeps what a provider took."""
        self.store.add(messages)
        self.changed.set()


class Cut(Response):
    """No answer: the connection is reset. What was read of the request stays read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Aborts uvicorn's transport, which `app.with_transport` left in the scope, and waits until it noticed."""
        scope["transport"].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


def misbehaving(core: Core, channel: str, handler: Handler, refuse: Callable[[Fault], Response]) -> Handler:
    """The handler as the faults in force let it answer. `refuse` gives a provider's own 429 and 5xx."""

    async def handle(request: Request) -> Response:
        faults = core.faults.met(channel)
        for fault in faults:
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds or 0)
        broken = next((fault for fault in faults if fault.kind != "latency"), None)
        if broken is None:
            return await handler(request)
        if broken.takes_first:
            answer = await handler(request)
            if answer.status_code >= 300:  # refused anyway: the refusal is the honest answer
                return answer
        else:
            await request.body()
        return await _break(broken, refuse)

    return handle


async def _break(fault: Fault, refuse: Callable[[Fault], Response]) -> Response:
    if fault.kind == "drop":
        return Cut()
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds or HANG_SECONDS)
        return Cut()
    if fault.kind == "nonsense":
        return JSONResponse({"hello": ["world", None]})
    return refuse(fault)
