"""A message that a person released, and of which its provider reports all the same: it had left."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg import errors

from outbox import claims, erasures
from outbox.sql import ledger
from senders.contract import AccountRefused, Message, Outcome, OutcomeKind
from tests.integration.handoff_stub import SEND_AT, Shop
from tests.integration.outbound import UNKNOWN, Outbound, claim_due
from tests.integration.test_outbox_outcomes import LATER, doubtful, event, reconcile, settle
from tests.integration.test_outbox_side_by_side import wait_until_blocked
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

CODE = {"code": "A1", "promotion": "p", "step": "day60"}


def released(shop: Shop, **changes: object) -> uuid.UUID:
    """A message that waits to be sent again, on the word of a person."""
    message_id = doubtful(shop, **changes)
    settle(message_id, "planned")
    return message_id


def stand(shop: Shop) -> tuple[object, ...]:
    """State, accepted_at, and the outcomes of the attempts of the only message."""
    (row,) = shop.rows(
        "select state, accepted_at, array_agg(outcome order by attempt_no) from outbox.message"
        " join outbox.attempt on message_id = id group by id"
    )
    return row


@pytest.mark.parametrize("state", ["planned", "rejected"])
@pytest.mark.parametrize("table", ["delivery_event", "engagement_event"])
def test_no_word_of_a_person_goes_against_a_report_that_is_already_there(shop: Shop, state: str, table: str) -> None:
    message_id = doubtful(shop)
    event(shop, table, message_id, {"delivery_event": "delivered"}.get(table, "opened"))
    with pytest.raises(WinbackError, match=r"had left: sendgrid reported it as .* not sent again"):
        settle(message_id, state)
    assert stand(shop) == ("accepted", LATER, ["accepted"])
    assert settle(message_id, "accepted") == "winback day30"


def test_a_report_that_nobody_could_reconcile_yet_stops_the_release_too(shop: Shop) -> None:
    message_id = doubtful(shop)
    event(shop, "delivery_event", message_id, "delivered")
    with connect(Role.OWNER) as other, ThreadPoolExecutor(1) as pool:
        other.execute("select from outbox.attempt for update")  # so that reconciling passes it over
        release = pool.submit(settle, message_id, "planned")
        wait_until_blocked(shop, other)
        other.rollback()
        with pytest.raises(WinbackError, match="had left"):
            release.result(timeout=20)
    assert stand(shop) == ("in_doubt", None, ["unknown"])


def test_a_report_of_another_channel_does_not_hinder_a_release(shop: Shop) -> None:
    message_id = doubtful(shop)
    event(shop, "delivery_event", message_id, "delivered", channel="sms")
    assert settle(message_id, "planned") == "winback day30"


def test_a_message_reported_after_its_release_is_accepted_by_the_claim_and_not_sent_again(shop: Shop) -> None:
    message_id = released(shop, tag="t", **CODE)
    key = event(shop, "delivery_event", message_id, "delivered")
    out = Outbound()
    assert out.simulate().totals == {"reconciled": 1}
    assert out.sent == []
    assert stand(shop) == ("accepted", LATER, ["accepted"])
    evidence = shop.value("select evidence from outbox.attempt")
    assert (evidence["source"], evidence["event_key"], evidence["against"]["by"]) == ("webhook", key, "Kim")
    assert "text" not in evidence["against"]
    assert shop.rows("select tag, added_at from outbox.contact_tag") == [("t", LATER)]
    assert shop.value("select released_at from outbox.coupon_grant") is None


def test_forgetting_a_person_asks_first_whether_what_was_released_had_left(shop: Shop) -> None:
    message_id = released(shop, **CODE)
    event(shop, "delivery_event", message_id, "delivered")
    with ledger() as desk:
        (told,) = erasures.forget(desk, [shop.value("select contact_id from outbox.message")], by="t", at=LATER)
    assert stand(shop) == ("accepted", LATER, ["accepted"])
    assert (told.counts["skipped_messages"], told.counts["released_codes"]) == (0, 0)
    assert shop.value("select released_at from outbox.coupon_grant") is None


def test_what_others_are_due_in_the_same_claim_goes_out(shop: Shop) -> None:
    first = released(shop)
    second = shop.planned()
    event(shop, "delivery_event", first, "delivered")
    claim = claim_due(LATER)
    assert [each.message_id for each in claim.opened] == [second]
    assert (claim.verdicts, claim.picked) == ({"open": 1, "reconciled": 1}, 2)


def test_a_message_reported_on_its_first_channel_is_not_sent_on_its_second(shop: Shop) -> None:
    contact = shop.contact()
    message_id = shop.planned(contact, channels=["sms", "email"])
    Outbound(sms=lambda _: UNKNOWN).simulate()
    settle(message_id, "planned")
    event(shop, "delivery_event", message_id, "delivered", channel="sms")
    shop.owner.execute("update raw.contacts set consent_sms = false")
    out = Outbound()
    assert out.simulate().totals == {"reconciled": 1}
    assert shop.rows("select state, accepted_channel from outbox.message") == [("accepted", "sms")]


def test_a_code_that_had_left_does_not_go_back_when_its_message_is_too_late(shop: Shop) -> None:
    message_id = released(shop, **CODE)
    event(shop, "engagement_event", message_id, "clicked")
    with ledger() as connection:
        assert claims.expire_overdue(connection, clock=SEND_AT + timedelta(days=9), mode="simulated") == 0
    assert stand(shop)[0] == "accepted"
    assert shop.value("select released_at from outbox.coupon_grant") is None


def test_nothing_but_a_report_makes_accepted_of_what_was_not_sent(shop: Shop) -> None:
    released(shop)
    word = '{"source": "operator", "by": "Kim"}'
    with pytest.raises(errors.RestrictViolation, match="but a provider's report"):
        shop.owner.execute("update outbox.attempt set outcome = 'accepted', evidence = %s", [word])
    with pytest.raises(errors.RestrictViolation, match="but a provider's report"):
        shop.owner.execute(
            "update outbox.message set state = 'accepted', accepted_at = now(), accepted_channel = 'email'"
        )


THROTTLED = Outcome(
    OutcomeKind.NOT_SENT, provider_message_id="SM1", error_code="30001", retry_after=timedelta(seconds=30)
)
"""What Twilio's 201 with a SID and status `failed` comes to: it took the text, and says that it is nowhere."""


