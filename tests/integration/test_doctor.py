"""`winback doctor`: one line for each thing going live needs, however much of it is broken, and no secret in any."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import doctor_domain, doctor_senders, doctor_warehouse
from cli.checkup import Line, Status, ask, ok
from cli.main import register
from events.app import create_app
from local.sandbox.server import Handle, Sandbox
from senders import registry
from senders.contract import EMAIL, SMS, WEBPUSH
from tests.integration.dbt_days import at
from tests.integration.events_service import serving
from tests.unit import campaign_folder
from warehouse import connections, settings
from warehouse.connect import Role, connect
from warehouse.errors import Misconfigured

GOOD = {
    "shop.net": ["v=spf1 include:sendgrid.net ~all", "google-site-verification=x"],
    "s1._domainkey.shop.net": ["k=rsa; t=s; p=MIGfMA0GCSq"],
    "_dmarc.shop.net": ["v=DMARC1; p=none; rua=mailto:dmarc@shop.net"],
}


class Records:
    """A resolver with records of its own; `silent` names get no answer."""

    def __init__(self, records: Mapping[str, Sequence[str]], silent: Sequence[str] = ()) -> None:
        self.records, self.silent = records, silent

    def txt(self, name: str) -> Sequence[str]:
        if name in self.silent:
            raise doctor_domain.UnansweredError("LifetimeTimeout")
        return self.records.get(name, ())


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No connection, no public address, campaigns of its own."""
    for conn_id in (*connections.SENDERS, connections.ALERTS, connections.WAREHOUSE, *doctor_senders.SECOND_WAYS):
        monkeypatch.delenv(connections.variable(conn_id), raising=False)
    monkeypatch.delenv("WINBACK_PUBLIC_URL", raising=False)
    monkeypatch.setenv("WINBACK_CAMPAIGNS", str(campaign_folder.copy(tmp_path).path))
    monkeypatch.setenv("WINBACK_LOCAL", str(tmp_path / "local"))


@pytest.fixture
def sandbox(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    with Sandbox() as running:
        for conn_id, document in running.connections().items():
            give(monkeypatch, conn_id, document)
        yield running


def give(monkeypatch: pytest.MonkeyPatch, conn_id: str, document: Mapping[str, Any]) -> None:
    monkeypatch.setenv(connections.variable(conn_id), json.dumps(document))


def run() -> Result:
    return CliRunner().invoke(register(["doctor", "db"]), ["doctor", "--seconds", "30"])


def lines(found: Sequence[Line]) -> list[tuple[str, str]]:
    return [(line.status.value, line.words) for line in found]


def test_what_does_not_answer_or_breaks_hides_no_other_line() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Line]:
        yield ok("first", "said before it hung")
        never.wait(60)

    def breaks() -> Iterator[Line]:
        raise RuntimeError("password=hunter2")
        yield

    began = time.monotonic()
    found = list(ask({"hangs": hangs, "breaks": breaks, "last": lambda: [ok("last", "well")]}, 0.5))
    assert time.monotonic() - began < 10
    assert lines(found) == [
        ("ok", "said before it hung"),
        ("failed", "no answer within 0 seconds"),
        ("failed", "the check itself broke (RuntimeError)"),
        ("ok", "well"),
    ]
    never.set()


