"""What enqueue and the claim read: requests with their times and fields, live views on the sources, privileges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import register
from tests.integration import dbt_definition, roles
from tests.integration.dbt_days import (
    NEW_YORK,
    at,
    build,
    contact,
    database,
    insert,
    order,
    rows,
)
from tests.integration.handoff_day import HAWAII, decided, stops
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

STOPPED = """
select s.channel, s.reason from handoff.send_stops s join outbox.message m on m.id = s.message_id
where m.contact_id = %s and s.happened_at is null
"""


@pytest.fixture(scope="module")
def handoff(postgres: str, template_database: str) -> Iterator[dict[str, Any]]:
    """One day, built and enqueued, nothing sent yet. `requests`: (contact, step) -> row of send_requests."""
    with database(postgres, template_database), connect(Role.OWNER) as connection:
        connection.autocommit = True
        yield decided(connection)


def test_the_hand_off_and_the_cohorts_say_in_the_database_what_they_are(handoff: dict[str, Any]) -> None:
    silent, told = rows(
        "select coalesce(array_agg(c.oid::regclass || '.' || a.attname) filter (where"
        " obj_description(c.oid, 'pg_class') is null or col_description(c.oid, a.attnum) is null), '{}'),"
        " array_agg(distinct c.relname::text) from pg_class as c"
        " inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where c.relkind in ('r', 'v') and (c.relnamespace = 'handoff'::regnamespace"
        " or c.oid::regclass::text ~ '^cohorts.(dormant_at_|fct_)')"
    )[0]
    assert silent == []
    assert {"send_requests", "send_stops", "recipients", "dormant_at_30", "dormant_at_90", "fct_decisions"} <= set(told)


def test_a_message_waits_for_the_send_hour_in_its_own_zone(handoff: dict[str, Any]) -> None:
    requests = handoff["requests"]
    assert requests["here", "day30"]["not_before"] == at("2017-10-01", "08:00")
    assert requests["far", "day30"]["not_before"] == at("2017-10-01", "08:00", HAWAII)
    assert requests["nowhere", "day30"]["not_before"] == at("2017-10-01", "08:00", NEW_YORK)


def test_a_text_waits_for_its_hours(handoff: dict[str, Any]) -> None:
    assert handoff["requests"]["texted", "day60"]["not_before"] == at("2017-10-01", "09:00")


def test_a_message_ends_with_the_last_day_it_may_be_late(handoff: dict[str, Any]) -> None:
    requests = handoff["requests"]
    assert requests["here", "day30"]["not_after"] == at("2017-10-05", "00:00")
    assert requests["nowhere", "day30"]["not_after"] == at("2017-10-04", "00:00")


def test_only_channels_that_can_reach_the_contact_are_asked_for(handoff: dict[str, Any]) -> None:
    assert handoff["requests"]["texted", "day60"]["channels"] == ["sms", "email"]
    assert handoff["requests"]["mailed", "day60"]["channels"] == ["email"]


def test_the_consent_relied_on_goes_with_the_request(handoff: dict[str, Any]) -> None:
    consent = handoff["requests"]["texted", "day60"]["consent"]
    assert set(consent) == {"email", "sms"}
    assert consent["email"]["source"] == "signup"
    assert consent["email"]["text_version"] == "v1"


def test_the_merge_fields_say_when_and_with_which_code(handoff: dict[str, Any]) -> None:
    fields = handoff["requests"]["texted", "day60"]["merge_fields"]
    assert fields["last_purchase_on"] == "August 2"
    assert fields["days_away"] == "60"
    assert fields["offer_ends_on"] == "October 15"
    assert fields["coupon_code"] == handoff["requests"]["texted", "day60"]["coupon_code"]
    assert "shop_name" not in fields  # the same for everybody: it stays in the step's definition


def test_the_checksum_of_the_hand_off_changes_with_any_row(handoff: dict[str, Any]) -> None:
    query = "select request_count, request_checksum, target from handoff.handoff_totals"
    ((count, before, target),) = rows(query)
    assert (count, target) == (6, "prod")
    with connect(Role.OWNER) as connection:
        connection.execute(
            "update handoff.send_requests set not_after = not_after + interval '1 second' where step = 'day60'"
        )
        ((_, changed, _),) = connection.execute(query).fetchall()
        connection.rollback()
    assert before != changed


def test_other_systems_leave_every_contact_of_the_person_alone_while_a_message_is_ahead(
    handoff: dict[str, Any],
) -> None:
    request = handoff["requests"]["twin_a", "day30"]
    flights = rows("select contact_id, channel, state, since, until from handoff.in_flight where step = 'day30'")
    ahead = ("email", "planned", at("2017-10-01", "05:00"), request["not_after"])
    assert {row[0] for row in flights if row[1:] == ahead} >= {"twin_a", "same_phone", "same_mail", "over_the_second"}
    assert not {row[0] for row in flights} & {"texted", "nobodys_twin"}


def test_a_system_that_asks_between_the_decision_and_our_send_hour_learns_whom_we_write_to(
    handoff: dict[str, Any],
) -> None:
    documented = "select distinct contact_id from handoff.in_flight where since <= now() and until > now()"
    assert documented in Path("docs/OPERATIONS.md").read_text()
    four, six = at("2017-10-01", "04:00"), at("2017-10-01", "06:00")
    assert rows(documented.replace("now()", "%s"), four, four) == []
    after = rows(documented.replace("now()", "%s"), six, six)
    assert {contact_id for (contact_id,) in after} >= {"here", "far", "nowhere", "texted", "mailed", "twin_a"}


def test_other_systems_leave_who_was_written_to_alone_until_the_end_of_their_own_day(handoff: dict[str, Any]) -> None:
    query = "select contact_id, state, until from handoff.in_flight where contact_id in ('here', 'far')"
    with connect(Role.OWNER) as connection:
        connection.execute("update outbox.message set state = 'sending'")
        connection.execute(
            "update outbox.message set state = 'accepted', accepted_channel = 'email', accepted_at = not_before"
        )
        told = connection.execute(query).fetchall()
        connection.execute("insert into outbox.run_day select run_id, as_of + 31, clock from outbox.run_day")
        later = connection.execute(query).fetchall()
        # A campaign that waits for a month may have written today to whom it decided for a month ago.
        insert(connection, "outbox.definition", hash="patient", kind="campaign", body={"max_late_days": 30})
        patient = connection.execute(query).fetchall()
        connection.rollback()
    assert (set(told), later, set(patient)) == (
        {("here", "accepted", at("2017-10-02", "00:00")), ("far", "accepted", at("2017-10-02", "00:00", HAWAII))},
        [],
        set(told),
    )


def test_the_stop_list_for_other_systems_names_contacts_and_no_address(handoff: dict[str, Any]) -> None:
    since, ended = at("2017-09-01"), at("2017-09-02")
    with connect(Role.OWNER) as connection:
        for channel, address, reason, lifted in (
            ("email", "HERE@example.com", "complained", None),
            ("sms", "+12125550150", "stopped", None),
            ("email", "far@example.com", "unsubscribed", ended),
            ("email", "twins@example.com", "undeliverable", None),
        ):
            connection.execute(
                "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at, lifted_at)"
                " values (%s, outbox.address_hash(%s, %s), %s, 'test', %s, %s)",
                [channel, channel, address, reason, since, lifted],
            )
        connection.execute(
            "insert into events.preference (event_key, message_id, channel, kind, source, occurred_at, received_at)"
            " select key, id, 'webpush', kind, 'preference_page', said::timestamptz, said::timestamptz"
            " from outbox.message cross join (values ('n1', 'unsubscribed', '2017-09-01', 'here'),"
            " ('n2', 'resubscribed', '2017-09-02', 'here'), ('n3', 'unsubscribed', '2017-09-03', 'texted'),"
            " ('n4', 'unsubscribed', '2017-09-03', 'twin_a'))"
            " as wish (key, kind, said, whose) where contact_id = whose"
        )
        connection.execute("set local role winback_analyst")
        listed = connection.execute(
            "select contact_id, channel, reason, until from handoff.suppressions_out order by 1, 2"
        ).fetchall()
        connection.rollback()
    assert listed == [
        ("here", "email", "complained", None),
        ("over_the_second", "sms", "stopped", None),
        ("over_the_second", "webpush", "unsubscribed", None),
        ("same_mail", "email", "undeliverable", None),
        ("same_mail", "sms", "stopped", None),
        ("same_mail", "webpush", "unsubscribed", None),
        ("same_phone", "sms", "stopped", None),
        ("same_phone", "webpush", "unsubscribed", None),
        ("texted", "webpush", "unsubscribed", None),
        ("twin_a", "email", "undeliverable", None),
        ("twin_a", "sms", "stopped", None),
        ("twin_a", "webpush", "unsubscribed", None),
    ]


def test_nothing_stops_a_message_to_whom_nothing_happened(handoff: dict[str, Any]) -> None:
    assert stops("here") == set()
    assert stops("texted") == set()


def test_a_purchase_by_any_contact_of_the_person_stops_the_message_from_then_on(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        contact(connection, "twin_b", email="TWINS@example.com")
        order(connection, "o-after", "twin_b", at("2017-10-01", "11:00"))
    assert stops("twin_a") == set()
    assert stops("twin_a", "2017-10-02") == {(None, "purchased_since")}


@pytest.mark.parametrize(
    ("step", "sent_on", "stopped"),
    [
        ("day30", "2017-09-30", {(None, "already_messaged")}),
        ("day30", "2017-08-01", set()),
        ("day60", "2017-09-30", set()),
    ],
)
def test_history_of_a_contact_with_the_same_phone_read_after_the_build_stops_the_message(
    handoff: dict[str, Any], step: str, sent_on: str, stopped: set[tuple[str | None, str]]
) -> None:
    with connect(Role.OWNER) as connection:
        insert(
            connection, "outbox.imported_send", contact_id="same_phone", campaign="winback", step=step, step_days=30,
            episode_on=date.fromisoformat(sent_on) - timedelta(days=30), sent_on=sent_on, source="history.csv",
        )  # fmt: skip
        with_history = connection.execute(STOPPED, ["twin_a"]).fetchall()
        connection.rollback()
    assert set(with_history) == stopped


@pytest.mark.parametrize(("reason", "stopped"), [("operator", {("webpush", "suppressed")}), ("gone", set())])
def test_a_browser_of_the_person_that_was_stopped_by_hand_stops_all_of_them(
    handoff: dict[str, Any], reason: str, stopped: set[tuple[str | None, str]]
) -> None:
    with connect(Role.OWNER) as connection:
        insert(
            connection, "raw.web_push_subscriptions", endpoint="https://push.example.com/same", contact_id="same_phone",
            p256dh="k", auth="a", subscribed_at=at("2017-01-01"),
        )  # fmt: skip
        connection.execute(
            "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at) values"
            " ('webpush', outbox.address_hash('webpush', 'https://push.example.com/same'), %s, 'care', '2017-09-01')",
            [reason],
        )
        found = connection.execute(STOPPED.replace("is null", "is not null"), ["twin_a"]).fetchall()
        connection.rollback()
    assert {row for row in found if row[0] == "webpush"} == stopped


def test_history_under_a_steps_former_key_stops_the_person_too(handoff: dict[str, Any]) -> None:
    body = dbt_definition.winback(send_at="08:00")
    body["steps"] = [{**step, "renamed_from": "a_month"} if step["key"] == "day30" else step for step in body["steps"]]
    with connect(Role.OWNER) as connection:
        connection.execute(
            "alter table outbox.definition disable trigger user; alter table outbox.message disable trigger user"
        )
        connection.execute(
            "insert into outbox.definition (hash, kind, body) values ('renamed', 'campaign', %s)", [json.dumps(body)]
        )
        connection.execute("update outbox.message set definition_hash = 'renamed' where contact_id = 'twin_a'")
        insert(
            connection, "outbox.imported_send", contact_id="same_phone", campaign="winback", step="a_month",
            step_days=30, episode_on="2017-08-31", sent_on="2017-09-30", source="history.csv",
        )  # fmt: skip
        with_history = connection.execute(STOPPED, ["twin_a"]).fetchall()
        connection.rollback()
    assert with_history == [(None, "already_messaged")]


def test_consent_taken_back_stops_the_message(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute(
            "update raw.contacts set consent_sms = false, consent_email = null where contact_id = 'texted'"
        )
    assert stops("texted") == {("sms", "no_sms_consent"), (None, "no_email_consent")}


def test_a_pause_stops_the_message_until_it_is_over(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute(
            "insert into events.preference"
            " (event_key, message_id, channel, kind, until, source, occurred_at, received_at)"
            " select 'pause', id, 'email', 'paused', %s, 'preference_page', %s, %s from outbox.message"
            " where contact_id = 'far'",
            [at("2017-10-02", "00:00"), at("2017-10-01", "09:00"), at("2017-10-01", "09:00")],
        )
    assert stops("far") == {(None, "suppressed")}
    assert stops("far", "2017-10-02") == set()


def test_a_pause_that_is_over_takes_back_no_earlier_no(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        for kind, said, until in (("unsubscribed", "07:00", None), ("paused", "08:00", at("2017-10-01", "09:00"))):
            connection.execute(
                "insert into events.preference"
                " (event_key, message_id, channel, kind, until, source, occurred_at, received_at)"
                " select %s, id, 'email', %s, %s, 'preference_page', %s, %s from outbox.message"
                " where contact_id = 'far'",
                [kind, kind, until, at("2017-10-01", said), at("2017-10-01", said)],
            )
    assert stops("far", "2017-10-02") == {(None, "suppressed")}


def test_an_address_that_went_bad_stops_the_message(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute("update raw.contacts set email = 'no longer an address' where contact_id = 'mailed'")
    assert ("email", "invalid_address") in stops("mailed")


def test_recipients_hold_well_formed_addresses_only(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        contact(connection, "odd", email="  Odd@Example.com ", phone="212-555-0101", timezone="Mars/Olympus")
        for number in (1, 2):
            insert(
                connection, "raw.web_push_subscriptions", endpoint=f"https://push.example.com/{number}",
                contact_id="odd", p256dh="k", auth="a", subscribed_at=at(f"2017-01-0{number}"),
            )  # fmt: skip
    with connect(Role.SENDER) as connection:
        row = connection.execute(
            "select email, phone, timezone, subscriptions from handoff.recipients where contact_id = 'odd'"
        ).fetchone()
    assert row is not None
    assert row[:3] == ("Odd@Example.com", None, None)
    assert [subscription["endpoint"] for subscription in row[3]] == [
        "https://push.example.com/2",
        "https://push.example.com/1",
    ]


def test_the_build_and_the_live_view_hold_the_same_contacts_for_one_person(handoff: dict[str, Any]) -> None:
    assert handoff["linked in the build"] == handoff["linked live"]
    assert [member for contact_id, member in handoff["linked live"] if contact_id == "twin_a"] == [
        "over_the_second", "same_mail", "same_phone", "twin_a",
    ]  # fmt: skip


def test_a_person_has_one_id_over_all_contacts_and_who_stands_alone_their_own(handoff: dict[str, Any]) -> None:
    listed = dict(rows("select contact_id, person_id from handoff.recipients"))
    assert {listed[each] for each in ("twin_a", "same_phone", "same_mail", "over_the_second")} == {"over_the_second"}
    assert {each: listed[each] for each in ("here", "nobodys_twin", "nor_this")} == {
        each: each for each in ("here", "nobodys_twin", "nor_this")
    }


def test_the_claim_is_told_the_consent_as_it_stands_now(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute(
            "update raw.contacts set consent_email_source = 'page', consent_email_text_version = 'v2'"
            " where contact_id = 'texted'"
        )
        ((consent,),) = connection.execute(
            "select consent from handoff.recipients where contact_id = 'texted'"
        ).fetchall()
        connection.rollback()
    assert (consent["email"]["source"], consent["email"]["text_version"]) == ("page", "v2")
    assert consent["sms"]["at"] is not None
    assert set(consent) == set(handoff["requests"]["texted", "day60"]["consent"])


def test_a_touch_counts_for_every_contact_of_the_person(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        insert(
            connection, "raw.campaign_sends", contact_id="twin_c", campaign="newsletter", channel="email",
            sent_at=at("2017-10-01"),
        )  # fmt: skip
        contact(connection, "twin_c", email="twins@example.com")
    assert rows("select source from handoff.marketing_touches where contact_id = 'twin_a'") == [("newsletter",)]


def test_each_role_reads_what_it_needs_of_what_dbt_built_and_writes_nothing(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as owner:
        listed = list(roles.relations(owner, roles.BUILT_IN))
        assert {"handoff.recipients", "history.consents", "staging.stg_raw__contacts"} <= {row[0] for row in listed}
        for role in roles.BUILT:
            wrong = {
                (role, table): rights
                for table, _, _ in listed
                if (rights := roles.granted(owner, role, table)) != roles.allowed(roles.BUILT, role, table)
            }
            assert wrong == {}
    for role in roles.BUILT:
        assert roles.let_through(role, roles.BUILT, listed) == []


def test_nothing_that_an_analyst_reads_shows_an_address_or_a_name(handoff: dict[str, Any]) -> None:
    secrets = ("example.com", "+1212555", "Hermione")
    with connect(Role.OWNER) as owner:
        listed = [table for table, _, _ in roles.relations(owner, (*roles.OURS_IN, *roles.BUILT_IN))]
        readable = [table for table in listed if "select" in roles.granted(owner, Role.ANALYST, table)]
        shown = owner.execute("select c::text from raw.contacts c").fetchall()
    assert len(readable) > 60
    assert all(any(secret in text for (text,) in shown) for secret in secrets)
    readable.remove("handoff.send_stops")  # it hashes addresses, which an analyst may not
    with connect(Role.ANALYST) as analyst:
        for table in readable:
            text = str(analyst.execute(f"select t::text from {table} t").fetchall())  # type: ignore[arg-type]  # noqa: S608
            assert not [secret for secret in secrets if secret in text], table


def test_no_build_takes_a_live_view_from_under_the_claim(handoff: dict[str, Any]) -> None:
    query = (
        "select relname, oid from pg_class"
        " where relname in ('send_stops', 'recipients', 'marketing_touches', 'in_flight', 'suppressions_out')"
        " order by 1"
    )
    before = rows(query)
    build("--select", "staging", *(f"handoff.{name}" for name, _ in before))
    assert rows(query) == before


def test_a_person_is_forgotten_with_all_their_contacts(handoff: dict[str, Any]) -> None:
    """The last one: it changes the warehouse for good."""
    said = CliRunner().invoke(register(), ["forget", "twin_a", "--by", "me", "--person", "--yes"])
    assert said.exit_code == 0, (said.output, said.exception)
    forgotten = {row[0] for row in rows("select contact_id from outbox.erasure")}
    assert forgotten >= {"twin_a", "same_phone"}
    assert rows("select distinct state, reason from outbox.message where contact_id = 'twin_a'") == [
        ("skipped", "forgotten")
    ]
    suppressed = rows(
        "select address"
        " from (values ('email', 'twins@example.com'), ('sms', '+12125550150')) as known (channel, address)"
        " join outbox.suppression s on s.address_hash = outbox.address_hash(known.channel, known.address)"
        " where s.reason = 'forgotten' order by 1"
    )
    assert suppressed == [("+12125550150",), ("twins@example.com",)]
    assert rows("select count(*) from cohorts.fct_decisions where contact_id = 'twin_a' and seen <> '{}'") == [(0,)]
    assert rows("select count(*) from handoff.send_requests where contact_id = 'twin_a' and merge_fields <> '{}'") == [
        (0,)
    ]
    assert "example.com" not in said.output


def test_an_address_of_an_earlier_build_is_suppressed_by_its_hash(handoff: dict[str, Any]) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute("update raw.contacts set email = 'elsewhere@example.com' where contact_id = 'nowhere'")
    said = CliRunner().invoke(register(), ["forget", "nowhere", "--by", "me", "--yes"])
    assert said.exit_code == 0, (said.output, said.exception)
    assert rows(
        "select count(*) from outbox.suppression where reason = 'forgotten'"
        " and address_hash = outbox.address_hash('email', 'nowhere@example.com')"
    ) == [(1,)]
