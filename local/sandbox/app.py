"""The sandbox as one ASGI application: providers, control, inbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from local.sandbox import control, inbox, sendgrid, twilio, webpush
from local.sandbox.core import Core
from local.sandbox.webhooks import Webhooks

COMMIT_SECONDS = 0.1

log = logging.getLogger("local.sandbox")


LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
GUARDED = ("/control", "/inbox", "/assets")


@dataclass
class OnlyFromHere:
    """Answers inbox and control API under a loopback name only: no page of the web can rebind its own name to them."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses other names with 421; the push service answers under any."""
        if scope["type"] == "http" and scope["path"].startswith(GUARDED):
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if host.rpartition(":")[0] not in LOOPBACK and host not in LOOPBACK:
                await Response("This is the local sandbox.\n", 421)(scope, receive, send)
                return
        await self.app(scope, receive, send)


@dataclass
class WithTransport:
    """Leaves uvicorn's transport in the scope, so that a fault can reset the connection as a dying server would.

    ASGI has no word for that; uvicorn's receive is a method of its request cycle, which holds the transport.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        if scope["type"] == "http":
            scope["transport"] = getattr(getattr(receive, "__self__", None), "transport", None)
        await self.app(scope, receive, send)


def _report(task: asyncio.Task[None]) -> None:
    """A worker that ends before the server does is a bug: said, and the process ends rather than wait for ever."""
    if not task.cancelled() and (error := task.exception()):
        log.critical("The sandbox's worker failed.", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


def make(make_core: Callable[[], Core], instance: str) -> Starlette:
    """The application. `make_core` is called in the server's own thread; `instance` names it in its health."""
    core = make_core()
    webhooks = Webhooks(core)

    async def commit() -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            core.store.commit()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(webhooks.run()), asyncio.create_task(commit())]
        for task in tasks:
            task.add_done_callback(_report)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        core.store.close()

    async def root(_: Request) -> Response:
        return RedirectResponse("/inbox")

    return Starlette(
        routes=[
            Route("/", root, methods=["GET"]),
            Mount("/sendgrid", routes=list(sendgrid.routes(core))),
            Mount("/twilio", routes=list(twilio.routes(core))),
            Mount("/control", routes=list(control.routes(core, webhooks, instance))),
            *inbox.routes(core),
            *webpush.routes(core),
        ],
        middleware=[Middleware(OnlyFromHere), Middleware(WithTransport)],
        lifespan=lifespan,
    )
