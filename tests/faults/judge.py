"""The judge: the providers' receipts against the ledger, and the audit of how the ledger came to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from local.sandbox.server import Handle
from tests.faults import nights
from tests.faults.crew import Contestant

ZEROS = (
    "duplicated",
    "lost",
    "false_accepted",
    "unexpected",
    "no_consent",
    "quiet_hours",
    "two_owners",
    "uneven",
    "regressed",
)
"""What has to be zero for us in every round."""


@dataclass
class Verdict:
    """What one round came to."""

    messages: int = 0
    duplicated: int = 0
    """Receipts beyond the first of a person: every round plans one message each."""
    lost: int = 0
    """Messages that were asked for and that nobody will ever do anything about, though nothing forbade them."""
    false_accepted: int = 0
    """Accepted in the ledger, and no provider has it."""
    unexpected: int = 0
    """A provider has it, and the ledger says that it never left (or knows nothing of it)."""
    no_consent: int = 0
    quiet_hours: int = 0
    two_owners: int = 0
    """Codes that more than one person holds, or that went to another than they were set aside for."""
    uneven: int = 0
    """Coupon steps where need is not granted plus unserved."""
    regressed: int = 0
    """Changes of state away from accepted."""
    in_doubt: int = 0
    """Kept for a person, or for a provider's report: never sent again by itself."""
    in_doubt_received: int = 0
    """Of these, what a provider has: a webhook will say so."""
    kills: int = 0
    states: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def broken(self) -> dict[str, int]:
        """What should be zero and is not."""
        return {name: getattr(self, name) for name in ZEROS if getattr(self, name)}

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def judge(
    url: str, contestant: Contestant, sandbox: Handle, *, people: int, until: datetime, excused: frozenset[str]
) -> Verdict:
    """Judges a round that is over. `people`: how many should have been served, `until`: by when.

    `excused`: reasons for which a message may end skipped, rejected or expired here.
    """
    receipts = [receipt for receipt in sandbox.receipts() if receipt["message_id"]]  # an alert to the team has none
    verdict = Verdict(messages=people)
    with psycopg.connect(url) as connection:
        owner = {
            address: contact_id
            for contact_id, *addresses in connection.execute("select contact_id, email, phone from raw.contacts")
            for address in addresses
        } | dict(connection.execute("select endpoint, contact_id from raw.web_push_subscriptions").fetchall())
        reached = Counter(owner[receipt["recipient"]] for receipt in receipts)
        verdict.duplicated = sum(reached.values()) - len(reached)
        if contestant == "naive":
            _naive(connection, verdict, reached)
        else:
            _ours(connection, verdict, {receipt["message_id"] for receipt in receipts}, excused, until)
            _codes(connection, verdict)
        _stops(connection, verdict, contestant)
        verdict.quiet_hours = nights.disturbed(connection, receipts)
    return verdict


def _naive(connection: psycopg.Connection, verdict: Verdict, reached: Counter[str]) -> None:
    rows = connection.execute("select contact_id, state from faults.naive").fetchall()
    verdict.states = dict(Counter(state for _, state in rows))
    verdict.false_accepted = sum(state == "accepted" and one not in reached for one, state in rows)
    verdict.uneven = _count(
        connection,
        "select count(*) from faults.naive_told where contact_id not in (select contact_id from faults.naive_grant)",
    )
    verdict.lost = sum(state not in ("accepted", "failed") and one not in reached for one, state in rows)


def _ours(
    connection: psycopg.Connection, verdict: Verdict, received: set[str], excused: frozenset[str], until: datetime
) -> None:
    rows = connection.execute("select id::text, state, reason, not_before < %s from outbox.message", [until]).fetchall()
    known = {one for one, *_ in rows}
    verdict.states = dict(Counter(state for _, state, *_ in rows))
    verdict.lost = verdict.messages - len(rows)
    for one, state, reason, due in rows:
        if state == "accepted":
            verdict.false_accepted += one not in received
        elif state == "in_doubt":
            verdict.in_doubt += 1
            verdict.in_doubt_received += one in received
        else:
            verdict.unexpected += one in received
            waits = state == "planned" and not due  # put off to the next send hour
            if not waits and (reason not in excused or state in ("planned", "sending")):
                verdict.lost += 1
                verdict.notes.append(f"a message is {state} ({reason})")
    verdict.unexpected += len(received - known)
    verdict.notes = [f"{count}x {note}" for note, count in Counter(verdict.notes).items()]
    verdict.regressed = _count(connection, "select count(*) from faults.audit where was = 'accepted'")
    open_ones = _count(connection, "select count(*) from outbox.attempt where outcome = 'open'")
    if open_ones:
        verdict.lost += open_ones
        verdict.notes.append(f"{open_ones} attempts are open for ever")


def _stops(connection: psycopg.Connection, verdict: Verdict, contestant: Contestant) -> None:
    """Whom nobody may write to any more: a claim whose statement began after that was committed is one too many."""
    claims = {
        "ours": "select contact_id, began_at from faults.audit a join outbox.message m on m.id = a.id"
        " where a.ledger = 'attempt' and a.was is null",
        "naive": "select contact_id, claimed_at from faults.naive where claimed_at is not null",
    }
    verdict.no_consent = _count(
        connection,
        f"select count(*) from ({claims[contestant]}) as claim (contact_id, began_at)"  # noqa: S608
        " join faults.stopped s using (contact_id) where claim.began_at > s.at",
    )


def _codes(connection: psycopg.Connection, verdict: Verdict) -> None:
    """One owner a code, and each message with the code that was proposed for it."""
    verdict.two_owners = _count(
        connection,
        """
        select count(*) from (
            select code from outbox.coupon_grant where released_at is null group by code having count(*) > 1
        ) as shared
        """,
    ) + _count(
        connection,
        """
        select count(*) from outbox.message m join outbox.coupon_grant g on g.id = m.coupon_grant_id
        where g.contact_id <> m.contact_id
            or (g.released_at is not null and m.state in ('planned', 'sending', 'accepted', 'in_doubt'))
        """,
    )
    verdict.uneven = _count(
        connection,
        """
        with need as (
            select run_id, promotion, count(*) as needed, 0 as unserved
            from handoff.send_requests where promotion is not null group by 1, 2
        ), short as (
            select run_id, promotion, needed, unserved from allocations.coupon_shortfalls
        ), served as (
            select run_id, promotion, count(*) as granted
            from outbox.message join outbox.coupon_grant g on g.id = coupon_grant_id group by 1, 2
        )
        select count(*)
        from need
        join outbox.run using (run_id)
        left join short using (run_id, promotion)
        left join served using (run_id, promotion)
        where run.state = 'enqueued' and (run.enqueued ->> 'already_there')::integer = 0
            and coalesce(short.needed, need.needed) <> coalesce(granted, 0) + coalesce(short.unserved, 0)
        """,
    )


def _count(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
