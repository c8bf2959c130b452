"""The control: a sender as it is usually written, in a process of its own. It sends twice, and is meant to.

`python -m tests.faults.naive LEASE CHANNEL`: claims a batch with a lease (`for update skip locked`), posts it, tries
again when no answer comes, marks it accepted, and takes up whatever was claimed longer ago than the lease. Reads
`WINBACK_DATABASE_URL` and the channel's connection: e-mail in batches, notifications one by one. Ends when nothing is
left.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import psycopg
from pywebpush import WebPushException, webpush

from senders.contract import EMAIL, WEBPUSH, NotSent, OutcomeUnknown
from senders.webpush.guard import ToSandbox
from warehouse import connections

PLAN = """
insert into faults.naive (contact_id, email, subscription)
select contact_id, email,
    jsonb_build_object('endpoint', endpoint, 'keys', jsonb_build_object('p256dh', p256dh, 'auth', auth))
from raw.contacts left join raw.web_push_subscriptions using (contact_id)
"""
"""A day's messages. Planned again, it does not know them for the same."""
CLAIM = """
update faults.naive set state = 'sending', worker = %(worker)s, claimed_at = statement_timestamp(),
    lease_until = clock_timestamp() + %(lease)s * interval '1 second'
where id in (
    select id from faults.naive
    where state = 'planned' or (state = 'sending' and lease_until < clock_timestamp())
    order by id limit %(size)s for update skip locked
)
returning id, email, subscription
"""
TRIES = 4
TAKEN, REFUSED = "accepted", "failed"
Row = tuple[uuid.UUID, str, Mapping[str, Any]]


class Provider(ABC):
    """Where a channel's messages go."""

    size: int
    """Messages of a claim."""
    at_once: int
    """Messages of a call."""

    @abstractmethod
    def call(self, batch: Sequence[Row]) -> str | None:
        """One call: `accepted` or `failed`; None: no answer, or one that asks to try again."""

    def post(self, batch: Sequence[Row]) -> str | None:
        """Calls again and again while no answer comes. None: it gives up for now."""
        for attempt in range(TRIES):
            state = self.call(batch)
            if state is not None:
                return state
            time.sleep(min(0.2 * 2**attempt, 1.0))
        return None


class Mail(Provider):
    """SendGrid."""

    def __init__(self) -> None:
        self._at = connections.get(connections.SENDGRID)
        self.size = self.at_once = int(self._at.extra["batch_size"])
        self._client = httpx.Client(timeout=float(self._at.extra["timeout_seconds"]), trust_env=False)

    def call(self, batch: Sequence[Row]) -> str | None:
        """A request for all of them."""
        people = [{"to": [{"email": email}], "custom_args": {"message_id": str(one)}} for one, email, _ in batch]
        payload = {
            "from": {"email": "care@shop.example.com", "name": "Riverside"},
            "subject": "We miss you",
            "content": [{"type": "text/plain", "value": "Come back"}],
            "personalizations": people,
        }
        key = {"Authorization": f"Bearer {self._at.password}"}
        try:
            answer = self._client.post(f"{self._at.host}/v3/mail/send", json=payload, headers=key)
        except httpx.HTTPError:
            return None
        return {202: TAKEN, 400: REFUSED}.get(answer.status_code)


class Notifications(Provider):
    """The push services."""

    size, at_once = 20, 1

    def __init__(self) -> None:
        self._at = connections.get(connections.WEBPUSH)
        self._session = ToSandbox(self._at.extra["sandbox_host"], 1, float(self._at.extra["timeout_seconds"]))

    def call(self, batch: Sequence[Row]) -> str | None:
        """One notification, as the library's documentation shows it."""
        ((one, _, subscription),) = batch
        try:
            webpush(
                subscription,
                json.dumps({"title": "We miss you", "body": "Come back", "message_id": str(one)}),
                vapid_private_key=self._at.password,
                vapid_claims={"sub": self._at.extra["subject"]},
                ttl=3600,
                timeout=float(self._at.extra["timeout_seconds"]),
                requests_session=self._session,
            )
        except (NotSent, OutcomeUnknown):
            return None
        except WebPushException as error:
            return REFUSED if error.status_code in (404, 410) else None
        return TAKEN


PROVIDERS: Mapping[str, type[Provider]] = {EMAIL: Mail, WEBPUSH: Notifications}


def main() -> None:
    """Works until nothing is planned and no lease runs."""
    lease, provider = float(sys.argv[1]), PROVIDERS[sys.argv[2]]()
    with psycopg.connect(os.environ["WINBACK_DATABASE_URL"], autocommit=True) as ledger:

        def mark(batch: Sequence[Row], state: str) -> None:
            ledger.execute("update faults.naive set state = %s where id = any(%s)", [state, [one for one, *_ in batch]])

        while True:
            values = {"worker": str(os.getpid()), "lease": lease, "size": provider.size}
            claimed: Sequence[Row] = ledger.execute(CLAIM, values).fetchall()
            for start in range(0, len(claimed), provider.at_once):
                batch = claimed[start : start + provider.at_once]
                state = provider.post(batch)
                if state == REFUSED and len(batch) > 1:  # somebody in it: one by one
                    for one in batch:
                        mark([one], provider.post([one]) or TAKEN)
                elif state is not None:
                    mark(batch, state)
            if claimed:
                continue
            if ledger.execute("select from faults.naive where state = 'sending'").fetchone() is None:
                return
            time.sleep(0.1)


if __name__ == "__main__":
    main()
