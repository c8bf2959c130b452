"""`winback forget`: what goes, what stays, and who may open the door."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors
from typer.testing import CliRunner, Result

from cli.main import register
from outbox import erasures, outcomes
from outbox.sql import ledger, queries
from tests.integration.handoff_stub import DAY, SEND_AT, Shop
from tests.integration.outbound import ACCEPT, UNKNOWN, Outbound, claim_due
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

AFTER = SEND_AT + timedelta(hours=2)
EVERYTHING = (
    "select (select json_agg(d) from outbox.decision d)::text || (select json_agg(m) from outbox.message m)::text"
    " || coalesce((select json_agg(a) from outbox.attempt a)::text, '')"
    " || coalesce((select json_agg(e) from outbox.erasure e)::text, '')"
    " || coalesce((select json_agg(e) from events.delivery_event e)::text, '')"
    " || coalesce((select json_agg(e) from events.engagement_event e)::text, '')"
    " || coalesce((select string_agg(c::text || encode(c.body, 'escape'), '') from events.webhook_call c), '')"
    " || (select json_agg(s) from outbox.suppression s)::text"
)

OPENED = "select outbox.erase_calls('{}', 'me', now(), '{{}}', '{{}}')"
CLOSED = "select outbox.erase('{}', '{{}}')"


def forget(*contacts: str) -> list[erasures.Forgotten]:
    with ledger() as desk:
        return erasures.forget(desk, contacts, by="ticket 12", at=AFTER)


def called(shop: Shop, body: str, **event: Any) -> uuid.UUID:
    """A webhook as it came and, with `event`, what was read from it."""
    call = uuid.uuid4()
    shop.insert("events.webhook_call", {"call_id": call, "provider": "sendgrid", "received_at": AFTER,
        "verdict": "verified", "headers": json.dumps({"user-agent": "x"}), "body": body.encode(),
        "body_sha256": b"1"})  # fmt: skip
    if event:
        shop.insert("events.delivery_event", {"event_key": str(call), "call_id": call, "provider": "sendgrid",
            "channel": "email", "kind": "deferred", "occurred_at": AFTER, "received_at": AFTER, **event})  # fmt: skip
    return call


def verb(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(register(), ["forget", *arguments], input=typed)


@pytest.fixture
def ann(shop: Shop) -> str:
    """Ann has a message behind her, clicked and reported of, and one with a code ahead; the personal says SECRET."""
    contact = shop.contact("ann", email="Ann.SECRET@example.com", phone="+12125559999")
    sent = shop.planned(contact, merge_fields=json.dumps({"product_1": "SECRET socks"}))
    Outbound().simulate()
    assert shop.value("select state from outbox.message where id = %s", sent) == "accepted"
    run_id = shop.open_run(DAY + timedelta(days=1), clock=AFTER - timedelta(hours=1), holder="the next day")
    shop.insert("raw.coupon_codes", {"promotion": "ten", "code": "C1"})
    shop.request(run_id, contact, step="day60", promotion="ten", code="C1", as_of=DAY + timedelta(days=1),
        merge_fields=json.dumps({"product_1": "SECRET hat", "coupon_code": "C1"}), not_before=AFTER)  # fmt: skip
    shop.owner.execute('update cohorts.fct_decisions set seen = \'{"last_purchase_at": "SECRET"}\'')
    shop.enqueue(run_id)
    call = called(shop, f'[{{"email": "ann.secret@example.com", "message_id": "{sent}"}}]', message_id=sent,
        detail="SECRET words")  # fmt: skip
    shop.insert("events.engagement_event", {"event_key": "click", "call_id": call, "provider": "sendgrid",
        "channel": "email", "message_id": sent, "kind": "clicked", "url": "https://shop.example.com/SECRET",
        "occurred_at": AFTER, "received_at": AFTER})  # fmt: skip
    shop.insert("outbox.contact_tag", {"contact_id": contact, "tag": "t", "added_at": SEND_AT, "caused_by": sent})
    return contact


def test_what_is_personal_goes_and_what_adds_up_stays(shop: Shop, ann: str) -> None:
    counted = ("select (select count(*) from outbox.decision), (select count(*) from outbox.message),"
        " (select count(*) from outbox.attempt), (select count(*) from events.delivery_event),"
        " (select count(*) from events.engagement_event), (select count(*) from events.webhook_call)")  # fmt: skip
    before = shop.rows(counted)
    (done,) = forget(ann)
    assert done.counts == {
        "skipped_messages": 1, "released_codes": 1, "suppressed_addresses": 2, "removed_tags": 1, "decisions": 1,
        "messages": 2, "attempts": 0, "delivery_events": 1, "engagement_events": 1, "webhook_calls": 1,
    }  # fmt: skip
    assert shop.rows(counted) == before
    assert "secret" not in shop.value(EVERYTHING).lower()
    assert shop.rows("select contact_id, asked_by, erased_at, counts from outbox.erasure") == [
        ("ann", "ticket 12", AFTER, dict(done.counts))
    ]
    assert shop.value("select removed_at from outbox.contact_tag") == AFTER


def test_a_consent_stays_on_record_where_a_provider_was_called_for_it(shop: Shop, ann: str) -> None:
    forget(ann)
    assert shop.rows("select step, consent <> '{}' from outbox.message order by step") == [
        ("day30", True), ("day60", False),
    ]  # fmt: skip


def test_a_planned_message_is_skipped_and_its_code_goes_back(shop: Shop, ann: str) -> None:
    forget(ann)
    assert shop.rows("select state, reason from outbox.message where step = 'day60'") == [("skipped", "forgotten")]
    assert shop.value("select released_at from outbox.coupon_grant") == AFTER
    assert shop.value("select count(*) from outbox.contact_event where name = 'coupon_released'") == 1


def test_a_code_whose_message_may_have_left_stays_with_its_owner(shop: Shop) -> None:
    contact = shop.contact()
    shop.insert("raw.coupon_codes", {"promotion": "ten", "code": "C1"})
    message = shop.planned(contact, step="day60", promotion="ten", code="C1")
    Outbound(email=lambda _: UNKNOWN).simulate()
    (done,) = forget(contact)
    assert (done.may_have_left, done.counts["released_codes"], done.counts["messages"]) == (1, 0, 1)
    assert shop.value("select released_at from outbox.coupon_grant") is None
    with ledger() as desk:  # never left after all: it is planned again, and still goes nowhere
        outcomes.settle(desk, message, "planned", by="me", evidence="SECRET log")
    assert not claim_due(AFTER).opened
    assert shop.rows("select state, reason from outbox.message") == [("skipped", "forgotten")]
    assert forget(contact)[0].counts["attempts"] == 1
    assert "SECRET" not in shop.value(EVERYTHING)


def test_they_are_never_written_to_again(shop: Shop, ann: str) -> None:
    forget(ann)
    shop.owner.execute("update raw.contacts set contact_id = 'new_account'")
    other = shop.contact(email="someone@example.com")
    later = {"not_before": AFTER, "not_after": AFTER + timedelta(days=1)}
    shop.planned("new_account", **later)
    shop.planned(other, **later)
    out = Outbound(email=lambda _: ACCEPT)
    out.simulate(AFTER, AFTER + timedelta(hours=1))
    assert len(out.sent) == 1
    assert shop.rows("select contact_id, state, reason from outbox.message where contact_id <> 'ann' order by 1") == [
        (other, "accepted", None), ("new_account", "skipped", "suppressed"),
    ]  # fmt: skip


def test_webhooks_that_name_them_lose_their_bodies_and_others_keep_theirs(shop: Shop, ann: str) -> None:
    shop.owner.execute("update raw.contacts set phone = '+12125559999'")
    replayed = called(shop, '[{"email":"ANN.secret@example.com"}]')
    texted = called(shop, "From=%2B12125559999&Body=STOP&MessageSid=SM1")
    others = called(shop, '[{"email":"bob@example.com"}]')
    forget(ann)
    kept = dict(
        shop.rows("select call_id, (body <> '' and headers <> '{}' and erased_at is null) from events.webhook_call")
    )
    assert (kept[replayed], kept[texted], kept[others]) == (False, False, True)


NAMES_ANN = {
    "in a form": "from=Bob%3Cann.secret%40example.com%3E&x=1",
    "after a blank in a form": "text=From+Ann.Secret%40example.com",
    "after a line break in JSON": '{"text": "\\nann.secret@example.com."}',
    "after an escape in JSON": '{"text": "\\u003cann.secret@example.com\\u003e"}',
    "as a phone": '{"to": "+12125559999"}',
}
NAMES_SOMEBODY_ELSE = {
    "a longer name": '{"email": "joann.secret@example.com"}',
    "another tag": '{"email": "jo+ann.secret@example.com"}',
    "another tag in a form": "email=jo%2Bann.secret%40example.com",
    "a longer domain": '{"email": "ann.secret@example.com.au"}',
    "a longer phone": "From=%2B121255599991",
}


@pytest.mark.parametrize("body", NAMES_ANN.values(), ids=NAMES_ANN)
def test_an_address_is_found_however_a_webhook_writes_it(shop: Shop, ann: str, body: str) -> None:
    call = called(shop, body)
    forget(ann)
    assert shop.value("select body from events.webhook_call where call_id = %s", call) == b""


@pytest.mark.parametrize("body", NAMES_SOMEBODY_ELSE.values(), ids=NAMES_SOMEBODY_ELSE)
def test_an_address_that_contains_theirs_is_somebody_elses(shop: Shop, ann: str, body: str) -> None:
    call = called(shop, body)
    forget(ann)
    assert shop.value("select body from events.webhook_call where call_id = %s", call) == body.encode()


@pytest.mark.parametrize(("channel", "kept"), [("email", True), ("sms", False)])
def test_the_providers_id_of_a_text_is_theirs_that_of_a_request_with_e_mails_is_everybodys(
    shop: Shop,
    ann: str,
    channel: str,
    kept: bool,
) -> None:
    shared = "XMessageIdOfAHundred"
    with shop.owner.transaction():
        shop.owner.execute("set local session_replication_role = replica")
        shop.owner.execute("update outbox.attempt set provider_message_id = %s, channel = %s", [shared, channel])
    call = called(shop, f'[{{"email": "bob@example.com", "sg_message_id": "{shared}.recvd-1"}}]')
    forget(ann)
    assert (shop.value("select body from events.webhook_call where call_id = %s", call) != b"") is kept


def test_webhooks_are_read_before_the_freezing_lock_is_taken(
    shop: Shop, ann: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks: list[int] = []
    erase_calls = queries.erase_calls

    def watched(connection: psycopg.Connection, **values: Any) -> Any:
        locks.append(shop.value("select count(*) from pg_locks where locktype = 'advisory' and granted"))
        return erase_calls(connection, **values)

    monkeypatch.setattr(queries, "erase_calls", watched)
    forget(ann)
    assert locks == [0]


def test_nobody_is_forgotten_while_a_run_may_have_read_them(shop: Shop, ann: str) -> None:
    before = shop.value(EVERYTHING)
    run_id = shop.open_run(DAY + timedelta(days=2), clock=AFTER, holder="the day after")
    with pytest.raises(WinbackError, match=rf"Run {run_id} .*'the day after'.*Wait until.*Nothing was erased"):
        forget(ann)
    assert shop.value(EVERYTHING) == before
    assert shop.value("select state from outbox.run where run_id = %s", run_id) == "building"


def test_a_run_whose_lease_is_over_is_given_up_and_cannot_freeze_them_afterwards(shop: Shop, ann: str) -> None:
    run_id = shop.open_run(DAY + timedelta(days=2), clock=AFTER, holder="the day after")
    shop.owner.execute("update outbox.run set lease_until = clock_timestamp() where run_id = %s", [run_id])
    forget(ann)
    assert shop.value("select state from outbox.run where run_id = %s", run_id) == "abandoned"


def test_forgetting_twice_changes_nothing_more_and_is_on_record(shop: Shop, ann: str) -> None:
    forget(ann)
    before = shop.rows("select state, merge_fields, closed_at from outbox.message order by id")
    (again,) = forget(ann)
    assert not any(again.counts.values())
    assert shop.rows("select state, merge_fields, closed_at from outbox.message order by id") == before
    assert shop.value("select count(*) from outbox.erasure") == 2


def test_others_are_left_as_they_are_and_an_unknown_one_forgets_nobody(shop: Shop, ann: str) -> None:
    bob = shop.contact("bob")
    shop.planned(bob, merge_fields=json.dumps({"product_1": "bob's"}))
    with pytest.raises(WinbackError, match=r"No contact 'nobody'.*Nothing was erased"):
        forget(ann, "nobody")
    assert shop.value("select count(*) from outbox.erasure") == 0
    forget(ann)
    assert shop.rows("select state, merge_fields ->> 'product_1' from outbox.message where contact_id = 'bob'") == [
        ("planned", "bob's")
    ]


@pytest.mark.parametrize("role", [Role.DBT, Role.ANALYST, Role.WEBHOOK])
def test_no_other_role_may_open_the_door(shop: Shop, ann: str, role: Role) -> None:
    with connect(role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(OPENED.format("ann"))


@pytest.mark.parametrize("role", [Role.DBT, Role.ANALYST, Role.WEBHOOK])
def test_no_other_role_may_go_through_it(shop: Shop, ann: str, role: Role) -> None:
    with connect(role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(CLOSED.format("ann"))


def test_nothing_is_erased_through_a_door_that_was_not_opened_in_this_transaction(shop: Shop, ann: str) -> None:
    with connect(Role.SENDER, autocommit=True) as connection:
        connection.execute(OPENED.format("ann"))
        with pytest.raises(errors.ObjectNotInPrerequisiteState):
            connection.execute(CLOSED.format("ann"))


def test_the_sender_cannot_go_around_the_door(shop: Shop, ann: str) -> None:
    for statement in (
        "update outbox.decision set seen = '{}'",
        "insert into outbox.erasure (contact_id, asked_by, erased_at) values ('ann', 'me', now())",
        "update events.webhook_call set body = ''",
    ):
        with connect(Role.SENDER) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)
    with connect(Role.SENDER) as connection, pytest.raises(errors.RestrictViolation):
        connection.execute("update outbox.message set merge_fields = '{}'")


CLOSED_DOOR = [
    "update outbox.decision set seen = '{}'",
    "update outbox.message set merge_fields = '{}'",
    "update events.delivery_event set detail = null",
    "update events.webhook_call set headers = '{}', body = '', body_sha256 = sha256('')",
    "update outbox.erasure set counts = '{}'",
    "delete from outbox.erasure",
    "truncate outbox.erasure",
]


@pytest.mark.parametrize("statement", CLOSED_DOOR)
def test_the_door_is_closed_to_the_owner_outside_it_and_after_it(shop: Shop, ann: str, statement: str) -> None:
    shop.planned(shop.contact("bob"))
    with shop.owner.transaction():
        shop.owner.execute(OPENED.format("bob"))
        shop.owner.execute(CLOSED.format("bob"))
    with pytest.raises(errors.RestrictViolation), shop.owner.transaction():
        shop.owner.execute(OPENED.format("bob"))
        shop.owner.execute(CLOSED.format("bob"))
        shop.owner.execute(statement)


OPEN_DOOR = [
    "update outbox.decision set seen = '{}', decision = 'hold' where contact_id = 'ann'",
    "update outbox.message set merge_fields = '{\"a\": 1}' where contact_id = 'ann'",
    "update outbox.message set merge_fields = '{}' where contact_id = 'ann' and state = 'planned'",
    "update outbox.message set merge_fields = '{}', consent = '{}' where contact_id = 'ann' and state = 'accepted'",
    "update events.delivery_event set detail = null, kind = 'delivered'",
    "update events.engagement_event set url = 'x'",
    "update outbox.decision set seen = '{}' where contact_id = 'bob'",
]


@pytest.mark.parametrize("statement", OPEN_DOOR)
def test_through_the_open_door_nothing_else_can_change(shop: Shop, ann: str, statement: str) -> None:
    shop.planned(shop.contact("bob"))
    with pytest.raises(errors.RestrictViolation), shop.owner.transaction():
        shop.owner.execute("insert into outbox.erasure (contact_id, asked_by, erased_at) values ('ann', 'me', now())")
        shop.owner.execute(statement)


def test_a_short_address_finds_nobody_elses_webhooks(shop: Shop, ann: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue), connect(Role.SENDER) as connection:
        connection.execute("select outbox.erase_calls('ann', 'me', now(), '{a}', '{}')")


def test_the_verb_asks_first(shop: Shop, ann: str) -> None:
    said = verb(ann, "--by", "me", typed="n\n")
    assert said.exit_code == 1
    assert shop.value("select count(*) from outbox.erasure") == 0


def test_the_verb_says_what_it_erased_and_what_is_left_to_do(shop: Shop, ann: str) -> None:
    said = verb(ann, "--by", "me", "--yes")
    assert said.exit_code == 0, said.output
    assert "1 planned message skipped" in said.output and "2 addresses suppressed for good" in said.output
    assert "raw.contacts" in said.output and "raw.orders" in said.output
    assert "secret" not in said.output.lower() and "5559999" not in said.output
    assert shop.value("select count(*) from cohorts.fct_decisions where seen <> '{}'") == 0
    assert json.loads(said.output.splitlines()[-1])["forgotten"] == ["ann"]
    again = verb(ann, "--by", "me", "--yes")
    assert again.exit_code == 0 and "nothing was left to erase" in again.output


def test_the_verb_refuses_an_unknown_contact_and_an_empty_name(shop: Shop) -> None:
    assert isinstance(verb("nobody", "--by", "me", "--yes").exception, WinbackError)
    assert verb("nobody", "--by", " ", "--yes").exit_code == 2


def test_a_person_is_not_forgotten_where_their_other_contacts_are_not_known(shop: Shop, ann: str) -> None:
    said = verb(ann, "--by", "me", "--yes", "--person")
    assert isinstance(said.exception, WinbackError) and "Nothing was erased" in str(said.exception)
    assert shop.value("select count(*) from outbox.erasure") == 0
