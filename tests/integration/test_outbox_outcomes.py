from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from outbox import claims, outcomes
from outbox.outcomes import Told
from outbox.sql import ledger
from outbox.suppressions import suppress
from senders.contract import DeliveryEvent, Outcome, OutcomeKind, WebhookCall
from senders.twilio import events as twilio
from tests.integration.handoff_stub import SEND_AT, Shop, campaign
from tests.integration.outbound import ACCEPT, UNKNOWN, Outbound, claim_due
from warehouse.errors import WinbackError

LATER = SEND_AT + timedelta(hours=1)


def event(shop: Shop, table: str, message_id: uuid.UUID | None, kind: str, **values: Any) -> str:
    """A row as the webhook service would write it."""
    key = uuid.uuid4().hex
    row = {"event_key": key, "call_id": uuid.uuid4(), "channel": "email", "message_id": message_id, "kind": kind,
           "occurred_at": LATER, "received_at": datetime.now(UTC), **values}  # fmt: skip
    if table != "preference":
        row.setdefault("provider", "sendgrid")
    shop.insert(f"events.{table}", row)
    return key


def doubtful(shop: Shop, **changes: Any) -> uuid.UUID:
    """A message in doubt."""
    message_id = shop.planned(**changes)
    Outbound(email=lambda _: UNKNOWN).simulate()
    assert shop.value("select state from outbox.message where id = %s", message_id) == "in_doubt"
    return message_id


def reconcile() -> int:
    with ledger() as connection:
        return outcomes.reconcile(connection, clock=LATER)


@pytest.mark.parametrize(("table", "kind"), [
    ("delivery_event", "accepted"), ("delivery_event", "delivered"), ("delivery_event", "bounced"),
    ("engagement_event", "opened"),
])  # fmt: skip
def test_a_webhook_that_carries_our_id_makes_a_doubtful_message_accepted(shop: Shop, table: str, kind: str) -> None:
    message_id = doubtful(shop, tag="t")
    assert reconcile() == 0
    key = event(shop, table, message_id, kind)
    assert reconcile() == 1
    assert shop.rows("select state, accepted_at, accepted_channel from outbox.message") == [
        ("accepted", LATER, "email")
    ]
    evidence = shop.value("select evidence from outbox.attempt")
    assert (evidence["source"], evidence["event_key"]) == ("webhook", key)
    assert shop.rows("select tag, added_at from outbox.contact_tag") == [("t", LATER)]
    assert reconcile() == 0


@pytest.mark.parametrize("status", ["sent", "delivered", "failed", "undelivered", "canceled", "of-a-new-kind"])
def test_whatever_twilio_reports_of_a_text_in_doubt_proves_that_it_took_it(shop: Shop, status: str) -> None:
    """As if its answer had been heard: what became of the text after that is a delivery, not an acceptance."""
    message_id = shop.planned(channels=["sms", "email"], tag="t")
    Outbound(sms=lambda _: UNKNOWN).simulate()
    form = urlencode({"MessageSid": "SM" + "1" * 32, "MessageStatus": status, "ErrorCode": "30008"})
    url = f"https://events.example.com/events/twilio?message_id={message_id}"
    (told,) = twilio.parse(WebhookCall({}, form.encode(), url, LATER, LATER))
    assert isinstance(told, DeliveryEvent)
    event(shop, "delivery_event", told.message_id, told.kind.value, channel=told.channel, provider=told.provider)
    assert reconcile() == 1
    assert shop.rows("select state, accepted_channel from outbox.message") == [("accepted", "sms")]
    assert shop.rows("select tag from outbox.contact_tag") == [("t",)]
    assert Outbound().simulate().totals == {}, "neither again nor by the next channel"


def test_an_event_of_another_channel_or_message_proves_nothing(shop: Shop) -> None:
    message_id = doubtful(shop)
    event(shop, "delivery_event", message_id, "failed", channel="sms")
    event(shop, "delivery_event", uuid.uuid4(), "delivered")
    event(shop, "delivery_event", None, "delivered")
    assert reconcile() == 0


def settle(message_id: uuid.UUID, state: str) -> str:
    with ledger() as connection:
        return outcomes.settle(connection, message_id, state, by="Kim", evidence="not in the provider's log")


def test_what_a_person_knows_to_have_left_left_when_it_was_tried_and_not_when_they_found_out(shop: Shop) -> None:
    message_id = shop.planned(run_mode="live")
    shop.owner.execute("update outbox.message set state = 'sending'")
    shop.owner.execute(
        "insert into outbox.attempt (message_id, attempt_no, channel, worker, opened_at, lease_until)"
        " values (%s, 1, 'email', 'w', %s, %s)",
        [message_id, SEND_AT, SEND_AT],
    )
    shop.owner.execute("update outbox.attempt set outcome = 'unknown', closed_at = %s", [LATER])
    shop.owner.execute("update outbox.message set state = 'in_doubt'")
    settle(message_id, "accepted")
    assert shop.value("select accepted_at from outbox.message") == SEND_AT