def test_a_warehouse_that_cannot_be_reached_leaves_the_other_lines(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_DATABASE_URL", "postgresql://somebody:hunter2@127.0.0.1:9/none")
    monkeypatch.setenv("WINBACK_PUBLIC_URL", "https://127.0.0.1:9")
    result = run()
    assert result.exit_code == 1
    assert "failed   warehouse            The warehouse at" in result.output
    assert "ok       campaigns            winback is valid, mode" in result.output
    assert "failed   public address       /health cannot be reached (ConnectError)" in result.output
    assert "no sender has a connection: everything goes to the local sandbox" in result.output
    assert "from a domain that is nobody's" in result.output
    assert "hunter2" not in result.output
    told = json.loads(result.output.splitlines()[-1])
    assert told["failed"] >= 3


def test_a_schedule_in_another_zone_than_the_campaigns_is_told(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINBACK_TIMEZONE", raising=False)
    assert ("ok", "campaigns and schedule go by America/New_York") in lines(list(doctor_warehouse.campaigns()))
    monkeypatch.setenv("WINBACK_TIMEZONE", "Europe/Berlin")
    told = "the campaigns' days begin in America/New_York; WINBACK_TIMEZONE says Europe/Berlin"
    assert ("warning", told) in lines(list(doctor_warehouse.campaigns()))


@pytest.mark.parametrize("dag", ["winback_daily", "winback_dispatch"])
def test_the_zone_of_the_dags_is_the_one_that_doctor_takes_them_to_have(dag: str) -> None:
    source = (settings.read().home / "dags" / f"{dag}.py").read_text()
    asked = f'"{doctor_warehouse.SCHEDULE_ZONE}", "{doctor_warehouse.SCHEDULE_ZONE_OTHERWISE}"'
    assert f"ZONE = os.environ.get({asked})" in source


def test_a_migrated_and_loaded_warehouse_is_well(alone: None, warehouse: str) -> None:
    with connect(Role.OWNER, autocommit=True) as owner:
        for table in ("orders", "contacts", "engagements"):
            owner.execute("insert into raw.loads values (%s, now())", [table])
    told = list(doctor_warehouse.warehouse())
    assert {line.status for line in told if not line.words.startswith("raw.")} == {Status.OK}
    assert [line.subject for line in told if line.status is Status.OK] == [
        "warehouse", "migrations", "roles", "reports", "raw tables", "fresh data",
    ]  # fmt: skip
    assert ("warning", "raw.orders is empty") not in lines(told)


def test_a_missing_migration_a_missing_column_and_an_old_load_are_told(alone: None, warehouse: str) -> None:
    with connect(Role.OWNER, autocommit=True) as owner:
        owner.execute("insert into raw.loads values ('orders', %s)", [at("2017-10-01")])
        old = list(doctor_warehouse.warehouse())
        owner.execute("alter table raw.contacts drop column consent_email")
        owner.execute("grant select on outbox.message to winback_analyst")
        owner.execute("revoke insert on outbox.message from winback_sender")
        barred = list(doctor_warehouse.warehouse())
        owner.execute("delete from winback.migration where name = 'outbox/0010_imported_sends.sql'")
        behind = list(doctor_warehouse.warehouse())
    assert ("failed", "fresh data") in [(line.status, line.subject) for line in old]
    assert any("orders is complete up to" in line.words for line in old)
    assert ("failed", "winback_sender may not write messages") in lines(barred)
    assert any("column raw.contacts.consent_email is missing" in line.words for line in barred)
    assert ("failed", "1 not applied yet, the first of them outbox/0010_imported_sends.sql") in lines(behind)


def test_each_provider_is_asked_and_a_sandbox_is_called_one(sandbox: Handle) -> None:
    for channel, words in {EMAIL: "SendGrid takes the key", SMS: "Twilio takes the", WEBPUSH: "VAPID key"}.items():
        (line,) = doctor_senders.sender(channel)
        assert line.status is Status.WARNING
        assert words in line.words
        assert "nobody real is reached" in line.words
    assert {line.status for line in doctor_senders.webhook_keys()} == {Status.OK}
    assert next(iter(doctor_senders.alerts())).status is Status.OK
    assert list(sandbox.receipts()) == []


@pytest.mark.parametrize(
    ("channel", "conn_id", "words"),
    [(EMAIL, connections.SENDGRID, "401"), (SMS, connections.TWILIO, "20003"), (WEBPUSH, connections.WEBPUSH, "VAPID")],
)
def test_credentials_that_a_provider_refuses_are_told_without_showing_them(
    sandbox: Handle, monkeypatch: pytest.MonkeyPatch, channel: str, conn_id: str, words: str
) -> None:
    give(monkeypatch, conn_id, {**sandbox.connections()[conn_id], "password": "hunter2"})
    with pytest.raises(Misconfigured, match=words) as refused:
        registry.check(channel)
    assert "hunter2" not in str(refused.value)


def test_a_missing_connection_is_a_failure_where_steps_need_it_and_others_have_one(
    sandbox: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(connections.variable(connections.TWILIO))
    (line,) = doctor_senders.sender(SMS)
    assert (line.status, "nothing of theirs would be sent" in line.words) == (Status.FAILED, True)
    assert "AIRFLOW_CONN_TWILIO_DEFAULT" in line.advice


def test_a_real_sender_beside_a_sandboxed_one_is_a_failure(sandbox: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, connections.SENDGRID, {"password": "SG.x", "host": "https://127.0.0.1:9"})
    told = [line.words for line in ask({"texts": lambda: doctor_senders.sender(SMS)}, 20)]
    assert "a run is simulated or live, never both" in told[0]


def test_alerts_that_cannot_be_sent_are_a_failure_and_hide_no_second_way_out(
    sandbox: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, connections.ALERTS, {"extra": {"from": "alerts@example.com"}})
    assert [line.status for line in doctor_senders.alerts()] == [Status.FAILED, Status.WARNING]
    give(monkeypatch, doctor_senders.SECOND_WAYS[0], {"host": "smtp.example.com"})
    assert [line.status for line in doctor_senders.alerts()] == [Status.FAILED, Status.OK]


def test_a_webhook_without_a_key_is_a_failure(sandbox: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, connections.SENDGRID, {"password": "SG.x"})
    statuses = [line.status for line in doctor_senders.webhook_keys()]
    assert statuses == [Status.FAILED, Status.OK]


def test_the_address_that_twilio_signs_is_named(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, connections.TWILIO, {"login": "AC1", "password": "x"})
    (line,) = doctor_senders.webhook_keys()
    assert line.status is Status.FAILED
    assert "nothing says to which address" in line.words
    monkeypatch.setenv("WINBACK_PUBLIC_URL", "https://hello.shop.net/")
    (line,) = doctor_senders.webhook_keys()
    assert line.status is Status.OK
    assert "https://hello.shop.net/events/twilio (status callbacks)" in line.words
    assert "https://hello.shop.net/events/twilio/inbound (inbound texts)" in line.words


def test_the_public_address_must_lead_to_our_service(
    alone: None, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_TOKEN_KEY", "test")
    (unset,) = doctor_senders.public_address()
    assert (unset.status, unset.words) == (
        "failed",
        "WINBACK_PUBLIC_URL is not set: nobody could unsubscribe, so nothing would be sent",
    )
    assert unset.advice.startswith("Set it to the address under which")
    with serving(create_app()) as client:
        base = str(client.base_url).rstrip("/")
        monkeypatch.setenv("WINBACK_PUBLIC_URL", base)
        assert lines(list(doctor_senders.public_address())) == [
            ("failed", "WINBACK_PUBLIC_URL is not https"),
            ("ok", "the webhook service answers there, and its warehouse with it"),
        ]
        monkeypatch.setenv("WINBACK_PUBLIC_URL", f"{base}/elsewhere")
        assert "404" in list(doctor_senders.public_address())[-1].words


def test_a_well_kept_domain_has_all_three_records() -> None:
    told = list(doctor_domain.domain_lines("shop.net", Records(GOOD)))
    assert lines(told) == [
        ("ok", "SPF: there is one record"),
        ("ok", "DKIM: a key is published"),
        ("ok", "DMARC: policy none at shop.net"),
    ]


def test_a_subdomain_goes_by_the_policy_of_its_parent() -> None:
    found = list(doctor_domain.domain_lines("mail.shop.net", Records(GOOD)))
    assert ("ok", "DMARC: policy none at shop.net") in lines(found)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"shop.net": ["v=spf1 ~all", "v=spf1 -all"]}, "failed", "SPF: 2 records"),
        ({"shop.net": ["v=spf1 +all"]}, "failed", "SPF: the record lets everybody send"),
        ({"shop.net": ["v=spf1 all"]}, "failed", "SPF: the record lets everybody send"),
        ({"shop.net": []}, "warning", "SPF: the domain has no record of its own"),
        ({"s1._domainkey.shop.net": []}, "failed", "DKIM: no key under the selectors s1, s2"),
        ({"s1._domainkey.shop.net": ["v=DKIM1; p="]}, "failed", "DKIM: the published key is empty"),
        ({"_dmarc.shop.net": []}, "failed", "DMARC: no record"),
        ({"_dmarc.shop.net": ["v=DMARC1; rua=mailto:x@shop.net"]}, "failed", "has no policy"),
        ({"_dmarc.shop.net": ["v=DMARC1; p=none", "v=DMARC1; p=none"]}, "failed", "DMARC: 2 records"),
    ],
)
def test_each_record_that_is_missing_or_wrong_is_told(changes: dict[str, list[str]], status: str, words: str) -> None:
    told = list(doctor_domain.domain_lines("shop.net", Records({**GOOD, **changes})))
    assert len(told) == 3
    (line,) = [each for each in told if each.status is not Status.OK]
    assert line.status.value == status
    assert words in line.words
    assert line.advice


def test_name_servers_that_give_no_answer_are_no_verdict() -> None:
    told = list(doctor_domain.domain_lines("shop.net", Records(GOOD, silent=["_dmarc.shop.net"])))
    assert [line.status for line in told] == [Status.OK, Status.OK, Status.WARNING]
    assert "DMARC not checked" in told[-1].words


def test_a_campaign_of_a_reserved_domain_is_not_looked_up() -> None:
    (line,) = doctor_domain.domain_lines("shop.example.com", Records({}, silent=["shop.example.com"]))
    assert line.status is Status.FAILED
