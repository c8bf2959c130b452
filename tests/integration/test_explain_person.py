"""What `winback explain` tells of the person behind a contact: their other contacts, and what stops them."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import register
from reports.explain import explain
from tests.integration.report_scenario import Scenario, at, on, winback
from warehouse.errors import WinbackError

pytest_plugins = ["tests.integration.report_warehouse"]


def test_a_stop_list_entry_is_found_by_the_hash_of_where_a_message_went(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.decide(run := it.run(on(2)), on(2), "ann", "day30", "send")
    it.message(run, on(2), "ann", address_hash=b"\x01")
    reports.execute(
        "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)"
        " values ('email', '\\x01', 'unsubscribed', 'one_click', %s)",
        [at(2, 12)],
    )
    assert (
        explain("ann").after[-1].what
        == "Their address went on the stop list: e-mail, they unsubscribed (one click in the mail)"
    )


def test_a_stop_of_somebody_who_was_never_written_to_is_told_with_channel_reason_since_when_and_by_whom(
    reports: psycopg.Connection,
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.decide(it.run(on(2)), on(2), "ann", "day30", "skip", "suppressed")
    reports.execute(
        "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)"
        " select 'email', outbox.address_hash('email', email), 'operator', 'customer service', %s from raw.contacts",
        [at(1, 12)],
    )
    told = explain("ann")
    assert told.stops == ["e-mail, stopped by hand (customer service), since 2017-10-01 12:00 EDT"]
    assert [line.what for line in told.before] == [
        "Their address went on the stop list: e-mail, stopped by hand (customer service)"
    ]
    screen = CliRunner().invoke(register(), ["explain", "ann"]).stdout
    assert "On the stop list: e-mail, stopped by hand (customer service), since 2017-10-01 12:00 EDT" in screen


@pytest.mark.parametrize(
    ("reason", "is_about_person"),
    [
        *(
            dict.fromkeys(
                ("unsubscribed", "complained", "stopped", "operator", "imported", "forgotten", "paused"), True
            )
        ).items(),
        *(dict.fromkeys(("bounced", "undeliverable", "invalid", "gone"), False)).items(),
    ],
)
def test_who_is_on_the_stop_list_is_not_told_to_be_due(
    reports: psycopg.Connection, reason: str, is_about_person: bool
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.run(on(2))
    it.order("o1", "ann", datetime(2017, 9, 20, 12, tzinfo=UTC))
    note = "day30 (30 days after the last purchase) would fall due on 2017-10-20, and they would be left out: "
    free = "day30 (30 days after the last purchase) falls due on 2017-10-20, unless they buy before."
    assert free in explain("ann", on(2)).notes
    reports.execute(
        "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)"
        " select 'email', outbox.address_hash('email', email), %s, 'customer service', %s from raw.contacts",
        [reason, at(1, 12)],
    )
    assert (f"{note}on the stop list." if is_about_person else free) in explain("ann", on(2)).notes
    if reason != "forgotten":  # which nothing lifts
        reports.execute("update outbox.suppression set lifted_at = %s", [at(2, 8)])
        assert free in explain("ann", on(2)).notes


def test_who_is_not_in_the_contacts_is_not_told_to_be_due(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.run(on(2))
    it.order("o1", "ghost", datetime(2017, 9, 20, 12, tzinfo=UTC))
    assert (
        "day30 (30 days after the last purchase) would fall due on 2017-10-20, and they would be left out: not in "
        "raw.contacts." in explain("ghost", on(2)).notes
    )


def test_a_day_that_has_not_begun_is_refused(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.run(on(2))
    with pytest.raises(WinbackError, match="2999-01-01 lies in the future: it begins at 2999-01-01 00:00 EST"):
        explain("ann", date(2999, 1, 1))


def test_a_stop_that_came_under_another_contact_of_the_person_names_that_contact(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann", phone="+12125550199")
    it.contact("ann2", phone="+12125550199")
    it.run(on(2))
    reports.execute(
        "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at, lifted_at)"
        " select 'email', outbox.address_hash('email', email), said, 'preference_page', %s, %s"
        " from raw.contacts cross join unnest(array['unsubscribed', 'bounced']) as said where contact_id = 'ann2'",
        [at(1, 12), at(2, 8)],
    )
    assert explain("ann", on(2)).stops == [
        "e-mail, they unsubscribed (on the preferences page), since 2017-10-01 12:00 EDT, under contact ann2, who"
        " is the same person; taken off again on 2017-10-02 08:00 EDT"
    ]


@pytest.mark.parametrize(
    ("reason", "is_of_the_person"),
    [
        ("unsubscribed", True), ("complained", True), ("stopped", True), ("operator", True),
        ("bounced", False), ("invalid", False), ("gone", False),
    ],
)  # fmt: skip
def test_a_dead_address_is_told_of_its_own_contact_and_a_wish_of_the_whole_person(
    reports: psycopg.Connection, reason: str, *, is_of_the_person: bool
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann", phone="+12125550199")
    it.contact("ann2", phone="+12125550199")
    it.run(on(2))
    reports.execute(
        "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at)"
        " select 'email', outbox.address_hash('email', email), %s, 'provider', %s"
        " from raw.contacts where contact_id = 'ann2'",
        [reason, at(1, 12)],
    )
    assert (len(explain("ann", on(2)).stops), len(explain("ann2", on(2)).stops)) == (int(is_of_the_person), 1)


def test_a_login_that_is_an_analyst_and_no_more_gets_the_rest_of_the_story_and_hears_what_is_missing(
    reports: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.decide(it.run(on(2)), on(2), "ann", "day30", "skip", "suppressed")
    login = f"only_analyst_{uuid.uuid4().hex[:8]}"
    reports.execute(f"create role {login} login password 'test' in role winback_analyst")
    try:
        here = reports.info
        monkeypatch.setenv("WINBACK_DATABASE_URL", f"postgresql://{login}:test@{here.host}:{here.port}/{here.dbname}")
        told = explain("ann")
    finally:
        reports.execute(f"drop role {login}")
    assert told.verdicts[0].title == "day30: Leave out: On the stop list"
    assert (
        "Other contacts of the same person, and stops of addresses, are not shown: this login may not act"
        in told.notes[-1]
    )


def test_a_second_connection_that_the_server_refuses_is_told_as_that_and_not_as_a_missing_role(
    reports: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.decide(it.run(on(2)), on(2), "ann", "day30", "skip", "suppressed")
    login = f"one_at_a_time_{uuid.uuid4().hex[:8]}"
    reports.execute(
        f"create role {login} login password 'test' connection limit 1 in role winback_analyst, winback_dbt"
    )
    try:
        here = reports.info
        monkeypatch.setenv("WINBACK_DATABASE_URL", f"postgresql://{login}:test@{here.host}:{here.port}/{here.dbname}")
        with pytest.raises(WinbackError, match=r"refuses the connection: .*too many connections") as refused:
            explain("ann")
        assert "role winback_dbt" not in str(refused.value)
    finally:
        reports.execute(f"drop role {login}")


def test_who_bought_under_another_contact_of_the_same_person_is_told_which(reports: psycopg.Connection) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann", email="Home@example.com")
    it.contact("bob", email="home@example.com ")
    it.order("a", "ann", at(1, 12, month=9))
    it.order("b", "bob", at(9, 12, month=9))
    seen = {
        "started_at": at(1, 12, month=9).isoformat(), "last_purchase_at": at(1, 12, month=9).isoformat(),
        "purchased_since_at": at(9, 12, month=9).isoformat(), "person_contacts": 2, "person_id": "ann",
    }  # fmt: skip
    it.decide(it.run(on(2)), on(2), "ann", "day30", "skip", "purchased_since", seen=seen)
    assert explain("ann").verdicts[0].seen == [
        "due on 2017-10-02",
        "last purchase: 2017-09-01 12:00 EDT",
        "bought since: 2017-09-09 12:00 EDT, as contact bob, who is the same person",
        "the same person as contact bob (a shared address or phone)",
    ]