def refused_at_once(shop: Shop, **changes: object) -> uuid.UUID:
    """A text that its provider took and failed in the same answer; it waits to be sent again."""
    message_id = shop.planned(channels=["sms", "email"], **changes)
    Outbound(sms=lambda _: THROTTLED).simulate(until=SEND_AT + timedelta(seconds=1))
    assert stand(shop) == ("planned", None, ["not_sent"])
    return message_id


@pytest.mark.parametrize("kind", ["failed", "dropped", "unknown"])
def test_a_report_that_confirms_the_providers_own_answer_loses_nobody(shop: Shop, kind: str) -> None:
    message_id = refused_at_once(shop)
    event(shop, "delivery_event", message_id, kind, channel="sms", provider="twilio", occurred_at=SEND_AT)
    assert Outbound().simulate(SEND_AT + timedelta(minutes=1)).totals == {"accepted": 1}
    assert stand(shop)[2] == ["not_sent", "accepted"]
    assert shop.value("select evidence from outbox.attempt where attempt_no = 1") is None


def test_a_text_that_was_failed_for_the_accounts_sake_is_confirmed_by_its_report_and_its_neighbour_by_none(
    shop: Shop,
) -> None:
    first, second = (shop.planned(channels=["sms", "email"]) for _ in range(2))

    def failing(message: Message) -> Outcome:
        raise AccountRefused("Twilio refused us with 30002.", {first: "SM1"})

    Outbound(sms=failing).simulate(until=SEND_AT + timedelta(seconds=1))
    found = dict(shop.rows("select message_id, provider_message_id from outbox.attempt where outcome = 'not_sent'"))
    assert found == {first: "SM1", second: None}
    proof = "select outbox.is_proof('failed', id, 'sms', 'SM1') from outbox.message where id = %s"
    assert [shop.rows(proof, each) for each in (first, second)] == [[(False,)], [(True,)]]


