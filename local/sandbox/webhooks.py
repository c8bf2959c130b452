"""What comes back: signed webhooks, posted when the sandbox's clock reaches them.

SendGrid posts batches, signed with ECDSA over timestamp and raw body ("Event Webhook security features"); Twilio posts
a form for each status and each inbound text, signed with HMAC-SHA1 over URL and fields ("Webhooks security"). SendGrid
comes again until the answer is 2xx; Twilio once, and only where no connection stood ("Connection overrides"). The
signed timestamp is the real time of posting; what happened when is in the simulated clock: SendGrid says so in each
event; for what says nothing of its time (Twilio, unsubscribing by one click, service workers) the post carries
`X-Sandbox-Clock` (ISO 8601), which no real provider sends.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import random
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from local.sandbox.core import Core
from local.sandbox.keys import private_key

BATCH = 500
PARALLEL = 32
TIMEOUT_SECONDS = 30
BACK_OFF_SECONDS = (0.2, 0.5, 1, 2, 5, 10, 30, 60)
"""Quicker than the providers (minutes, for 24 hours): a demo does not wait that long for a service that starts."""
FORMS = ("twilio", "inbound")
"""The routes of Twilio's."""
SUPPRESSING = {"bounce": "email", "unsubscribe": "email", "spamreport": "email", "stop": "sms"}


def sign_sendgrid(private_raw: str, timestamp: str, body: bytes) -> str:
    """X-Twilio-Email-Event-Webhook-Signature: base64 of the DER signature over timestamp and raw body."""
    signature = private_key(private_raw).sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return base64.b64encode(signature).decode()


def sign_twilio(token: str, url: str, form: Mapping[str, str]) -> str:
    """X-Twilio-Signature: base64 of HMAC-SHA1 over the whole URL and every field, sorted by name."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Webhooks:
    """The worker that posts what is due."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._dice = random.Random(1)  # noqa: S311 - shuffles webhooks on command
        self._session: aiohttp.ClientSession | None = None
        self._in_hand = 0
        """Events of the round that is being posted."""

    async def run(self) -> None:
        """Posts until cancelled: woken by what is accepted and by the clock, and twice a second in real time."""
        connector = aiohttp.TCPConnector(limit=PARALLEL)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            while True:
                self._core.changed.clear()
                if not await self.once():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._core.changed.wait(), 0.2)

    def pending(self) -> int:
        """How many events are due by the clock and not taken yet, or are still being posted a second time."""
        due = self._core.store.value(
            "select count(*) from event where state = 'due' and due_at <= ?", (self._core.now(),)
        )
        return max(int(due), self._in_hand)

    def is_behind(self) -> bool:
        """Whether anything is due by the clock and not taken yet."""
        query = "select 1 from event where state = 'due' and due_at <= ? limit 1"
        return self._in_hand > 0 or self._core.store.value(query, (self._core.now(),)) is not None

    async def once(self) -> bool:
        """Posts one round of what is due; False when nothing was."""
        due = self._core.store.rows(
            "select event.*, message.recipient, message.channel from event join message using (seq)"
            " where state = 'due' and due_at <= ? and retry_at <= ? order by due_at limit ?",
            (self._core.now(), time.time(), BATCH),
        )
        if not due:
            return False
        for event in due:
            self._remember(event)
        unreported = self._core.events_url is None
        rest: list[sqlite3.Row] = []
        shown: list[sqlite3.Row] = []
        for event in due:
            (shown if event["route"] == "shown" or (unreported and not event["url"]) else rest).append(event)
        self._taken(shown)
        faults = self._core.faults.met("webhook") if rest else []
        kinds = {fault.kind for fault in faults}
        for fault in faults:
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds or 0)
        if "lose" in kinds:
            self._taken(rest, "lost")
            return True
        if "reorder" in kinds:
            self._dice.shuffle(rest)
        self._in_hand = len(rest)
        try:
            await self._post_all(rest)
            if "duplicate" in kinds:
                await self._post_all(rest)
        finally:
            self._in_hand = 0
        return True

    def _remember(self, event: sqlite3.Row) -> None:
        channel = SUPPRESSING.get(event["kind"]) if event["route"] in ("sendgrid", "inbound") else None
        if channel and not event["attempts"]:
            self._core.store.suppress(channel, event["recipient"].lower(), event["kind"], event["due_at"])

    async def _post_all(self, events: Sequence[sqlite3.Row]) -> None:
        mails = [event for event in events if event["route"] == "sendgrid"]
        others = [event for event in events if event["route"] != "sendgrid"]
        posts = [self._post_mails(mails)] if mails else []
        posts += [self._post_form(it) if it["route"] in FORMS else self._post_person(it) for it in others]
        await asyncio.gather(*posts)

    async def _post_mails(self, events: Sequence[sqlite3.Row]) -> None:
        body = json.dumps([json.loads(event["body"]) for event in events]).encode()
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "SendGrid Event API",
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
            "X-Twilio-Email-Event-Webhook-Signature": sign_sendgrid(self._core.keys.webhook_private, timestamp, body),
        }
        await self._post(events, f"{self._core.events_url}/events/sendgrid", body, headers)

    async def _post_form(self, event: sqlite3.Row) -> None:
        url = event["url"] or f"{self._core.events_url}/events/twilio" + (
            "/inbound" if event["route"] == "inbound" else ""
        )
        form = json.loads(event["body"])
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "I-Twilio-Idempotency-Token": str(
                uuid.uuid5(uuid.NAMESPACE_OID, f"{form['MessageSid']}{event['event_id']}")
            ),
            "X-Twilio-Signature": sign_twilio(self._core.keys.twilio_token, url, form),
            "X-Sandbox-Clock": datetime.fromtimestamp(event["due_at"], UTC).isoformat(),
        }
        await self._post([event], url, urlencode(form).encode(), headers)

    async def _post_person(self, event: sqlite3.Row) -> None:
        """What no provider signs: a mail service's one-click unsubscribe (RFC 8058), a service worker's report."""
        headers = {"X-Sandbox-Clock": datetime.fromtimestamp(event["due_at"], UTC).isoformat()}
        if event["route"] == "one_click":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            await self._post([event], event["url"], b"List-Unsubscribe=One-Click", headers)
        else:
            headers["Content-Type"] = "application/json"
            await self._post([event], event["url"], event["body"].encode(), headers)

    async def _post(self, events: Sequence[sqlite3.Row], url: str, body: bytes, headers: Mapping[str, str]) -> None:
        assert self._session is not None  # noqa: S101 - `run` made it
        connected = True
        try:
            async with self._session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                taken = 200 <= answer.status < 300
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            taken, connected = False, not isinstance(error, aiohttp.ClientConnectorError)
        if taken:
            self._taken(events)
            return
        if events[0]["route"] in FORMS and (connected or events[0]["attempts"]):
            self._taken(events, "refused")
            return
        tried = [(event["attempts"] + 1, event["event_id"]) for event in events]
        now = time.time()
        self._core.store.execute_many(
            "update event set attempts = ?, retry_at = ? where event_id = ?",
            [(count, now + BACK_OFF_SECONDS[min(count, len(BACK_OFF_SECONDS)) - 1], key) for count, key in tried],
        )

    def _taken(self, events: Sequence[sqlite3.Row], state: str = "taken") -> None:
        self._core.store.execute_many(
            "update event set state = ? where event_id = ? and state = 'due'",
            [(state, it["event_id"]) for it in events],
        )
