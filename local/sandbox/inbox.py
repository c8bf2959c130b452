"""The inbox: every message as its recipient sees it, and what came back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from local.sandbox.core import Core


def routes(core: Core) -> list[Route]:
    """The inbox under /inbox."""

    async def page(_: Request) -> Response:
        return HTMLResponse(f"<p>{core.store.value('select count(*) from message')} messages</p>")

    return [Route("/inbox", page)]