@pytest.mark.parametrize("kind", ["accepted", "delivered", "bounced"])
def test_a_report_against_the_providers_own_answer_still_counts(shop: Shop, kind: str) -> None:
    message_id = refused_at_once(shop)
    event(shop, "delivery_event", message_id, kind, channel="sms", provider="twilio")
    out = Outbound()
    assert out.simulate(SEND_AT + timedelta(minutes=1)).totals["reconciled"] == 1
    assert (out.sent, stand(shop)) == ([], ("accepted", LATER, ["accepted"]))


def test_what_the_provider_failed_at_once_expires_and_gives_its_code_back(shop: Shop) -> None:
    message_id = refused_at_once(shop, **CODE)
    event(shop, "delivery_event", message_id, "failed", channel="sms", provider="twilio", occurred_at=SEND_AT)
    with ledger() as connection:
        assert claims.expire_overdue(connection, clock=SEND_AT + timedelta(days=9), mode="simulated") == 1
    assert stand(shop)[0] == "expired"
    assert shop.value("select released_at from outbox.coupon_grant") is not None


def test_the_failure_of_a_first_attempt_proves_nothing_of_a_second_in_doubt(shop: Shop) -> None:
    message_id = refused_at_once(shop)
    event(shop, "delivery_event", message_id, "failed", channel="sms", provider="twilio", occurred_at=SEND_AT)
    Outbound(sms=lambda _: UNKNOWN).simulate(SEND_AT + timedelta(minutes=1))
    assert (reconcile(), stand(shop)[0]) == (0, "in_doubt")
    settle(message_id, "planned")  # and stands in no person's way
    assert Outbound().simulate(SEND_AT + timedelta(minutes=2)).totals == {"accepted": 1}


@pytest.mark.parametrize("code", ["unreachable", "20429", "too_late", "misconfigured"])
@pytest.mark.parametrize("order", [1, -1])
def test_an_attempt_that_never_reached_the_provider_stands_for_no_report_of_it(
    shop: Shop, code: str, order: int
) -> None:
    """Otherwise the report of the one that did would count for nothing, and a person's release send a second text."""
    message_id = shop.planned(channels=["sms", "email"])
    unsent = Outcome(OutcomeKind.NOT_SENT, error_code=code, retry_after=timedelta(seconds=30))
    answers = [unsent, UNKNOWN][::order]
    Outbound(sms=lambda _: answers[0]).simulate(until=SEND_AT + timedelta(seconds=1))
    if order < 0:
        settle(message_id, "planned")
    Outbound(sms=lambda _: answers[1]).simulate(
        SEND_AT + timedelta(minutes=1), until=SEND_AT + timedelta(minutes=1, seconds=1)
    )
    event(shop, "delivery_event", message_id, "failed", channel="sms", provider="twilio")
    out = Outbound()
    reconcile()
    out.simulate(SEND_AT + timedelta(hours=2))
    assert out.sent == []
    state, _, outcomes = stand(shop)
    assert (state, outcomes) == ("accepted", ["not_sent", "accepted"][::order])


@pytest.mark.parametrize("named", ["SM1", None])
def test_a_report_belongs_to_the_attempt_whose_id_it_names_and_to_none_that_never_reached_the_provider(
    shop: Shop, named: str | None
) -> None:
    message_id = refused_at_once(shop)
    unsent = Outcome(OutcomeKind.NOT_SENT, error_code="unreachable", retry_after=timedelta(seconds=30))
    Outbound(sms=lambda _: unsent).simulate(
        SEND_AT + timedelta(minutes=1), until=SEND_AT + timedelta(minutes=1, seconds=1)
    )
    event(shop, "delivery_event", message_id, "delivered", channel="sms", provider="twilio", provider_message_id=named)
    assert Outbound().simulate(SEND_AT + timedelta(minutes=2)).totals["reconciled"] == 1
    assert stand(shop) == ("accepted", LATER, ["accepted", "not_sent"])