def test_a_named_person_releases_a_message_that_never_left_and_it_is_sent_once(shop: Shop) -> None:
    message_id = doubtful(shop)
    assert settle(message_id, "planned") == "winback day30"
    evidence = shop.value("select evidence from outbox.attempt")
    assert (evidence["source"], evidence["by"], evidence["text"]) == ("operator", "Kim", "not in the provider's log")
    out = Outbound()
    assert out.simulate().totals == {"accepted": 1}
    assert shop.rows("select outcome from outbox.attempt order by attempt_no") == [("not_sent",), ("accepted",)]


def test_a_named_person_can_say_that_it_arrived_or_was_refused(shop: Shop) -> None:
    arrived, refused = doubtful(shop, tag="t"), doubtful(shop, code="A1", promotion="p", step="day60")
    settle(arrived, "accepted")
    settle(refused, "rejected")
    assert shop.rows("select state, accepted_at from outbox.message order by state") == [
        ("accepted", SEND_AT),
        ("rejected", None),
    ]
    assert shop.value("select count(*) from outbox.contact_tag") == 1
    assert shop.value("select released_at from outbox.coupon_grant") == SEND_AT


def test_only_a_message_in_doubt_can_be_released(shop: Shop) -> None:
    message_id = shop.planned()
    with pytest.raises(WinbackError, match="is planned; only one in doubt"):
        settle(message_id, "planned")
    claim_due()
    with pytest.raises(WinbackError, match=r"is sending \(attempt 1, until"):
        settle(message_id, "planned")
    with pytest.raises(WinbackError, match="has no message"):
        settle(uuid.uuid4(), "planned")


def test_a_late_acceptance_of_a_released_attempt_is_not_believed(shop: Shop) -> None:
    """The person was wrong: the provider has it after all. A second attempt may be under way, so nothing is
    rewritten."""
    message_id = doubtful(shop)
    settle(message_id, "planned")
    with ledger() as connection:
        told = outcomes.record(connection, [Told(message_id, 1, ACCEPT)], clock=LATER)
    assert told == {"ignored": 1}


def fold() -> tuple[int, int]:
    with ledger() as connection:
        return outcomes.fold_preferences(connection)


