"""`winback send-test`: a contact's message to somebody of the team, over real HTTP, with no trace in the ledger."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from campaigns.variables import CATALOGUE
from cli.main import register
from events.app import create_app
from local import demo
from local.sandbox import server
from local.sandbox.server import Handle, Sandbox
from tests.integration.events_service import serving
from tests.integration.test_preview import message
from tests.unit import campaign_folder
from warehouse import connections, settings
from warehouse.connect import Role, connect
from warehouse.errors import Misconfigured, TryLater, WinbackError

TO = "marketing.lead@team.example.com"
PHONE = "+12125550142"
RECIPIENTS = """
create schema handoff;
create table handoff.recipients (
    contact_id text, first_name text, subscriptions jsonb, email_hash bytea, phone_hash bytea
);
insert into handoff.recipients values ('4711', 'Zephyrine', '[]');
grant usage on schema handoff to winback_sender;
grant select on handoff.recipients to winback_sender;
"""


@pytest.fixture
def sandbox(warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    """Providers that answer, a contact with a message of day 60 and a code of their own."""
    monkeypatch.setenv("WINBACK_CAMPAIGNS", str(campaign_folder.copy(tmp_path).path))
    monkeypatch.setenv("WINBACK_LOCAL", str(tmp_path / "local"))
    monkeypatch.setenv("WINBACK_PUBLIC_URL", "https://links.example.com")
    with connect(Role.OWNER, autocommit=True) as owner:
        owner.execute(RECIPIENTS)
    message("4711", "day60", ["email"], coupon_code="REAL-CODE-1", offer_ends_on="October 15")
    with Sandbox() as running:
        for conn_id, document in running.connections().items():
            monkeypatch.setenv(connections.variable(conn_id), json.dumps(document))
        yield running


def run(*arguments: str, step: str = "day60", to: str = TO, contact: str = "4711") -> Result:
    given = ["send-test", "--step", step, "--as", contact, "--to", to, *arguments]
    return CliRunner().invoke(register(["send_test", "db"]), given)


def ledger() -> dict[str, Any]:
    """How many rows every table of ledger and events has, but for the marks of how far events were read."""
    with connect(Role.OWNER) as owner:
        tables = owner.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname in ('outbox', 'events') and tablename <> 'watermark'"
        ).fetchall()
        return {name: owner.execute(f"select count(*) from {name}").fetchone() for (name,) in tables}  # noqa: S608


def shown(sandbox: Handle) -> tuple[str, str]:
    """To whom the one message went, and all that the inbox has of it."""
    (sent,) = sandbox.receipts()
    page = f"{sandbox.inbox_url}/messages/{sent['seq']}"
    parts = [httpx.get(url, trust_env=False).text for url in (page, f"{page}/mail")]
    return sent["recipient"], "\n".join(parts)


def test_a_test_is_the_contacts_message_marked_with_a_sample_code_and_harmless_links(sandbox: Handle) -> None:
    before = ledger()
    result = run()
    assert result.exit_code == 0, result.output
    assert "the local sandbox" in result.output
    assert "Accepted: the sandbox has it" in result.output
    assert "spam folder" not in result.output
    assert json.loads(result.output.splitlines()[-1])["outcome"] == "accepted"
    recipient, told = shown(sandbox)
    assert recipient == TO
    assert "[Test] " in told
    assert "Zephyrine" in told
    assert "October 15" in told
    assert "REAL-CODE-1" not in told
    assert CATALOGUE["coupon_code"].sample in told
    assert "https://links.example.com/test" in told
    assert "/unsubscribe/" not in told.replace("https://links.example.com/test", "")
    assert ledger() == before


def test_the_demo_does_not_take_tests_for_messages_that_the_ledger_forgot(
    sandbox: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ensure", lambda: sandbox)
    url = settings.read().database_url
    assert url is not None
    assert [run(to=to).exit_code for to in (TO, PHONE)] == [0, 0]
    assert demo.unlike_the_sandbox(url) == set()
    stranger = str(uuid.uuid4())
    accepted = {"state": "accepted", "id": stranger}
    monkeypatch.setattr(demo, "_query", lambda *_: [accepted])
    assert demo.unlike_the_sandbox(url) == {stranger}
    assert stranger in demo.told_differently({stranger})
    assert "1 message differently" in demo.told_differently({stranger})
    assert "4 messages differently" in demo.told_differently(set("abcd"))
    assert "a, b, c and 1 more" in demo.told_differently(set("abcd"))


def test_the_demo_shows_calls_that_a_shell_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["suppress", "7", "--by", "customer service"]
    here, elsewhere = tmp_path / ".venv/bin/winback", Path("/opt/winback")
    assert demo.pasteable(here, given) == ".venv/bin/winback suppress 7 --by 'customer service'"
    assert demo.pasteable(elsewhere, given) == "/opt/winback suppress 7 --by 'customer service'"


def test_a_test_text_begins_with_the_mark_and_goes_to_the_number_given(sandbox: Handle) -> None:
    result = run(to=PHONE)
    assert result.exit_code == 0, result.output
    recipient, told = shown(sandbox)
    assert recipient == PHONE
    assert "[Test] " in told


def test_nothing_of_the_address_or_the_person_is_shown(sandbox: Handle, caplog: pytest.LogCaptureFixture) -> None:
    for to in (TO, PHONE):
        said = run(to=to).output + caplog.text
        assert to not in said
        assert "Zephyrine" not in said


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"kind": "bad_recipient", "channel": "email", "pattern": "lead"}, WinbackError, "Rejected"),
        ({"kind": "error", "channel": "email", "status": 500}, WinbackError, "Unknown"),
        ({"kind": "throttle", "channel": "email"}, TryLater, "Not sent"),
    ],
)
def test_whatever_is_no_acceptance_is_told_and_is_no_success(
    sandbox: Handle, fault: dict[str, Any], error: type[Exception], words: str
) -> None:
    sandbox.set_faults(fault)
    result = run()
    assert result.exit_code != 0
    assert type(result.exception) is error
    assert str(result.exception).startswith(words)
    assert TO not in str(result.exception)


def test_missing_credentials_are_told_with_what_to_do_and_nothing_else_is_tried(
    sandbox: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for conn_id in (connections.TWILIO, connections.WEBPUSH):
        monkeypatch.delenv(connections.variable(conn_id))
    real = {"conn_type": "http", "host": "https://127.0.0.1:9", "password": "SG.x"}
    monkeypatch.setenv(connections.variable(connections.SENDGRID), json.dumps(real))
    result = run(to=PHONE)
    assert isinstance(result.exception, Misconfigured)
    assert "AIRFLOW_CONN_TWILIO_DEFAULT" in str(result.exception)
    unreachable = run()
    assert isinstance(unreachable.exception, TryLater)
    assert "could not be reached" in str(unreachable.exception)
    assert list(sandbox.receipts()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"to": "somebody"}, "--to is neither an e-mail address nor a phone number"),
        ({"step": "day90", "to": PHONE}, "Step day90 of winback has no text; its channels: e-mail"),
        ({"step": "day3"}, "Did you mean 'day30'"),
        ({"contact": "nobody"}, "raw.contacts has no contact 'nobody'"),
        ({"step": "day30_push", "to": "push"}, "has no browser that takes web push"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_leaves(
    sandbox: Handle, given: dict[str, str], words: str
) -> None:
    result = run(**given)
    assert isinstance(result.exception, WinbackError)
    assert words in str(result.exception)
    assert list(sandbox.receipts()) == []


def suppress(channel: str, address: str, **until: str) -> None:
    with connect(Role.OWNER) as owner:
        owner.execute(
            "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at, until, lifted_at)"
            " values (%s, outbox.address_hash(%s, %s), 'unsubscribed', 'test', '2017-01-01', %s, %s)",
            [channel, channel, address, until.get("until"), until.get("lifted_at")],
        )


@pytest.mark.parametrize(("channel", "to"), [("email", TO), ("sms", PHONE)])
def test_an_address_on_the_stop_list_gets_no_test_and_is_not_repeated(sandbox: Handle, channel: str, to: str) -> None:
    suppress(channel, to.upper())
    result = run(to=to)
    assert isinstance(result.exception, WinbackError)
    assert "is on the stop list" in str(result.exception)
    assert to not in str(result.exception) + result.output
    assert list(sandbox.receipts()) == []


def test_who_said_no_since_the_last_dispatch_gets_no_test(sandbox: Handle) -> None:
    with connect(Role.OWNER) as owner:
        owner.execute(
            "insert into events.preference (event_key, address_hash, channel, kind, source, occurred_at, received_at)"
            " values ('no', outbox.address_hash('email', %s), 'email', 'unsubscribed', 'one_click', now(), now())",
            [TO],
        )
    result = run()
    assert "is on the stop list" in str(result.exception)
    assert list(sandbox.receipts()) == []


@pytest.mark.parametrize("over", [{"until": "2018-01-01"}, {"lifted_at": "2018-01-01"}])
def test_a_suppression_that_is_over_stops_no_test(sandbox: Handle, over: dict[str, str]) -> None:
    suppress("email", TO, **over)
    result = run()
    assert result.exit_code == 0, result.output


def browsers(*endpoints: str) -> None:
    """Gives the contact browsers that take web push."""
    listed = [{"endpoint": each, "p256dh": "key", "auth": "secret"} for each in endpoints]
    with connect(Role.OWNER) as owner:
        owner.execute("update handoff.recipients set subscriptions = %s", [json.dumps(listed)])


def test_browsers_that_are_on_the_stop_list_get_no_test(sandbox: Handle) -> None:
    browsers("https://push.example.com/gone")
    suppress("webpush", "https://push.example.com/gone")
    result = run(step="day30_push", to="push")
    assert isinstance(result.exception, WinbackError)
    assert "All browsers of the contact are on the stop list" in str(result.exception)
    assert "push.example.com" not in str(result.exception)


def test_a_real_browser_gets_a_test_only_where_the_campaigns_allowlist_names_its_contact(
    sandbox: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    browsers("https://127.0.0.1:9/real")
    suppress("webpush", "https://127.0.0.1:9/real")
    for conn_id in (connections.TWILIO, connections.WEBPUSH):
        monkeypatch.delenv(connections.variable(conn_id))
    real = {"conn_type": "http", "host": "https://127.0.0.1:9", "password": "SG.x"}
    monkeypatch.setenv(connections.variable(connections.SENDGRID), json.dumps(real))
    refused = run(step="day30_push", to="push")
    assert isinstance(refused.exception, WinbackError)
    assert "Contact 4711 is not on the allowlist of winback" in str(refused.exception)
    assert "Nothing was sent." in str(refused.exception)
    file = Path(os.environ["WINBACK_CAMPAIGNS"]) / "winback.yml"
    file.write_text(file.read_text().replace("allowlist: []", 'allowlist: ["4711"]', 1))
    named = run(step="day30_push", to="push")
    assert "on the stop list" in str(named.exception)


def test_a_contact_without_a_message_of_the_step_gets_samples_and_the_test_says_so(sandbox: Handle) -> None:
    result = run(step="day90")
    assert result.exit_code == 0, result.output
    assert "no message of this step yet" in result.output
    assert "coupon_code" in result.output


def test_the_links_of_a_test_answer_everything_and_change_nothing(warehouse: str) -> None:
    before = ledger()
    with serving(create_app()) as client:
        for answer in (client.get("/test"), client.post("/test", data={"List-Unsubscribe": "One-Click"})):
            assert answer.status_code == 200
            assert "This was a test" in answer.text
    assert ledger() == before