@pytest.mark.parametrize("kind", ["failed", "dropped"])
def test_a_failure_that_names_the_attempt_in_doubt_says_that_the_provider_had_it(shop: Shop, kind: str) -> None:
    message_id = refused_at_once(shop)
    Outbound(sms=lambda _: UNKNOWN).simulate(SEND_AT + timedelta(minutes=1))
    event(shop, "delivery_event", message_id, kind, channel="sms", provider="twilio", provider_message_id="SM2")
    with pytest.raises(WinbackError, match="had left: twilio reported it as"):
        settle(message_id, "planned")
    assert stand(shop) == ("accepted", LATER, ["not_sent", "accepted"])


def test_of_two_attempts_that_a_provider_failed_the_report_belongs_to_the_one_it_names(shop: Shop) -> None:
    message_id = refused_at_once(shop)
    again = replace(THROTTLED, provider_message_id="SM2")
    Outbound(sms=lambda _: again).simulate(
        SEND_AT + timedelta(minutes=1), until=SEND_AT + timedelta(minutes=1, seconds=1)
    )
    event(shop, "delivery_event", message_id, "delivered", channel="sms", provider="twilio", provider_message_id="SM1")
    assert Outbound().simulate(SEND_AT + timedelta(minutes=2)).totals["reconciled"] == 1
    assert stand(shop) == ("accepted", LATER, ["accepted", "not_sent"])


def test_a_release_that_waited_for_a_sweep_goes_by_what_the_sweep_wrote(shop: Shop) -> None:
    message_id = shop.planned()
    assert len(claim_due().opened) == 1
    with connect(Role.OWNER) as sweep, ThreadPoolExecutor(1) as pool:
        sweep.execute(
            "update outbox.attempt set outcome = 'unknown', closed_at = opened_at, error_code = 'lease_expired'"
        )
        sweep.execute("update outbox.message set state = 'in_doubt', reason = 'lease_expired'")
        release = pool.submit(settle, message_id, "planned")
        wait_until_blocked(shop, sweep)
        sweep.commit()
        release.result()
    assert stand(shop)[0] == "planned"


def test_a_report_belongs_to_the_attempt_that_was_in_doubt(shop: Shop) -> None:
    message_id = shop.planned()
    unsent = Outcome(OutcomeKind.NOT_SENT, error_code="unreachable", retry_after=timedelta(seconds=30))
    answers = [unsent, UNKNOWN]
    Outbound(email=lambda _: answers.pop(0)).simulate()
    settle(message_id, "planned")
    event(shop, "delivery_event", message_id, "delivered")
    assert Outbound().simulate().totals == {"reconciled": 1}
    assert stand(shop) == ("accepted", LATER, ["not_sent", "accepted"])


def test_a_release_holds_no_attempt_that_is_closed_while_it_waits_for_a_claim(shop: Shop) -> None:
    message_id = released(shop)
    with connect(Role.OWNER) as claim, ThreadPoolExecutor(1) as pool:
        claim.execute("select from outbox.message for update")
        again = pool.submit(settle, message_id, "planned")
        wait_until_blocked(shop, claim)
        claim.execute("select from outbox.attempt for update nowait")  # as the claim's look for reports does
        claim.rollback()
        with pytest.raises(WinbackError, match="only one in doubt can be released"):
            again.result(timeout=20)


def test_a_report_of_failure_after_a_release_says_that_the_provider_had_it(shop: Shop) -> None:
    message_id = released(shop)
    event(shop, "delivery_event", message_id, "failed")
    assert Outbound().simulate().totals == {"reconciled": 1}
    assert stand(shop) == ("accepted", LATER, ["accepted"])


def test_without_a_report_a_released_message_is_sent_as_before(shop: Shop) -> None:
    released(shop)
    assert reconcile() == 0
    assert Outbound().simulate().totals == {"accepted": 1}
    assert stand(shop)[2] == ["not_sent", "accepted"]
