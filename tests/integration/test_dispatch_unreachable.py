"""A dispatch whose provider nobody can reach: nothing is lost, and it is heard of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from outbox.dispatch import Dispatcher
from senders.contract import UNREACHABLE, Message, NotSent, Outcome, OutcomeKind
from tests.integration.handoff_stub import SEND_AT, Shop, campaign
from tests.integration.outbound import ACCEPT, Outbound


def states(shop: Shop) -> dict[str, int]:
    """Messages by state."""
    return dict(shop.rows("select state, count(*) from outbox.message group by state"))  # type: ignore[arg-type]


def unreachable(_: Message) -> Outcome:
    """What a sender says when nobody answers at its provider's address."""
    raise NotSent("SendGrid could not be reached (ConnectionRefusedError).", code=UNREACHABLE)


def due_now(shop: Shop, count: int, **changes: Any) -> datetime:
    """So many messages of live runs that are due; returns when they are too late."""
    too_late = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    times = {"not_before": datetime.now(UTC) - timedelta(minutes=1), "not_after": too_late}
    for _ in range(count):
        shop.planned(run_mode="live", **times, **changes)
    return too_late


def test_a_provider_that_cannot_be_reached_is_told_to_the_team_once_a_day_and_nothing_is_lost(shop: Shop) -> None:
    too_late = due_now(shop, 15)
    down = Outbound(email=unreachable)
    done = Dispatcher(down.factory).live()
    found = done.unreachable["email"]
    assert (found.waiting, found.first_expires, states(shop)) == (15, too_late, {"planned": 15})
    words = str(found)
    assert (
        "SendGrid could not be reached (ConnectionRefusedError). 15 messages wait for it, none of them has left."
        in words
    )
    assert f"Nothing is lost until {too_late:%Y-%m-%d %H:%M} UTC" in words
    assert "Check the connection sendgrid_default" in words
    notices = "select kind, subject, state, body from outbox.notice"
    assert shop.rows(notices) == [("provider_unreachable", "email", "planned", words)]

    assert done.put_off == {}

    again = Dispatcher(down.factory).live()  # nothing is due to be tried, and nothing is new: what waits is said
    assert (again.unreachable, len(shop.rows(notices))) == ({}, 1)
    since, next_try = shop.rows("select min(closed_at) from outbox.attempt union all"
                                " select min(not_before) from outbox.message")  # fmt: skip
    assert str(again.put_off["email"]) == (
        f"15 messages wait for sendgrid (email), unreachable since {since[0]:%Y-%m-%d %H:%M} UTC; "
        f"next try {next_try[0]:%Y-%m-%d %H:%M} UTC."
    )
    shop.owner.execute("update outbox.message set not_before = now() - interval '1 second'")
    assert Dispatcher(down.factory).live().unreachable["email"].waiting == 15
    assert len(shop.rows(notices)) == 1

    shop.owner.execute("update outbox.message set not_before = now() - interval '1 second'")
    up = Outbound()
    done = Dispatcher(up.factory).live()
    assert (done.unreachable, done.put_off, states(shop), len(up.sent)) == ({}, {}, {"accepted": 15}, 15)


def test_one_channel_that_cannot_be_reached_does_not_keep_the_others_from_being_served(shop: Shop) -> None:
    shop.define(campaign(hours={"webpush": None}))
    due_now(shop, 1, channels=["webpush"], consent=Jsonb({"webpush": {}}))
    due_now(shop, 2)
    for contact in shop.rows("select contact_id from raw.contacts order by 1 limit 1"):
        subscribe(shop, str(contact[0]))
    done = Dispatcher(Outbound(email=unreachable).factory).live()
    assert (set(done.unreachable), done.sent_now["webpush"]) == ({"email"}, {"accepted": 1})


def test_a_provider_that_comes_back_within_the_dispatch_is_no_news(shop: Shop) -> None:
    shop.planned()
    answers = iter([Outcome(OutcomeKind.NOT_SENT, error_code=UNREACHABLE)] * 2 + [ACCEPT])
    done = Outbound(email=lambda _: next(answers)).simulate()
    assert (done.unreachable, shop.value("select count(*) from outbox.notice")) == ({}, 0)


def test_one_browser_whose_push_service_is_gone_is_no_alarm_and_several_are(shop: Shop) -> None:
    shop.define(campaign(hours={"webpush": None}))
    for count, alarmed in ((1, set()), (1, {"webpush"})):
        due_now(shop, count, channels=["webpush"], consent=Jsonb({"webpush": {}}))
        for (contact,) in shop.rows("select contact_id from raw.contacts"):
            subscribe(shop, contact)
        shop.owner.execute("update outbox.message set not_before = now() - interval '1 second'")
        assert set(Dispatcher(Outbound(webpush=unreachable).factory).live().unreachable) == alarmed


def test_pushes_that_reach_nobody_are_counted_over_all_batches_of_a_dispatch(shop: Shop) -> None:
    shop.define(campaign(hours={"webpush": None}))
    due_now(shop, 3, channels=["webpush"], consent=Jsonb({"webpush": {}}))
    for (contact,) in shop.rows("select contact_id from raw.contacts"):
        subscribe(shop, contact)
    done = Dispatcher(Outbound(batch_size=1, webpush=unreachable).factory, connections=1).live()
    assert set(done.unreachable) == {"webpush"}


def test_one_push_tried_again_and_again_is_still_one_browser(shop: Shop) -> None:
    shop.define(campaign(hours={"webpush": None}))
    shop.planned(channels=["webpush"], consent=Jsonb({"webpush": {}}))
    for (contact,) in shop.rows("select contact_id from raw.contacts"):
        subscribe(shop, contact)
    done = Outbound(webpush=unreachable).simulate(until=SEND_AT + timedelta(minutes=4))
    assert shop.value("select count(*) from outbox.attempt") == 4
    assert (done.unreachable, done.put_off["webpush"].waiting) == ({}, 1)


def subscribe(shop: Shop, contact: str) -> None:
    shop.owner.execute(
        "insert into raw.web_push_subscriptions values (%s, %s, 'k', 'a', now()) on conflict do nothing",
        [f"https://push.example.com/{contact}", contact],
    )
