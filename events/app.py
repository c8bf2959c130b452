"""The application: routes, and what holds for all of them (sizes, rates, no secrets in logs)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs
from uuid import UUID

import psycopg
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from events import calls, pages, preferences
from events.clock import business_time
from events.limits import (
    KEPT_BY_LINK,
    KEPT_OF_REFUSED,
    REFUSAL_COSTS,
    SMALL_BODY,
    BusyError,
    OversizedError,
    Room,
    Throttle,
    rate,
    read,
)
from events.repeats import Links
from events.store import Store
from senders.contract import Verdict, WebhookCall
from senders.sendgrid import events as sendgrid
from senders.twilio import events as twilio
from senders.webpush import events as webpush
from warehouse import connections, tokens
from warehouse.connections import Connection
from warehouse.errors import Misconfigured, WinbackError

log = logging.getLogger("winback.events")
ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
"""The token in the path is the key, whichever page posts it."""


def create_app(store: Store | None = None) -> FastAPI:
    """The application, with the connections of this process's environment.

    Raises `Misconfigured` for a key that is none. A missing key is no error: it is logged, and its provider's calls
    are refused with 503 until there is one.
    """
    kept = store or Store()
    # Paths hold tokens, and a token is a key to somebody's preferences: no access log, whoever serves this.
    logging.getLogger("uvicorn.access").disabled = True

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        kept.close()

    app = FastAPI(title="Winback events", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    service = Service(kept)
    app.add_api_route("/health", service.health, methods=["GET"])
    app.add_api_route("/events/sendgrid", service.sendgrid, methods=["POST"])
    app.add_api_route("/events/twilio", service.twilio, methods=["POST"])
    app.add_api_route("/events/twilio/inbound", service.twilio, methods=["POST"])
    app.add_api_route("/events/webpush/{token}", service.webpush, methods=["POST"])
    app.add_api_route("/events/webpush/{token}", service.webpush_asked, methods=["OPTIONS"])
    app.add_api_route("/unsubscribe/{token}", service.ask_unsubscribe, methods=["GET", "HEAD"])
    app.add_api_route("/unsubscribe/{token}", service.unsubscribe, methods=["POST"])
    app.add_api_route("/preferences/{token}", service.ask_preferences, methods=["GET", "HEAD"])
    app.add_api_route("/preferences/{token}", service.choose, methods=["POST"])
    app.add_api_route("/test", service.test, methods=["GET", "HEAD", "POST"])
    app.middleware("http")(service.guard)
    return app


class Service:
    """The routes' work."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._throttle = Throttle(rate())
        self._room = Room()
        self._wishes, self._reports = Links(), Links()
        self._sendgrid = connections.find(sendgrid.CONNECTION)
        self._twilio = connections.find(twilio.CONNECTION)
        self._webpush = connections.find(connections.WEBPUSH)
        for name, ready in (
            (f"{sendgrid.CONNECTION}: extra webhook_public_key", sendgrid.is_ready(self._sendgrid)),
            (f"{twilio.CONNECTION}: password, for SK... webhook_secret", twilio.is_ready(self._twilio)),
        ):
            if not ready:
                log.error("No key to verify webhooks by (%s). Its calls are refused with 503 until there is one.", name)
        self._twilio_url = ""
        if self._twilio is not None:
            try:
                self._twilio_url = twilio.webhook_url(self._twilio)
            except Misconfigured:
                log.exception("Twilio's calls are verified for the address that this service sees: not behind a proxy.")

    async def guard(self, request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        """For every request: the rate, and an answer without details when something of ours breaks."""
        caller = request.client.host if request.client else "unknown"
        request.state.is_throttled = not self._throttle.take(caller)
        if request.state.is_throttled and not _may_be_genuine(request):
            return _readable(request, _slower())
        try:
            response = await follow(request)
        except (psycopg.Error, WinbackError, OSError) as error:
            log.error("A call could not be kept (%s): refused with 503 for now.", type(error).__name__)  # noqa: TRY400 - the traceback could hold a body
            person = str(request.scope["path"]).startswith(("/unsubscribe/", "/preferences/"))
            return pages.trouble() if person else _readable(request, PlainTextResponse("Try again later\n", 503))
        if 400 <= response.status_code < 500:
            self._throttle.take(caller, REFUSAL_COSTS)
        return _readable(request, response)

    async def health(self) -> Response:
        """200 while the warehouse can be reached."""
        await run_in_threadpool(self._store.is_reachable)
        return JSONResponse({"status": "ok"})

    async def sendgrid(self, request: Request) -> Response:
        """SendGrid's Event Webhook."""
        vendor = calls.Vendor(sendgrid.PROVIDER, sendgrid.verify, sendgrid.parse, self._sendgrid)
        return await self._webhook(request, vendor, PlainTextResponse("ok\n"))

    async def twilio(self, request: Request) -> Response:
        """Twilio's status callbacks and inbound texts."""
        vendor = calls.Vendor(twilio.PROVIDER, twilio.verify, twilio.parse, self._twilio)
        thanks = Response(twilio.EMPTY_TWIML, media_type="text/xml")
        return await self._webhook(request, vendor, thanks, largest=SMALL_BODY)

    async def webpush(self, request: Request, token: str) -> Response:
        """What a service worker reports; it may come from the shop's own origin."""
        try:
            message_id = tokens.read("webpush", token)
        except WinbackError:
            return PlainTextResponse("Unknown\n", 404)
        vendor = calls.Vendor(
            webpush.PROVIDER,
            lambda *_: Verdict.VERIFIED,
            lambda call: webpush.parse(call, message_id),
            self._webpush,
            self._reports.of(message_id),
        )
        return await self._webhook(request, vendor, PlainTextResponse("ok\n"), largest=SMALL_BODY)

    async def webpush_asked(self) -> Response:
        """What a browser asks before it posts JSON from another origin (Fetch, CORS preflight): it may."""
        allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Content-Type"}
        return Response(status_code=204, headers={**allowed, "Access-Control-Max-Age": "86400"})

    async def test(self) -> Response:
        """Where the links of a test message lead: nothing happens, and nothing is kept."""
        return pages.tested()

    async def ask_unsubscribe(self, token: str) -> Response:
        """The question. Nothing happens by looking at it."""
        message_id = _message_id("unsubscribe", token)
        return pages.ask_unsubscribe(_preferences(message_id)) if message_id else pages.not_found()

    async def unsubscribe(self, request: Request, token: str) -> Response:
        """One click (RFC 8058) or the page's button: 200 without a redirect, as often as it is pressed."""
        message_id = _message_id("unsubscribe", token)
        if message_id is None:
            return pages.not_found()
        body = await _small(request)
        one_click = b"list-unsubscribe" in body.lower()  # a form or multipart, as RFC 8058 allows
        source = preferences.ONE_CLICK if one_click else preferences.PAGE
        await self._wish(request, body, message_id, preferences.UNSUBSCRIBE, source)
        return pages.unsubscribed(_preferences(message_id))

    async def ask_preferences(self, token: str) -> Response:
        """The choices."""
        return pages.preferences() if _message_id("preferences", token) else pages.not_found()

    async def choose(self, request: Request, token: str) -> Response:
        """One choice, kept."""
        message_id = _message_id("preferences", token)
        if message_id is None:
            return pages.not_found()
        body = await _small(request)
        choice = parse_qs(body.decode("utf-8", "replace")).get("choice", [""])[0]
        try:
            heard = await self._wish(request, body, message_id, choice, preferences.PAGE)
        except KeyError:
            return pages.unclear()
        return pages.chosen(choice) if heard else pages.later()

    async def _wish(self, request: Request, body: bytes, message_id: UUID, choice: str, source: str) -> bool:
        """Keeps what somebody asks for by a link, and says whether it holds. A stop always does.

        Once the link's bucket is empty, the same again stores nothing, and another wish has to come later.
        """
        link = self._wishes.of(message_id)
        async with link.turn:
            call = await self._call(request, body, self._sendgrid)
            at, received_at = call.occurred_at, call.received_at
            rows = preferences.choose(choice, message_id, occurred_at=at, received_at=received_at, source=source)
            asked = {row.channel: choice for row in rows}
            if not link.take():
                if link.repeats(asked):
                    return True
                if any(row.kind != "unsubscribed" for row in rows):
                    return False
            link.forget(asked)
            await run_in_threadpool(
                calls.keep, source, call, Verdict.VERIFIED, self._store, events=list(rows), most=KEPT_BY_LINK
            )
            link.remember(asked)
        return True

    async def _webhook(
        self, request: Request, vendor: calls.Vendor, thanks: Response, largest: int | None = None
    ) -> Response:
        with self._room.share() as take:
            keeps = not request.state.is_throttled
            try:
                body = await (read(request, largest, take) if largest else read(request, take=take))
            except OversizedError as error:
                if keeps and (vendor.link is None or vendor.link.take()):
                    call = await self._call(request, error.read, vendor.connection)
                    most = KEPT_BY_LINK if vendor.link else KEPT_OF_REFUSED
                    await run_in_threadpool(
                        calls.keep, vendor.provider, call, Verdict.OVERSIZED, self._store, most=most
                    )
                return PlainTextResponse("Too large\n", 413, headers={"Connection": "close"})
            except (TimeoutError, ClientDisconnect):
                return PlainTextResponse("Too slow\n", 408, headers={"Connection": "close"})
            except BusyError:
                return PlainTextResponse("Busy\n", 503, headers={"Connection": "close", "Retry-After": "5"})
            call = await self._call(request, body, vendor.connection)
            verdict = await run_in_threadpool(calls.receive, vendor, call, self._store, keep_refused=keeps)
        if verdict is Verdict.VERIFIED:
            return thanks
        return PlainTextResponse(f"{verdict.value}\n", calls.STATUS[verdict]) if keeps else _slower()

    async def _call(self, request: Request, body: bytes, connection: Connection | None) -> WebhookCall:
        now = datetime.now(UTC)
        call = WebhookCall(dict(request.headers), body, self._url(request), now, now)
        ask = not str(request.scope["path"]).startswith("/events/sendgrid")  # its events carry their own times
        moment = await run_in_threadpool(lambda: business_time(connection, call.headers, now, ask=ask))
        return replace(call, occurred_at=moment)

    def _url(self, request: Request) -> str:
        """The address as Twilio was told it, which a proxy in between may hide from us."""
        path, query = str(request.scope["path"]), request.scope["query_string"].decode("latin-1")
        if not self._twilio_url or not path.startswith("/events/twilio"):
            return str(request.url)
        return f"{self._twilio_url}{path.removeprefix('/events/twilio')}{'?' + query if query else ''}"


def _may_be_genuine(request: Request) -> bool:
    """Whether a throttled caller is heard all the same, for it may share its address with a flood.

    A provider's call, which its signature will tell, and who says a wish by a link of ours, of which each has a rate.
    """
    parts = str(request.scope["path"]).split("/")
    purpose = "".join(parts[1:2])  # OPTIONS may ask about *, which has no parts
    if purpose in ("unsubscribe", "preferences"):
        return _message_id(purpose, parts[-1]) is not None
    return parts[1:3] in (["events", "sendgrid"], ["events", "twilio"])


def _readable(request: Request, answer: Response) -> Response:
    """The answer; where a service worker reports, the shop's page may read it, whatever it says."""
    if str(request.scope["path"]).startswith("/events/webpush/"):
        answer.headers.update(ANY_ORIGIN)
    return answer


def _slower() -> Response:
    return PlainTextResponse("Too many requests\n", 429, headers={"Retry-After": "1"})


def _message_id(purpose: str, token: str) -> UUID | None:
    try:
        return tokens.read(purpose, token)
    except WinbackError:
        return None


def _preferences(message_id: UUID) -> str:
    return f"../preferences/{tokens.sign('preferences', message_id)}"


async def _small(request: Request) -> bytes:
    """What a person's form holds, cut off where it is too long: an unsubscription counts whatever comes with it."""
    try:
        return await read(request, SMALL_BODY)
    except OversizedError as error:
        return error.read
