from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from outbox import claims
from outbox.claims import Rules, Shard
from outbox.sql import ledger
from tests.integration.handoff_stub import SEND_AT, Shop, campaign
from tests.integration.outbound import claim_due, claim_group


def only(verdicts: Any) -> str:
    """The one verdict of a claim of one message."""
    (verdict,) = verdicts.elements()
    return str(verdict)


def test_a_claim_opens_an_attempt_and_records_the_consent_it_relied_on(shop: Shop) -> None:
    message_id = shop.planned()
    (claimed,) = claim_due().opened
    assert (claimed.message_id, claimed.attempt_no) == (message_id, 1)
    assert claimed.recipient.email == "c00001@example.com"
    row = shop.rows(
        "select state, outcome, channel, opened_at, attempt.consent from outbox.message join outbox.attempt "
        "on id = message_id"
    )
    consent = {"at": None, "source": "checkout", "checked_at": SEND_AT.isoformat()}
    assert row == [("sending", "open", "email", SEND_AT, consent)]
    assert claim_due().picked == 0


def test_the_consent_that_is_stored_is_the_one_of_the_claim_and_not_of_the_decision(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    shop.owner.execute(
        "update raw.contacts set consent_email_source = 'preference page', consent_email_at = %s where contact_id = %s",
        [SEND_AT - timedelta(minutes=5), contact],
    )
    assert len(claim_due().opened) == 1
    decided, relied_on = shop.rows("select m.consent, a.consent from outbox.message m join outbox.attempt a on true")[0]
    assert decided["email"]["source"] == "checkout"
    assert relied_on["source"] == "preference page"
    assert datetime.fromisoformat(relied_on["at"]) == SEND_AT - timedelta(minutes=5)


def test_nothing_is_claimed_before_its_hour(shop: Shop) -> None:
    shop.planned()
    assert claim_due(SEND_AT - timedelta(seconds=1)).picked == 0


def test_no_address_is_kept_in_the_ledger(shop: Shop) -> None:
    shop.planned()
    claim_due()
    for table in ("message", "attempt", "decision", "coupon_grant"):
        assert "@example.com" not in str(shop.rows(f"select t::text from outbox.{table} t"))  # noqa: S608
    assert shop.value("select address_hash = outbox.address_hash('email', 'c00001@example.com') from outbox.attempt")


def test_a_purchase_after_the_decision_stops_the_message(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    shop.insert("raw.orders", order(contact, SEND_AT - timedelta(hours=1)))
    assert only(claim_due().verdicts) == "skipped"
    assert shop.rows("select state, reason from outbox.message") == [("skipped", "purchased_since")]
    assert shop.value("select count(*) from outbox.attempt") == 0


def test_a_purchase_by_somebody_at_the_same_address_stops_the_message(shop: Shop) -> None:
    first = shop.contact(email="family@example.com")
    second = shop.contact(email="family@example.com")
    shop.planned(first)
    shop.insert("raw.orders", order(second, SEND_AT - timedelta(hours=1)))
    assert only(claim_due().verdicts) == "skipped"


def test_a_purchase_that_the_simulated_clock_has_not_reached_stops_nothing(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    shop.insert("raw.orders", order(contact, SEND_AT + timedelta(hours=1)))
    assert only(claim_due().verdicts) == "open"


def live_message(shop: Shop, contact: str, **changes: Any) -> datetime:
    """A message that is due now, by the database's clock. Returns five minutes from now."""
    now = datetime.now(UTC)
    shop.planned(
        contact, run_mode="live", not_before=now - timedelta(hours=1), not_after=now + timedelta(days=3), **changes
    )
    return now + timedelta(minutes=5)


def claim_live(channel: str = "email") -> str:
    return only(claim_due(datetime.now(UTC), mode="live", channel=channel).verdicts)


def test_a_purchase_by_a_clock_that_is_ahead_stops_a_live_message(shop: Shop) -> None:
    contact = shop.contact()
    ahead = live_message(shop, contact)
    shop.insert("raw.orders", order(contact, ahead))
    assert claim_live() == "skipped"
    assert shop.value("select reason from outbox.message") == "purchased_since"


@pytest.mark.parametrize("contacts_own", [True, False])
def test_an_opt_out_by_a_clock_that_is_ahead_stops_a_live_message(shop: Shop, *, contacts_own: bool) -> None:
    """Whether the stops say it or only the stop list, which alone speaks of phones where the stand-in is asked."""
    contact, channel = shop.contact(), "email" if contacts_own else "sms"
    ahead = live_message(shop, contact, channels=[channel])
    address = shop.value(f"select {'email' if contacts_own else 'phone'} from raw.contacts")  # noqa: S608
    suppress(shop, channel, address, at=ahead)
    assert claim_live(channel) == "skipped"
    assert shop.value("select reason from outbox.message") == "suppressed"


def test_a_subscription_ended_by_a_clock_that_is_ahead_gets_no_live_push(shop: Shop) -> None:
    contact = shop.contact()
    shop.insert("raw.web_push_subscriptions", {
        "endpoint": "https://push.example.com/1", "contact_id": contact, "p256dh": "k", "auth": "a",
        "subscribed_at": SEND_AT,
    })  # fmt: skip
    suppress(shop, "webpush", "https://push.example.com/1", at=live_message(shop, contact, channels=["webpush"]))
    assert claim_live("webpush") == "skipped"


def test_a_withdrawn_consent_stops_the_message(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    shop.owner.execute("update raw.contacts set consent_email = false where contact_id = %s", [contact])
    assert only(claim_due().verdicts) == "skipped"
    assert shop.value("select reason from outbox.message") == "no_email_consent"


def test_a_suppressed_address_stops_the_message(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    suppress(shop, "email", f"{contact}@example.com", at=SEND_AT - timedelta(hours=1))
    assert only(claim_due().verdicts) == "skipped"
    assert shop.value("select reason from outbox.message") == "suppressed"


def test_a_suppression_that_is_over_or_lifted_stops_nothing(shop: Shop) -> None:
    over, lifted = shop.contact(), shop.contact()
    shop.planned(over)
    shop.planned(lifted)
    suppress(shop, "email", f"{over}@example.com", at=SEND_AT - timedelta(days=2), until=SEND_AT - timedelta(days=1))
    suppress(
        shop, "email", f"{lifted}@example.com", at=SEND_AT - timedelta(days=2), lifted_at=SEND_AT - timedelta(days=1)
    )
    assert claim_due().verdicts == {"open": 2}


def test_without_evidence_of_consent_there_is_no_mail(shop: Shop) -> None:
    shop.planned(consent=Jsonb({"sms": {"at": None}}))
    assert only(claim_due().verdicts) == "skipped"
    assert shop.value("select reason from outbox.message") == "no_email_consent"


def test_a_text_without_consent_now_becomes_the_mail_of_the_same_message(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact, channels=["sms", "email"])
    shop.owner.execute("update raw.contacts set consent_sms = false where contact_id = %s", [contact])
    assert only(claim_due(channel="sms").verdicts) == "moved"
    assert shop.rows("select state, channel_no from outbox.message") == [("planned", 2)]
    assert len(claim_due(channel="email").opened) == 1


def test_an_invalid_address_on_every_channel_is_skipped(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact, channels=["sms", "email"])
    shop.owner.execute("update raw.contacts set email = 'nobody', phone = '555' where contact_id = %s", [contact])
    assert only(claim_due(channel="sms").verdicts) == "skipped"
    assert shop.value("select reason from outbox.message") == "invalid_address"


def test_a_contact_who_is_gone_gets_nothing(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    shop.owner.execute("delete from raw.contacts where contact_id = %s", [contact])
    assert only(claim_due().verdicts) == "deferred"
    assert claim_due(SEND_AT + timedelta(minutes=59)).picked == 0
    assert only(claim_due(SEND_AT + timedelta(hours=1)).verdicts) == "deferred", "they may be loaded again"
    not_after = shop.value("select not_after from outbox.message")
    with ledger() as connection:
        assert claims.expire_overdue(connection, clock=not_after, mode="simulated") == 1
    assert shop.rows("select state, reason from outbox.message") == [("expired", "invalid_address")]


def test_while_contacts_are_loaded_anew_nobody_moves_on_to_another_channel(shop: Shop) -> None:
    contact = shop.contact()
    browser = {"endpoint": "https://push.example.com/1", "contact_id": contact, "p256dh": "k", "auth": "a"}
    shop.insert("raw.web_push_subscriptions", {**browser, "subscribed_at": SEND_AT})
    shop.planned(contact, channels=["email", "webpush"])
    shop.owner.execute("delete from raw.contacts where contact_id = %s", [contact])
    assert only(claim_due().verdicts) == "deferred"
    assert shop.rows("select state, channel_no from outbox.message") == [("planned", 1)]


def test_what_is_past_its_end_expires_and_its_code_goes_back(shop: Shop) -> None:
    shop.planned(promotion="p", code="A1", step="day60", not_after=SEND_AT)
    with ledger() as connection:
        assert claims.expire_overdue(connection, clock=SEND_AT, mode="simulated") == 1
    assert shop.rows("select state, reason from outbox.message") == [("expired", "too_late")]
    assert shop.value("select released_at from outbox.coupon_grant") == SEND_AT
    names = shop.rows("select name from outbox.contact_event order by occurred_at, name")
    assert names == [("coupon_assigned",), ("coupon_released",)]


def test_a_code_that_is_no_longer_valid_is_not_sent(shop: Shop) -> None:
    shop.planned(promotion="p", code="A1", step="day60", valid_until=SEND_AT)
    assert only(claim_due().verdicts) == "skipped"
    assert shop.value("select reason from outbox.message") == "coupon_expired"


def test_a_text_in_quiet_hours_waits_for_the_morning_of_the_contact(shop: Shop) -> None:
    contact = shop.contact(timezone="America/Los_Angeles")
    shop.planned(contact, channels=["sms"])
    assert only(claim_due(channel="sms").verdicts) == "deferred"  # 07:00 in Los Angeles
    nine = datetime(2017, 10, 1, 16, tzinfo=UTC)
    assert shop.rows("select state, reason, not_before from outbox.message") == [("planned", "quiet_hours", nine)]
    (claimed,) = claim_due(nine, channel="sms").opened
    assert claimed.deliver_before == datetime(2017, 10, 2, 3, tzinfo=UTC)  # 20:00 in Los Angeles


def test_an_unknown_zone_waits_until_the_whole_country_is_awake(shop: Shop) -> None:
    contact = shop.contact(timezone="Nowhere/Land", country="US")
    shop.planned(contact, channels=["sms"])
    assert only(claim_due(channel="sms").verdicts) == "deferred"
    assert shop.value("select not_before from outbox.message") == datetime(
        2017, 10, 1, 19, tzinfo=UTC
    )  # 9:00 in Honolulu


def test_a_message_that_can_only_go_too_late_expires_with_the_reason_it_waited_for(shop: Shop) -> None:
    contact = shop.contact(timezone="America/Los_Angeles")
    shop.planned(contact, channels=["sms"], not_after=SEND_AT + timedelta(hours=1))
    claim_due(channel="sms")
    assert shop.value("select not_before from outbox.message") == SEND_AT + timedelta(hours=1)
    assert only(claim_due(SEND_AT + timedelta(hours=1), channel="sms").verdicts) == "expired"
    assert shop.value("select reason from outbox.message") == "quiet_hours"


def test_a_second_message_on_the_same_day_waits_for_the_next(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact, step="day30")
    shop.planned(contact, step="day60")
    assert claim_due(size=1).verdicts == {"open": 1}
    assert only(claim_due().verdicts) == "deferred"
    tomorrow = datetime(2017, 10, 2, 14, tzinfo=UTC)
    row = shop.rows("select reason, not_before from outbox.message where state = 'planned'")
    assert row == [("frequency_cap", tomorrow)]


def test_two_messages_to_one_person_in_one_claim_do_not_both_pass(shop: Shop) -> None:
    first = shop.contact(email="family@example.com", phone=None)
    second = shop.contact(email="Family@example.com", phone=None)
    shop.planned(first)
    shop.planned(second)
    assert claim_due().verdicts == {"open": 1, "twin": 1}
    assert shop.rows("select state, count(*) from outbox.message group by 1 order by 1") == [
        ("planned", 1),
        ("sending", 1),
    ]


def chain(shop: Shop) -> tuple[str, str]:
    """The ends of a person of three contacts: the first and the second share an e-mail, the second and the third a
    phone."""
    first = shop.contact(email="family@example.com", phone="+12125559001")
    shop.contact(email="Family@example.com", phone="+12125559002")
    return first, shop.contact(email="third@example.com", phone="+12125559002")


def test_two_messages_to_a_person_linked_over_a_third_contact_do_not_both_pass_one_claim(shop: Shop) -> None:
    for contact in chain(shop):
        shop.planned(contact)
    assert claim_due().verdicts == {"open": 1, "twin": 1}
    assert only(claim_due().verdicts) == "deferred"


@pytest.mark.parametrize("ends", [slice(None), slice(None, None, -1)])
def test_claims_of_a_person_linked_over_a_third_contact_wait_for_each_other(shop: Shop, ends: slice) -> None:
    for minutes, contact in enumerate(chain(shop)[ends]):
        shop.planned(contact, not_before=SEND_AT - timedelta(minutes=9 - minutes))
    assert first_and_second(shop) == {"deferred": 1}


def test_the_mass_campaigns_of_other_systems_count_and_so_does_a_scheduled_one(shop: Shop) -> None:
    contact = shop.contact()
    shop.planned(contact)
    sent = {
        "contact_id": contact,
        "campaign": "newsletter",
        "channel": "email",
        "sent_at": SEND_AT + timedelta(hours=3),
    }
    shop.insert("raw.campaign_sends", sent)
    assert only(claim_due().verdicts) == "deferred"


def test_three_messages_in_seven_days_are_enough(shop: Shop) -> None:
    contact = shop.contact()
    for days in (2, 3, 6):
        sent = {"contact_id": contact, "campaign": "x", "channel": "email", "sent_at": SEND_AT - timedelta(days=days)}
        shop.insert("raw.campaign_sends", sent)
    shop.planned(contact)
    assert only(claim_due().verdicts) == "deferred"
    tomorrow = SEND_AT + timedelta(days=1)  # the oldest of the three is a week ago then
    assert shop.value("select not_before from outbox.message") == tomorrow
    assert only(claim_due(tomorrow).verdicts) == "open"


def test_claims_of_one_person_at_the_same_moment_wait_for_each_other(shop: Shop) -> None:
    for _ in range(2):
        shop.planned(shop.contact(email="family@example.com", phone=None))
    assert first_and_second(shop) == {"deferred": 1}


def first_and_second(shop: Shop) -> object:
    """The verdicts of a claim of one message that begins while another claim of one has not committed."""
    second: list[Any] = []
    thread = threading.Thread(target=lambda: second.append(claim_due(size=1).verdicts))
    with ledger() as first, first.transaction():
        (group,) = claims.due_groups(first, clock=SEND_AT, mode="simulated", shard=Shard())
        rules = Rules.of(campaign())
        opened = claims.claim(
            first, group, rules, clock=SEND_AT, mode="simulated", shard=Shard(), worker="first", size=1
        )
        thread.start()
        thread.join(timeout=1)
        assert (len(opened.opened), thread.is_alive()) == (1, True)
    thread.join()
    return second[0]


def test_workers_pass_over_what_another_one_holds(shop: Shop) -> None:
    held = shop.planned()
    free = shop.planned()
    with psycopg.connect(shop.owner.info.dsn, password=shop.owner.info.password) as other:
        other.execute("select from outbox.message where id = %s for update", [held])
        assert [each.message_id for each in claim_due().opened] == [free]


def test_every_contact_belongs_to_exactly_one_shard(shop: Shop) -> None:
    shop.planned_many(12)
    opened = [len(claim_due(shard=Shard(index, 3)).opened) for index in range(3)]
    assert sum(opened) == 12
    assert max(opened) < 12


def test_what_a_simulation_planned_is_never_claimed_live(shop: Shop) -> None:
    shop.planned()
    with ledger() as connection:
        assert claims.due_groups(connection, clock=SEND_AT, mode="live", shard=Shard()) == {}
        (group,) = claims.due_groups(connection, clock=SEND_AT, mode="simulated", shard=Shard())
    assert claim_group(group, SEND_AT, mode="live", shard=Shard()).picked == 0


def test_a_push_goes_to_the_newest_subscriptions_that_are_left(shop: Shop) -> None:
    contact = shop.contact()
    for number in (1, 2, 3):
        shop.insert("raw.web_push_subscriptions", {
            "endpoint": f"https://push.example.com/{number}", "contact_id": contact, "p256dh": "k", "auth": "a",
            "subscribed_at": SEND_AT - timedelta(days=10 - number),
        })  # fmt: skip
    suppress(shop, "webpush", "https://push.example.com/3", at=SEND_AT - timedelta(days=1))
    shop.planned(contact, channels=["webpush"])
    (claimed,) = claim_due(channel="webpush").opened
    assert [each.endpoint[-1] for each in claimed.recipient.subscriptions] == ["2", "1"]
    relied_on = shop.value("select consent from outbox.attempt")
    assert datetime.fromisoformat(relied_on["checked_at"]) == SEND_AT
    assert [datetime.fromisoformat(each["at"]) for each in relied_on["subscriptions"]] == [
        SEND_AT - timedelta(days=10 - number) for number in (2, 1)
    ]
    hashed = "select encode(outbox.address_hash('webpush', 'https://push.example.com/2'), 'hex')"
    assert relied_on["subscriptions"][0]["address_hash"] == shop.value(hashed)
    assert "push.example.com" not in str(relied_on)


def test_a_push_without_a_subscription_is_skipped(shop: Shop) -> None:
    shop.planned(channels=["webpush"])
    assert only(claim_due(channel="webpush").verdicts) == "skipped"
    assert shop.value("select reason from outbox.message") == "no_reachable_channel"


@pytest.mark.parametrize("caps", [{}, {"per_day": None, "per_7_days": None}])
def test_a_campaign_without_caps_defers_nobody(shop: Shop, caps: dict[str, Any]) -> None:
    shop.define(campaign(caps=caps))
    contact = shop.contact()
    shop.planned(contact, step="day30")
    shop.planned(contact, step="day60")
    assert claim_due(size=1).verdicts == {"open": 1}
    assert claim_due().verdicts == {"open": 1}


def order(contact_id: str, ordered_at: datetime) -> dict[str, Any]:
    """A completed order."""
    return {
        "order_id": f"o-{contact_id}-{ordered_at}", "contact_id": contact_id, "ordered_at": ordered_at,
        "status": "completed", "total": 10, "currency": "USD", "updated_at": ordered_at,
    }  # fmt: skip


def suppress(shop: Shop, channel: str, address: str, *, at: datetime, **values: Any) -> None:
    """A suppression by an operator."""
    address_hash = shop.value("select outbox.address_hash(%s, %s)", channel, address)
    row = {
        "channel": channel,
        "address_hash": address_hash,
        "reason": "operator",
        "source": "test",
        "suppressed_at": at,
    }
    shop.insert("outbox.suppression", {**row, **values})
