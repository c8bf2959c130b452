"""A shop to send for: contacts and a validated hand-off, written as sets, then frozen by the real `enqueue`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

from tests.faults import browsers, naive
from tests.integration.handoff_stub import BUILT_AT, DAY, SEND_AT, TEMPLATE, Shop, campaign
from warehouse.connect import Role, connect

PROMOTION = "winback_discount10"

CONTACTS = """
insert into raw.contacts (contact_id, email, phone, first_name, country, timezone, consent_email, consent_sms)
select 'c' || lpad(n::text, 5, '0'), 'c' || lpad(n::text, 5, '0') || '@example.com',
    '+1212555' || lpad(n::text, 4, '0'), 'Robin', 'US', 'America/New_York', true, true
from generate_series(%(first)s::integer, %(last)s::integer) n
"""
REQUESTS = """
insert into handoff.send_requests (
    run_id, as_of, campaign, step, contact_id, episode_on, step_days, due_on, mode, channels, template_hash, promotion,
    coupon_code, valid_until, tag, contact_event, merge_fields, consent, definition_hash, not_before, not_after
)
select %(run)s, %(day)s::date, 'winback', s.step, c.contact_id, %(day)s::date - 30 + %(shift)s::integer, 30,
    %(day)s::date, 'live', %(channels)s, %(template)s, s.promotion, s.code,
    case when s.code is not null then %(send_at)s::timestamptz + interval '14 days' end,
    case when s.code is not null then 'coupon_winback10' end, case when s.code is not null then 'coupon_assigned' end,
    '{"shop_name": "Riverside"}', '{"email": {"source": "checkout"}, "sms": {"source": "checkout"}}',
    %(definition)s, %(send_at)s, %(send_at)s::timestamptz + interval '3 days'
from (select contact_id, row_number() over (order by contact_id) as place from raw.contacts) c
cross join lateral (
    select case when c.place %% %(every)s = 0 then 'day60' else 'day30' end as step,
        case when c.place %% %(every)s = 0 then %(promotion)s end as promotion,
        case when c.place %% %(every)s = 0 then 'CODE-' || lpad(c.place::text, 6, '0') end as code
) s
where c.place between %(first)s and %(last)s
"""
DECISIONS = """
insert into cohorts.fct_decisions (
    run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, decision, reasons, seen, definition_hash
)
select run_id, as_of, contact_id, campaign, step, episode_on, due_on, mode, 'send', '{}', '{}', definition_hash
from handoff.send_requests where run_id = %(run)s
"""
PROPOSALS = """
insert into allocations.coupon_allocations (
    run_id, promotion, code, contact_id, campaign, episode_on, step, as_of, valid_until
)
select run_id, promotion, coupon_code, contact_id, campaign, episode_on, step, as_of, valid_until
from handoff.send_requests where run_id = %(run)s and promotion is not null
"""


def definition(**changes: Any) -> dict[str, Any]:
    """The campaign of the rounds, with what the real senders ask of it."""
    email = {"from_address": "care@shop.example.com", "from_name": "Riverside", "reply_to": "care@shop.example.com"}
    # Nearly half of what leaves may fail here: nothing is to stop itself for that.
    return campaign(email=email, sms={"from_number": "+12125550000"}, errors={"stop_percent": 100}, **changes)


@contextmanager
def opened(url: str, **changes: Any) -> Iterator[Shop]:
    """The shop in this database, its campaign defined."""
    with connect(Role.OWNER, url=url, autocommit=True) as owner:
        shop = Shop(owner)
        shop.define(definition(**changes))
        yield shop


def fill(shop: Shop, people: int, *, first: int = 1) -> None:
    """So many contacts who may be mailed and texted, with a browser each."""
    shop.owner.execute(CONTACTS, {"first": first, "last": first + people - 1})
    browsers.subscribe(shop)
    shop.owner.execute("analyze raw.contacts")


def request(
    shop: Shop,
    run_id: uuid.UUID,
    *,
    day: date = DAY,
    first: int = 1,
    last: int = 1_000_000,
    shift: int = 0,
    every: int = 3,
    channels: list[str] | None = None,
    send_at: datetime = SEND_AT,
) -> None:
    """A request for each contact from the `first` to the `last`; `every` so many one carries a code.

    `shift` moves the episode by days, as a corrected order does.
    """
    values: Mapping[str, Any] = {
        "run": run_id, "day": day, "shift": shift, "channels": channels or ["email"], "template": TEMPLATE,
        "promotion": PROMOTION, "definition": shop.definition_hash, "send_at": send_at, "first": first, "last": last,
        "every": every,
    }  # fmt: skip
    for statement in (REQUESTS, DECISIONS, PROPOSALS):
        shop.owner.execute(statement, values)


def plan(shop: Shop, people: int, **options: Any) -> uuid.UUID:
    """Contacts, a run, its hand-off, judged and frozen: so many planned messages, and the same for the control."""
    fill(shop, people)
    run_id = shop.open_run(holder=f"faults {uuid.uuid4()}")
    request(shop, run_id, **options)
    frozen = shop.enqueue(run_id)
    assert frozen.messages == min(people, options.get("last", people)), frozen
    shop.owner.execute(naive.PLAN)
    shop.owner.execute("analyze outbox.message")
    return run_id


def later(shop: Shop, days: int) -> tuple[date, datetime, uuid.UUID]:
    """A day some days on: its date, its send hour, and an open run of it."""
    day, clock = DAY + timedelta(days=days), BUILT_AT + timedelta(days=days)
    return day, SEND_AT + timedelta(days=days), shop.open_run(day, clock=clock, holder=f"faults {uuid.uuid4()}")