def active(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows("select channel, reason, source from outbox.suppression where lifted_at is null order by 1, 2")


def accepted(shop: Shop, contact: str | None = None) -> uuid.UUID:
    message_id = shop.planned(contact)
    Outbound().simulate()
    return message_id


def test_an_unsubscription_suppresses_the_address_it_was_sent_to_and_the_one_of_now(shop: Shop) -> None:
    contact = shop.contact(email="old@example.com")
    message_id = accepted(shop, contact)
    shop.owner.execute("update raw.contacts set email = 'new@example.com'")
    event(shop, "preference", message_id, "unsubscribed", source="one_click")
    assert fold() == (2, 0)
    hashes = {
        shop.value("select outbox.address_hash('email', %s)", each) for each in ("old@example.com", "new@example.com")
    }
    assert {row[0] for row in shop.rows("select address_hash from outbox.suppression")} == hashes
    assert shop.rows("select distinct suppressed_at, source from outbox.suppression") == [(LATER, "one_click")]
    assert fold() == (0, 0)


def test_the_word_stop_suppresses_the_number_that_wrote(shop: Shop) -> None:
    address_hash = shop.value("select outbox.address_hash('sms', '+12125550100')")
    event(shop, "preference", None, "unsubscribed", channel="sms", source="sms_keyword", address_hash=address_hash)
    assert fold() == (1, 0)
    assert active(shop) == [("sms", "stopped", "sms_keyword")]


@pytest.mark.parametrize(("table", "kind"), [
    ("engagement_event", "complained"), ("engagement_event", "unsubscribed"), ("delivery_event", "bounced"),
])  # fmt: skip
def test_complaints_and_hard_bounces_suppress(shop: Shop, table: str, kind: str) -> None:
    event(shop, table, accepted(shop), kind)
    assert fold() == (1, 0)
    assert active(shop) == [("email", kind, "sendgrid")]


@pytest.mark.parametrize("kind", ["deferred", "delivered", "dropped"])
def test_soft_trouble_suppresses_nobody(shop: Shop, kind: str) -> None:
    event(shop, "delivery_event", accepted(shop), kind)
    assert fold() == (0, 0)


@pytest.mark.parametrize("fault", ["invalid", "stopped", "unsubscribed", "complained"])
def test_what_a_carrier_says_of_an_address_suppresses_it(shop: Shop, fault: str) -> None:
    event(shop, "delivery_event", accepted(shop), "failed", address_fault=fault, code="30005")
    assert fold() == (1, 0)
    assert active(shop) == [("email", fault, "sendgrid")]
    assert fold() == (0, 0)


def test_a_number_that_answered_stop_is_free_again_after_start(shop: Shop) -> None:
    message_id = accepted(shop)
    event(shop, "delivery_event", message_id, "failed", address_fault="stopped")
    fold()
    event(shop, "preference", message_id, "resubscribed", source="provider", occurred_at=LATER + timedelta(hours=1))
    assert fold() == (0, 1)
    assert active(shop) == []


STEPS = ("day30", "day60", "day90")


def several(shop: Shop) -> list[uuid.UUID]:
    """Three accepted messages to one contact."""
    shop.define(campaign(caps={"per_day": 9, "per_7_days": 9}))
    contact = shop.contact()
    sent = [shop.planned(contact, step=step) for step in STEPS]
    assert Outbound().simulate().totals["accepted"] == len(sent)
    return sent


def soft(shop: Shop, message_id: uuid.UUID, days: float, kind: str = "failed") -> None:
    fault = "soft" if kind == "failed" else None
    event(shop, "delivery_event", message_id, kind, address_fault=fault, occurred_at=LATER + timedelta(days=days))


def test_soft_failures_suppress_an_address_for_a_while_once_there_are_three(shop: Shop) -> None:
    first, second, third = several(shop)
    for message_id, days in ((first, 0), (first, 1), (second, 7)):  # two events of one message are one failure
        soft(shop, message_id, days)
    assert fold() == (0, 0)
    soft(shop, third, 14)
    assert fold() == (1, 0)
    assert active(shop) == [("email", "undeliverable", "sendgrid")]
    until = shop.value("select until from outbox.suppression")
    assert until == LATER + timedelta(days=14) + outcomes.SOFT_PAUSE
    assert fold() == (0, 0)


def test_soft_failures_far_apart_are_no_pattern(shop: Shop) -> None:
    for message_id, days in zip(several(shop), (0, 20, 40), strict=True):
        soft(shop, message_id, days)
    assert fold() == (0, 0)


def test_a_message_that_arrived_forgives_the_soft_failures_before_it(shop: Shop) -> None:
    first, second, third = several(shop)
    soft(shop, first, 0)
    soft(shop, second, 1)
    soft(shop, second, 2, "delivered")
    soft(shop, third, 3)
    assert fold() == (0, 0)


def test_a_bounce_speaks_only_of_the_address_it_was_sent_to(shop: Shop) -> None:
    message_id = accepted(shop, shop.contact(email="old@example.com"))
    shop.owner.execute("update raw.contacts set email = 'new@example.com'")
    event(shop, "delivery_event", message_id, "bounced")
    assert fold() == (1, 0)
    assert shop.value("select address_hash = outbox.address_hash('email', 'old@example.com') from outbox.suppression")


def test_a_new_subscription_lifts_what_the_person_asked_for_and_nothing_else(shop: Shop) -> None:
    message_id = accepted(shop)
    event(shop, "preference", message_id, "unsubscribed", source="one_click")
    event(shop, "engagement_event", message_id, "complained")
    fold()
    event(
        shop, "preference", message_id, "resubscribed", source="preference_page", occurred_at=LATER + timedelta(hours=1)
    )
    assert fold() == (0, 1)
    assert active(shop) == [("email", "complained", "sendgrid")]
    assert fold() == (0, 0)


def test_the_newest_wish_counts_whatever_order_they_come_in(shop: Shop) -> None:
    message_id = accepted(shop)
    event(
        shop, "preference", message_id, "resubscribed", source="preference_page", occurred_at=LATER + timedelta(hours=1)
    )
    event(shop, "preference", message_id, "unsubscribed", source="one_click")
    assert fold() == (0, 0)
    event(shop, "preference", message_id, "unsubscribed", source="one_click", occurred_at=LATER + timedelta(hours=2))
    assert fold() == (1, 0)


def test_a_pause_ends_and_can_be_made_longer(shop: Shop) -> None:
    message_id = accepted(shop)
    first, second = LATER + timedelta(days=7), LATER + timedelta(days=30)
    event(shop, "preference", message_id, "paused", source="preference_page", until=first)
    assert fold() == (1, 0)
    event(
        shop,
        "preference",
        message_id,
        "paused",
        source="preference_page",
        until=second,
        occurred_at=LATER + timedelta(hours=1),
    )
    assert fold() == (1, 1)
    assert shop.rows("select reason, until from outbox.suppression where lifted_at is null") == [("paused", second)]


def test_a_pause_takes_back_no_earlier_no(shop: Shop) -> None:
    message_id = accepted(shop)
    event(shop, "preference", message_id, "unsubscribed", source="one_click")
    assert fold() == (1, 0)
    until = LATER + timedelta(days=7)
    later = LATER + timedelta(hours=1)
    event(shop, "preference", message_id, "paused", source="preference_page", until=until, occurred_at=later)
    assert fold() == (1, 0)
    event(
        shop, "preference", message_id, "resubscribed", source="preference_page", occurred_at=LATER + timedelta(hours=2)
    )
    assert fold() == (0, 2)
    assert fold() == (0, 0)


def test_what_an_operator_lifted_is_not_folded_in_again(shop: Shop) -> None:
    event(shop, "preference", accepted(shop), "unsubscribed", source="one_click")
    fold()
    shop.owner.execute("update outbox.suppression set lifted_at = suppressed_at + interval '1 hour'")
    assert fold() == (0, 0)


def test_an_event_that_landed_late_is_folded_however_old_it_is(shop: Shop) -> None:
    first, second = accepted(shop), accepted(shop)
    event(shop, "preference", first, "unsubscribed", source="one_click")
    assert fold() == (1, 0)
    long_ago = datetime.now(UTC) - timedelta(days=20)
    event(shop, "preference", second, "unsubscribed", source="one_click", received_at=long_ago, occurred_at=LATER)
    assert fold() == (1, 0)


def test_folding_goes_on_an_hour_before_the_last_one_and_not_from_the_beginning(shop: Shop) -> None:
    first, second = accepted(shop), accepted(shop)
    assert fold() == (0, 0)
    now = datetime.now(UTC)
    event(shop, "preference", first, "unsubscribed", source="one_click", stored_at=now - timedelta(minutes=50))
    assert fold() == (1, 0)  # committed late
    event(shop, "preference", second, "unsubscribed", source="one_click", stored_at=now - timedelta(hours=2))
    assert fold() == (0, 0)  # long folded, or it could not be there


def test_a_gone_push_endpoint_is_suppressed(shop: Shop) -> None:
    message_id = shop.planned()
    claim_due()
    gone = Outcome(OutcomeKind.ACCEPTED, gone_endpoints=("https://push.example.com/1",))
    with ledger() as connection:
        outcomes.record(connection, [Told(message_id, 1, gone)], clock=SEND_AT)
    hashed = shop.value("select outbox.address_hash('webpush', 'https://push.example.com/1')")
    assert shop.rows("select channel, address_hash, reason from outbox.suppression") == [("webpush", hashed, "gone")]


def test_segments_and_encoding_are_kept(shop: Shop) -> None:
    message_id = shop.planned()
    claim_due()
    text = Outcome(OutcomeKind.ACCEPTED, segments=2, encoding="UCS-2")
    with ledger() as connection:
        outcomes.record(connection, [Told(message_id, 1, text)], clock=SEND_AT)
    assert shop.rows("select segments, encoding from outbox.attempt") == [(2, "UCS-2")]


def test_the_sweep_leaves_alone_what_is_alive(shop: Shop) -> None:
    shop.planned()
    claim_due()
    with ledger() as connection:
        assert claims.sweep(connection, clock=SEND_AT) == 0
    shop.owner.execute("update outbox.attempt set lease_until = clock_timestamp() - interval '1 second'")
    with ledger() as connection:
        assert claims.sweep(connection, clock=SEND_AT) == 1
    row = shop.rows("select state, outcome, error_code from outbox.message join outbox.attempt on id = message_id")
    assert row == [("in_doubt", "unknown", "lease_expired")]


def test_a_person_suppressed_by_name_is_suppressed_once_on_each_channel(shop: Shop) -> None:
    contact = shop.contact(email="ann@example.com")
    with ledger() as connection:
        assert "email" in suppress(connection, contact, ["email", "sms"], by="customer service", at=LATER)
        assert suppress(connection, contact, ["email"], by="customer service", at=LATER) == []
        with pytest.raises(WinbackError, match="No contact 'nobody'"):
            suppress(connection, "nobody", ["email"], by="customer service", at=LATER)
    assert ("email", "operator", "customer service") in active(shop)


def test_a_person_suppressed_by_name_gets_no_push_either(shop: Shop) -> None:
    contact = shop.contact()
    for number in (1, 2):
        browser = {"endpoint": f"https://push.example.com/{number}", "contact_id": contact, "p256dh": "k", "auth": "a"}
        shop.insert("raw.web_push_subscriptions", {**browser, "subscribed_at": SEND_AT})
    message_id = shop.planned(contact, channels=["webpush"])
    with ledger() as connection:
        done = suppress(connection, contact, ["email", "sms", "webpush"], by="customer service", at=SEND_AT)
    assert done == ["email", "sms", "webpush"]
    assert claim_due(channel="webpush").verdicts == {"skipped": 1}
    assert shop.rows("select state, reason from outbox.message where id = %s", message_id) == [
        ("skipped", "no_reachable_channel")
    ]
